"""A worker of `training_speed.py` for `Seq2SeqTrainer` of transformers with a Marian model of the same form as ours.

Token ids, model sizes and the options of optimizer and loss are those of our run; everything else is left as
transformers has it. A round is one call of `train` with a step more than is measured: time runs from the end of its
first step to the end of its last. Batches are grouped by length and padded to their longest pair.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from datasets import load_from_disk
from torch import Tensor
from torch.utils.data import Sampler
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    MarianConfig,
    MarianMTModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from workers.protocol import Values, now, serve

SCHEDULES = {"inverse_square_root": "inverse_sqrt", "cosine": "cosine", "linear": "linear", "constant": "constant"}
"""Our names of learning-rate schedules to theirs."""


class CountedBatches:
    """A collator that notes the real source and target tokens of each batch, in the order in which they are trained on.

    The data loader collates one batch ahead of the step, so a sum at the end of a step would hold one too many.
    """

    def __init__(self, collate: DataCollatorForSeq2Seq) -> None:
        self.collate = collate
        self.counts: list[tuple[int, int]] = []

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = self.collate([{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows])
        target_tokens = (batch["labels"] != self.collate.label_pad_token_id).sum()
        self.counts.append((int(batch["attention_mask"].sum()), int(target_tokens)))
        return batch


class StepTimes(TrainerCallback):
    """Notes when the first and the last step of a call of `train` were done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(
        self, args: Seq2SeqTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step in (1, state.max_steps):
            self.times.append(now(args.device.type))


class ShuffledBatches(Sampler):
    """The batches of a sampler of rows in random order, with an incomplete one at the end.

    The sampler that groups by length sorts each 50 batches from long to short. Shuffled they cost the same, and any
    number of steps is a fair sample of them.
    """

    def __init__(self, rows: Sampler, batch_size: int) -> None:
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        rows = torch.tensor(list(self.rows))
        incomplete = len(rows) % self.batch_size
        batches = rows[: len(rows) - incomplete].view(-1, self.batch_size)
        shuffled = batches[torch.randperm(len(batches))].flatten()
        return iter(torch.cat([shuffled, rows[len(rows) - incomplete :]]).tolist())


class ShufflingTrainer(Seq2SeqTrainer):
    def _get_train_sampler(self, *arguments: Any) -> Sampler:
        return ShuffledBatches(super()._get_train_sampler(*arguments), self.args.train_batch_size)


def prepare(job: Values) -> tuple[Values, Callable[[], Values]]:
    """Return facts and the function that times `job["steps"]` steps, after `job["warmup"]` steps."""
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"])
    arguments = training_arguments(job)
    model = build_model(job["config"]["model"], tokenizer)
    batches, step_times = CountedBatches(DataCollatorForSeq2Seq(tokenizer, model=model)), StepTimes()
    trainer = ShufflingTrainer(
        model, arguments, data_collator=batches, train_dataset=load_from_disk(job["pairs"]), callbacks=[step_times]
    )

    def run_round(num_steps: int = job["steps"]) -> Values:
        batches.counts.clear()
        step_times.times.clear()
        arguments.max_steps = num_steps + 1
        trainer.train()
        start, end = step_times.times
        source_tokens, target_tokens = (sum(counts) for counts in zip(*batches.counts[1 : num_steps + 1], strict=True))
        return {"seconds": end - start, "source_tokens": source_tokens, "target_tokens": target_tokens}

    run_round(job["warmup"])
    num_parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return {"parameters": num_parameters, "threads": torch.get_num_threads()}, run_round


def build_model(sizes: Values, tokenizer: PreTrainedTokenizerBase) -> MarianMTModel:
    """Return Marian's model in the sizes of our section `model`; it is post-norm with one embedding for all."""
    torch.manual_seed(1)
    config = MarianConfig(
        vocab_size=len(tokenizer),
        d_model=sizes["d_model"],
        encoder_layers=sizes["encoder_layers"],
        decoder_layers=sizes["decoder_layers"],
        encoder_attention_heads=sizes["num_heads"],
        decoder_attention_heads=sizes["num_heads"],
        encoder_ffn_dim=sizes["ffn_size"],
        decoder_ffn_dim=sizes["ffn_size"],
        activation_function=sizes["activation"],
        dropout=sizes["dropout"],
        attention_dropout=sizes["attention_dropout"],
        activation_dropout=sizes["activation_dropout"],
        max_position_embeddings=sizes["max_positions"],
        scale_embedding=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
        decoder_start_token_id=tokenizer.bos_token_id,
    )
    return MarianMTModel(config)


def training_arguments(job: Values) -> Seq2SeqTrainingArguments:
    """Return what our sections `optimizer`, `objective` and `training` say, in transformers' terms."""
    optimizer, training = job["config"]["optimizer"], job["config"]["training"]
    return Seq2SeqTrainingArguments(
        output_dir=job["config"]["run_directory"],
        per_device_train_batch_size=job["rows_per_batch"],
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # else the column of lengths is removed before it is read
        max_steps=1,
        learning_rate=optimizer["learning_rate"],
        adam_beta1=optimizer["betas"][0],
        adam_beta2=optimizer["betas"][1],
        adam_epsilon=optimizer["epsilon"],
        weight_decay=optimizer["weight_decay"],
        lr_scheduler_type=SCHEDULES[optimizer["schedule"]],
        warmup_steps=optimizer["warmup_steps"],
        max_grad_norm=optimizer["clip_norm"],
        label_smoothing_factor=job["config"]["objective"]["label_smoothing"],
        bf16=training["precision"] == "bf16",
        use_cpu=job["device"] == "cpu",
        seed=training["seed"],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )


if __name__ == "__main__":
    serve(prepare)
