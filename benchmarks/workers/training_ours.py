"""A worker of `training_speed.py` for our own trainer: its steps as `train.py` makes them.

Data, loader, model and trainer come from `seq2seq.assembly.training`, so dropout, label smoothing, clipping, AdamW and
prefetching are those of a real run. What is timed is `Trainer.train_step`; validation, checkpoints and logs are not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from workers.protocol import Values, now, serve

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data, build_loader
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.assembly.training import build_trainer
from seq2seq.data.batch import Batch
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.trainer import Trainer


class CountedBatches:
    """The trainer's stream of micro-batches; counts the real tokens of those that were taken."""

    def __init__(self, micro_batches: Iterator[tuple[Any, Batch]]) -> None:
        self.micro_batches = micro_batches
        self.source_tokens = self.target_tokens = 0

    def __iter__(self) -> "CountedBatches":
        return self

    def __next__(self) -> tuple[Any, Batch]:
        position, batch = next(self.micro_batches)
        self.source_tokens += int(batch.attention_mask.sum())
        self.target_tokens += batch.num_target_tokens
        return position, batch


def prepare(job: Values) -> tuple[Values, Any]:
    """Return facts and the function that times `job["steps"]` steps, after `job["warmup"]` steps."""
    trainer = trainer_of(job)
    batches = CountedBatches(trainer.loader.micro_batches(trainer.state.position))

    def run_round(num_steps: int = job["steps"]) -> Values:
        batches.source_tokens = batches.target_tokens = 0
        start = now(job["device"])
        for _ in range(num_steps):
            trainer.train_step(batches)
        seconds = now(job["device"]) - start
        return {"seconds": seconds, "source_tokens": batches.source_tokens, "target_tokens": batches.target_tokens}

    run_round(job["warmup"])
    num_parameters = sum(parameter.numel() for parameter in trainer.parameters)
    return {"parameters": num_parameters, "threads": torch.get_num_threads()}, run_round


def trainer_of(job: Values) -> Trainer:
    config = load_run_config(job["options"])
    prepare_process()
    keep_freed_memory()
    folder = Path(config.run_directory)
    accelerator = build_accelerator(config.training.precision, cpu=job["device"] == "cpu")
    tokenizer, train_corpus, validation_corpus, *_ = build_data(config, folder)
    loader = build_loader(config, train_corpus, tokenizer, accelerator)
    export = ModelExport.of(config, tokenizer)
    return build_trainer(config, folder, export, loader, validation_corpus, accelerator)


if __name__ == "__main__":
    serve(prepare)
