"""A worker of `pretrained.py`: our trainer over a pretrained model.

Model, objective, optimizer and step are those of a run; what a run does besides, its data, validations, checkpoints and
logs, is left out, and so are the other side's.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import nn
from workers.protocol import Values, now, serve

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.data.batch import Batch
from seq2seq.data.collate import collate
from seq2seq.data.generation_order import TargetRows
from seq2seq.data.sequences import Sequences
from seq2seq.gradients.base import Backprop
from seq2seq.models.loading import load_model
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.checkpoint import Checkpoints
from seq2seq.training.optimizer import build_optimizer
from seq2seq.training.schedules import schedule_named
from seq2seq.training.tracking import Tracker
from seq2seq.training.trainer import Trainer


class GivenBatches:
    """The batches of a job, over and over."""

    def __init__(self, job: Values, model: Any) -> None:
        ids = {"source_pad_id": model.pad_id, "target_pad_id": model.pad_id, "decoder_start_id": model.decoder_start_id}
        self.batches: list[Batch] = []
        for pairs in job["batches"]:
            sources, targets = (Sequences.of(side) for side in zip(*pairs, strict=True))
            self.batches.append(collate(sources, TargetRows(targets), range(len(pairs)), **ids))

    def micro_batches(self, position: Any = None) -> Iterator[tuple[Any, Batch]]:
        while True:
            yield from enumerate(self.batches)


def prepare(job: Values) -> tuple[Values, Callable[[], Values]]:
    """Return facts and the function that times `job["steps"]` steps, after one that it does not time."""
    prepare_process(job["threads"])
    torch.manual_seed(1)
    bare_model: Any = load_model(job["model"], trainable=True)
    keep_freed_memory()
    loader = GivenBatches(job, bare_model)
    trainer = trainer_of(job, bare_model, loader)

    def run_round() -> Values:
        batches = loader.micro_batches()
        trainer.train_step(batches)
        start = now("cpu")
        for _ in range(job["steps"]):
            trainer.train_step(batches)
        seconds = now("cpu") - start
        tokens = sum(batch.num_target_tokens for batch in loader.batches[1:])
        return {"seconds": seconds, "target_tokens": int(tokens)}

    trainer.train_step(loader.micro_batches())
    return {"parameters": sum(parameter.numel() for parameter in trainer.parameters)}, run_round


def trainer_of(job: Values, bare_model: nn.Module, loader: GivenBatches) -> Trainer:
    accelerator = build_accelerator(job["precision"], cpu=True)
    kept = {name: job[name] for name in ("learning_rate", "epsilon", "weight_decay")}
    bare_optimizer = build_optimizer(bare_model, name="adamw", betas=tuple(job["betas"]), **kept)
    model, optimizer = accelerator.prepare(bare_model, bare_optimizer)
    folder = Path(mkdtemp(dir=job["model"]))
    rates = {"warmup_steps": 0, "max_steps": 1000, "learning_rate": job["learning_rate"], "final_learning_rate": 0.0}
    return Trainer(
        accelerator=accelerator,
        model=model,
        objective=CrossEntropy(label_smoothing=job["label_smoothing"]),
        gradient_rule=Backprop(),
        optimizer=optimizer,
        schedule=schedule_named("constant", **rates),
        loader=loader,
        checkpoints=Checkpoints(folder, accelerator=accelerator, model=model, optimizer=optimizer, keep_checkpoints=1),
        tracker=Tracker(folder, enabled=False),
        seed=1,
        max_steps=1000,
        max_minutes=0.0,
        gradient_accumulation=1,
        clip_norm=job["clip_norm"],
        flooding=0.0,
        log_every=0,
        checkpoint_every=0,
        validate_every=0,
    )


if __name__ == "__main__":
    serve(prepare)
