"""A worker of `pretrained.py`: `Seq2SeqTrainer` of transformers over a pretrained model.

A round is one call of `train` with a step more than is measured: time runs from the end of its first step to the end of
its last. Batches come in the order of the job, padded to their longest pair.
"""

from collections.abc import Callable
from tempfile import mkdtemp
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel, Seq2SeqTrainer, Seq2SeqTrainingArguments
from workers.protocol import Values, serve
from workers.training_huggingface import StepTimes

IGNORED_LABEL = -100


class Collator:
    """Pairs of ids to what the model takes; the trainer's label smoothing needs decoder inputs beside the labels."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model

    def __call__(self, pairs: list[list[list[int]]]) -> dict[str, Tensor]:
        sources, targets = zip(*pairs, strict=True)
        input_ids = padded(sources, self.model.config.pad_token_id)
        lengths = torch.tensor([len(source) for source in sources])
        labels = padded(targets, IGNORED_LABEL)
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
            "labels": labels,
            "decoder_input_ids": self.model.prepare_decoder_input_ids_from_labels(labels=labels),
        }


def padded(rows: Any, filling: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=filling)


class OrderedTrainer(Seq2SeqTrainer):
    def _get_train_sampler(self, *arguments: Any) -> Sampler:
        return SequentialSampler(self.train_dataset)


def prepare(job: Values) -> tuple[Values, Callable[[], Values]]:
    """Return facts and the function that times `job["steps"]` steps, after one that it does not time."""
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(job["threads"])
    model = AutoModelForSeq2SeqLM.from_pretrained(job["model"])
    pairs = [pair for batch in job["batches"] for pair in batch]
    times = StepTimes()
    trainer = OrderedTrainer(
        model,
        training_arguments(job, len(job["batches"][0])),
        data_collator=Collator(model),
        train_dataset=pairs,
        callbacks=[times],
    )

    def run_round(num_steps: int = job["steps"]) -> Values:
        times.times.clear()
        trainer.args.max_steps = num_steps + 1
        trainer.train()
        start, end = times.times
        return {
            "seconds": end - start,
            "target_tokens": sum(len(target) for batch in job["batches"][1:] for _, target in batch),
        }

    run_round(1)
    return {"parameters": model.num_parameters()}, run_round


def training_arguments(job: Values, batch_size: int) -> Seq2SeqTrainingArguments:
    return Seq2SeqTrainingArguments(
        output_dir=mkdtemp(dir=job["model"]),
        per_device_train_batch_size=batch_size,
        remove_unused_columns=False,
        max_steps=1,
        learning_rate=job["learning_rate"],
        adam_beta1=job["betas"][0],
        adam_beta2=job["betas"][1],
        adam_epsilon=job["epsilon"],
        weight_decay=job["weight_decay"],
        lr_scheduler_type="constant",
        max_grad_norm=job["clip_norm"],
        label_smoothing_factor=job["label_smoothing"],
        bf16=job["precision"] == "bf16",
        use_cpu=True,
        seed=1,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


if __name__ == "__main__":
    serve(prepare)
