"""What a machine makes of a configuration, measured in seconds before the training.

A configuration and its run directory enter, whose tokenizer and tokenised pairs are made here and used again by the
training; `Speed` leaves: steps a second by the best number of threads, the time of a validation, and memory.
"""

import dataclasses
import math
import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.data import RunData, build_data, build_loader
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.process import keep_freed_memory, prepare_process, process_put_back
from seq2seq.assembly.start import kept_start, with_start
from seq2seq.assembly.training import build_trainer
from seq2seq.assembly.validation import usable_pairs
from seq2seq.data.corpus import Dataset
from seq2seq.data.loader import TrainingLoader
from seq2seq.fitting.sharing import check_shares
from seq2seq.processes import allowed_cores
from seq2seq.training.accelerator import build_accelerator, state_put_back
from seq2seq.training.optimizer import OptimizerName, build_optimizer
from seq2seq.training.tracking import peak_memory_mib
from seq2seq.training.trainer import Trainer

PROBE_FOLDER = "probe"
"""In a run directory, for as long as a machine is timed."""
SECONDS = 4.0
"""What each number of threads is timed for, at least."""
WARM_UP_STEPS = 2
"""The first steps choose kernels and take their memory."""
DECODED_ROWS = 64
"""Validation pairs that are decoded, to a length that is usual for the targets."""
MUON_STEPS = 3
"""Of which the median counts."""
SMALLEST_BATCH = 512
"""Tokens below which a batch that does not fit is no question of its size."""


@dataclass(frozen=True)
class Speed:
    """What was measured."""

    threads: int
    """0 on a GPU, where they do not matter."""
    seconds_per_step: float
    pairs_per_step: float
    target_tokens_per_second: float
    loss_seconds: float
    """Of the loss of all validation pairs; twice that with an average of the weights."""
    decoding_seconds: float
    """Of a pair that is decoded greedily."""
    parameters: int
    memory_mib: float
    """The most so far: on a GPU there, else of this process."""
    batch_tokens: int
    """Of one micro-batch: as asked for, or what fits into memory."""
    accumulation: int
    """Micro-batches of a step, so that it is as large as was asked for."""
    target_length: int
    """Tokens of a usual target."""
    longest_source: int
    longest_target: int
    """Tokens of the longest target that is trained on."""
    processes: int = 1
    """That take a step together: pairs and tokens are those of all, batch, threads and memory those of each."""
    muon_seconds: float = 0.0
    """That Muon adds to a step; 0 where that has been timed with it, or begins with trained weights, of which no recipe
    names Muon and which may be so many that this would take a minute."""

    def with_changes(self, batch_tokens: int, optimizer: OptimizerName) -> "Speed":
        """Return it for batches that may be smaller, a step of which takes as much less time (a little too good), and
        for an optimizer that may be Muon."""
        share = batch_tokens / self.batch_tokens
        more = self.muon_seconds if optimizer == "muon" else 0.0
        return dataclasses.replace(
            self,
            seconds_per_step=share * self.seconds_per_step + more,
            pairs_per_step=share * self.pairs_per_step,
            target_tokens_per_second=self.target_tokens_per_second / (1 + more / (share * self.seconds_per_step)),
            batch_tokens=batch_tokens,
            muon_seconds=self.muon_seconds - more,
        )


def measured(config: RunConfig, folder: Path, num_processes: int = 1) -> Speed:
    """Return what the machine makes of a configuration, of which the run directory has nothing yet but its pairs.

    One process is timed, as each of several will be: what these take to exchange their gradients is not in it.

    Args:
        config: the one that each of the processes has.

    Raises:
        ValueError: the configuration and the pairs do not go together.
        torch.OutOfMemoryError: not even a small batch fits.
    """
    config = with_precision(with_start(config))
    with process_put_back(), state_put_back():
        prepare_process()
        assert config.training.precision != "auto", "it is one of the others by now"
        accelerator = build_accelerator(config.training.precision)
        data = build_data(config, folder)
        tokens, accumulation = config.data.batch_tokens, 1
        while True:
            try:
                return _timed(_smaller(config, tokens, accumulation), folder, data, accelerator, num_processes)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_memory(error) or tokens <= SMALLEST_BATCH:
                    raise
                tokens, accumulation = tokens // 2, accumulation * 2


def _is_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _smaller(config: RunConfig, tokens: int, accumulation: int) -> RunConfig:
    data = dataclasses.replace(config.data, batch_tokens=tokens)
    training = dataclasses.replace(config.training, gradient_accumulation=accumulation)
    return dataclasses.replace(config, data=data, training=training)


def _timed(config: RunConfig, folder: Path, data: RunData, accelerator: Any, num_processes: int) -> Speed:
    assert isinstance(data.train, Dataset), "pairs that are fitted are on disk"
    tokenizer = data.tokenizer
    loader = build_loader(config, data.train, tokenizer, accelerator)
    assert isinstance(loader, TrainingLoader)
    plan, lengths = loader.plan(0), loader.target_lengths
    check_shares(num_processes, config.data.batch_tokens, len(plan.batches), plan.num_oversized)
    target_length = int(sorted(lengths)[len(lengths) // 2])
    scratch = folder / PROBE_FOLDER
    scratch.mkdir(exist_ok=True)
    try:
        probed = _with_usual_length(dataclasses.replace(config, run_directory=str(scratch)), target_length)
        export = ModelExport.of(config, tokenizer, kept_start(folder))
        validation, _ = usable_pairs(config, data.validation)
        trainer = build_trainer(probed, scratch, export, loader, validation, accelerator)
        keep_freed_memory()
        micro_batches = loader.micro_batches(trainer.state.position)
        cores = max(1, min(allowed_cores(), torch.get_num_threads()) // num_processes)
        threads, seconds, tokens = _best_threads(trainer, micro_batches, accelerator, cores)
        loss_seconds, decoding_seconds = _validated(trainer, min(DECODED_ROWS, len(validation)))
        may_change = config.optimizer.name != "muon" and config.training.initialize_from is None
        muon_seconds = _muon_seconds(trainer.model) if may_change else 0.0
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    batches_a_step = config.training.gradient_accumulation * num_processes
    steps_an_epoch = max(1, math.ceil(len(plan.batches) / batches_a_step))
    return Speed(
        threads=threads,
        seconds_per_step=seconds,
        pairs_per_step=len(lengths) / steps_an_epoch,
        target_tokens_per_second=tokens * num_processes,
        loss_seconds=loss_seconds,
        decoding_seconds=decoding_seconds,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        memory_mib=peak_memory_mib(accelerator.device),
        batch_tokens=config.data.batch_tokens,
        accumulation=config.training.gradient_accumulation,
        target_length=target_length,
        longest_source=int(loader.source_lengths.max()),
        longest_target=int(lengths.max()),
        processes=num_processes,
        muon_seconds=muon_seconds,
    )


def _with_usual_length(config: RunConfig, target_length: int) -> RunConfig:
    """Return a configuration whose validation decodes few pairs, to a usual length: weights that know nothing would go
    on to the longest."""
    search = dataclasses.replace(config.decoding, max_length=max(2, target_length)) if config.decoding else None
    validation = dataclasses.replace(config.validation, max_rows=DECODED_ROWS)
    return dataclasses.replace(config, decoding=search, validation=validation)


def _best_threads(
    trainer: Trainer, micro_batches: Iterator[Any], accelerator: Any, most: int
) -> tuple[int, float, float]:
    """Return the number of threads that is fastest, its seconds a step, and target tokens a second.

    Args:
        most: threads that there are cores for.
    """
    if accelerator.device.type != "cpu":
        return 0, *_seconds_per_step(trainer, micro_batches)
    found = {}
    for threads in sorted({1, max(1, most // 2), most}, reverse=True):
        torch.set_num_threads(threads)
        found[threads] = _seconds_per_step(trainer, micro_batches)
    best = min(found, key=lambda threads: found[threads][0])
    torch.set_num_threads(best)
    return best, *found[best]


def _seconds_per_step(trainer: Trainer, micro_batches: Iterator[Any]) -> tuple[float, float]:
    for _ in range(WARM_UP_STEPS):
        trainer.train_step(micro_batches)
    started, steps, tokens = time.perf_counter(), 0, 0.0
    while steps < 2 or time.perf_counter() - started < SECONDS:
        result = trainer.train_step(micro_batches)
        steps, tokens = steps + 1, tokens + result.total.num_target_tokens
    seconds = time.perf_counter() - started
    return seconds / steps, tokens / seconds


def _validated(trainer: Trainer, num_rows: int) -> tuple[float, float]:
    """Return the seconds of the loss of all validation pairs, and of decoding one of them."""
    validation = trainer.validation
    assert validation is not None
    started = time.perf_counter()
    loss = validation.loss(0)
    of_loss = time.perf_counter() - started
    started = time.perf_counter()
    validation.run(0, loss)
    return of_loss, (time.perf_counter() - started) / num_rows


def _muon_seconds(model: nn.Module) -> float:
    """Return what it takes Muon to move a model's matrices; the weights are not used again."""
    optimizer = build_optimizer(
        model, name="muon", learning_rate=1e-6, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.0
    )
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    found = []
    for _ in range(1 + MUON_STEPS):
        started = time.perf_counter()
        optimizer.step()
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])
