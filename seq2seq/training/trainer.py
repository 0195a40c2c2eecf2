"""The training loop: micro-batches to gradients to weights, with logs, validations and checkpoints in between.

Ready-made components enter as plain arguments, a trained model leaves. Losses are sums, added over micro-batches and
processes and divided once by the weight of the whole step, so a step does not depend on how its micro-batches are
split. A run goes on from its newest checkpoint bit by bit, whenever and however it was stopped.
"""

import math
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim import Optimizer

from seq2seq.data.batch import Batch
from seq2seq.gradients.base import GradientRule
from seq2seq.gradients.transforms import clip, flood, require_finite, scale_gradients
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.training.checkpoint import Checkpoints, TrainingState
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.interruption import StopRequest, stop_signals
from seq2seq.training.progress import ProgressDisplay
from seq2seq.training.randomness import seed_micro_batch
from seq2seq.training.schedules import Schedule
from seq2seq.training.tracking import Tracker, per_token
from seq2seq.training.validation import Validation

MAX_SKIPPED_STEPS = 50
"""Steps skipped in a row before fp16 training is given up: more halvings than the loss scale can need."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Loader(Protocol):
    """An endless stream of micro-batches: this process's share, each with the position behind it."""

    def micro_batches(self, position: Any) -> Iterator[tuple[Any, Batch]]: ...


@dataclass(frozen=True)
class StepResult:
    """What one step did, summed over its micro-batches and processes."""

    total: LossSum
    gradient_norm: float
    learning_rate: float
    skipped: bool
    """Whether fp16 overflowed, so that the weights stayed as they were."""
    stop_signal: int | None
    out_of_time: bool


class Trainer:
    """Trains a model.

    Args:
        accelerator: from `build_accelerator`; it has prepared `model` and `optimizer`.
        schedule: step, counted from 1, to a factor of the optimizer's learning rate.
        ema: average of the weights, which is then what validation sees.
        seed: of dropout and everything else that is random in a micro-batch.
        max_steps: optimizer steps.
        max_minutes: time spent in steps, over all parts of a resumed run; validation and the writing of checkpoints
            do not count. 0 sets no limit.
        gradient_accumulation: micro-batches per process and step.
        clip_norm, clipping, flooding: see `gradients.transforms`; 0 switches clipping or flooding off.
        log_every, checkpoint_every, validate_every: steps; 0 does it only at the end.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        objective: Objective,
        gradient_rule: GradientRule,
        optimizer: Optimizer,
        schedule: Schedule,
        loader: Loader,
        checkpoints: Checkpoints,
        tracker: Tracker,
        validation: Validation | None = None,
        ema: ExponentialMovingAverage | None = None,
        seed: int = 1,
        max_steps: int = 10000,
        max_minutes: float = 0.0,
        gradient_accumulation: int = 1,
        clip_norm: float = 0.0,
        clipping: Literal["hard", "soft"] = "hard",
        flooding: float = 0.0,
        log_every: int = 50,
        checkpoint_every: int = 1000,
        validate_every: int = 1000,
    ) -> None:
        for name, value, least in (("max_steps", max_steps, 1), ("gradient_accumulation", gradient_accumulation, 1)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, but is {value}.")
        self.accelerator = accelerator
        self.model = model
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.objective = objective
        self.gradient_rule = gradient_rule
        self.optimizer = optimizer
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.schedule = schedule
        self.loader = loader
        self.checkpoints = checkpoints
        self.tracker = tracker
        self.validation = validation
        self.ema = ema
        self.seed = seed
        self.max_steps = max_steps
        self.max_minutes = max_minutes
        self.gradient_accumulation = gradient_accumulation
        self.clip_norm = clip_norm
        self.clipping = clipping
        self.flooding = flooding
        self.log_every = log_every
        self.checkpoint_every = checkpoint_every
        self.validate_every = validate_every
        self.state = TrainingState()
        self.num_skipped = 0

    # ---- the run -------------------------------------------------------------------------------------------------

    def run(self) -> TrainingState:
        """Train until `max_steps`, `max_minutes` or the patience of validation ends it; return where it ended.

        Raises:
            SystemExit: SIGTERM (143) or Ctrl-C (130) arrived; the step was finished and a checkpoint saved.
            FloatingPointError: loss or gradient is not finite.
        """
        self.state = self.checkpoints.resume()
        self.tracker.start(self.state.step, self.state.best.last_step)
        is_main = self.accelerator.is_main_process
        self.display = ProgressDisplay(self.max_steps, self.state.step, enabled=is_main)
        try:
            with stop_signals() as stop_request:
                self._steps(stop_request)
        finally:
            self.display.close()
            self.tracker.close()
        return self.state

    def _steps(self, stop_request: StopRequest) -> None:
        if self.state.step > 0:
            self.display.write(f"Going on from step {self.state.step}.")
        if self._is_due(self.validate_every):  # a signal may have come between a step and its validation
            self._validate()
        micro_batches = self.loader.micro_batches(self.state.position)
        out_of_time = False
        while self.state.step < self.max_steps and not out_of_time and not self._patience_is_over():
            result = self._timed_step(micro_batches, stop_request)
            self._log(result)
            if result.stop_signal is not None:
                self._leave(result.stop_signal)
            is_best = self._is_due(self.validate_every) and self._validate()
            if is_best or self._is_due(self.checkpoint_every):
                self.checkpoints.save(self.state)
            out_of_time = result.out_of_time
        if self.state.step > self.state.best.last_step:
            self._validate()
        self.checkpoints.save(self.state)

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.state.step > 0 and self.state.step % every == 0

    def _patience_is_over(self) -> bool:
        return self.validation is not None and self.validation.is_over(self.state.best)

    def _leave(self, stop_signal: int) -> None:
        path = self.checkpoints.save(self.state)
        name = signal.Signals(stop_signal).name
        self.display.write(f"{name}: stopped after step {self.state.step}, saved {path}. Run again to go on.")
        raise SystemExit(128 + stop_signal)

    def _validate(self) -> bool:
        """Validate unless this step was validated; return whether it is the best so far."""
        if self.validation is None or self.state.best.last_step == self.state.step:
            return False
        with self.ema.applied() if self.ema else nullcontext():
            values = self.validation.run(self.state.step)
        is_best = self.validation.note(self.state.best, self.state.step, values)
        self.tracker.log("validation", self.state.step, values)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.display.write(f"validation at step {self.state.step}: {shown}{' (best)' if is_best else ''}")
        return is_best

    # ---- one step ------------------------------------------------------------------------------------------------

    def train_step(
        self, micro_batches: Iterator[tuple[Any, Batch]], stop_signal: int | None = None, out_of_time: bool = False
    ) -> StepResult:
        """Make one optimizer step.

        Args:
            stop_signal, out_of_time: whether this process wants to stop; the result says whether any does.
        """
        step, device, num_processes = self.state.step + 1, self.accelerator.device, self.accelerator.num_processes
        self.model.train()
        total, rows = LossSum.zero(device), []
        for index in range(self.gradient_accumulation):
            self.state.position, batch = next(micro_batches)
            number = self.state.num_micro_batches + index * num_processes + self.accelerator.process_index
            seed_micro_batch(self.seed, number)
            is_last = index == self.gradient_accumulation - 1
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                inputs = batch.to(device)
                loss = self.gradient_rule(self.objective, self.model, inputs, step, self.accelerator.backward)
            total += loss
            rows.append((loss.loss_sum, batch.rows))
        stops = [float(stop_signal == number) for number in STOP_SIGNALS] + [float(out_of_time)]
        total, stops = self._add_over_processes(total, stops)

        # Sums to means, here and nowhere else. Wrappers average gradients over processes, which is undone first.
        self.accelerator.unscale_gradients(self.optimizer)
        scale_gradients(self.parameters, num_processes / total.weight)
        if self.flooding > 0:
            flood(self.parameters, total.loss_sum / total.weight, self.flooding)
        norm = clip(self.parameters, self.clip_norm, self.clipping)
        total, gradient_norm = _on_cpu(total, norm)  # the one point where a step waits for its device
        skipped = self._check(total, gradient_norm, step, rows)

        for group, peak_rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak_rate * self.schedule(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema is not None and not skipped:
            self.ema.update()
        self.state.step = step
        self.state.num_micro_batches += self.gradient_accumulation * num_processes
        signals = [number for number, count in zip(STOP_SIGNALS, stops, strict=False) if count > 0]
        learning_rate = self.optimizer.param_groups[0]["lr"]
        return StepResult(total, gradient_norm, learning_rate, skipped, next(iter(signals), None), stops[-1] > 0)
