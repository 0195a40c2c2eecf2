"""The training loop: micro-batches to gradients to weights, with logs, validations and checkpoints in between.

Ready-made components enter as plain arguments, a trained model leaves. Losses are sums, added over micro-batches and
processes and divided once by the weight of the whole step, so a step does not depend on how its micro-batches are
split. A run goes on from its newest checkpoint bit by bit, whenever and however it was stopped.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.optim import Optimizer

from seq2seq.data.batch import Batch
from seq2seq.data.micro_batches import rows_seen
from seq2seq.gradients.base import GradientRule
from seq2seq.gradients.transforms import clip, flood, require_finite, scale_gradients
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.training.checkpoint import Checkpoints, TrainingState
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.interruption import STOP_SIGNALS, StopRequest, stop_signals
from seq2seq.training.progress import ProgressDisplay
from seq2seq.training.randomness import seed_micro_batch
from seq2seq.training.schedules import RateSchedule
from seq2seq.training.tracking import Tracker, add_step, peak_memory_mib, window_values
from seq2seq.training.validation import Measured, Validation

MAX_SKIPPED_STEPS = 50
"""Steps that fp16 may skip in a row: halving the loss scale more often than this cannot help any more."""


class Loader(Protocol):
    """An endless stream of micro-batches: this process's share, each with the position behind it."""

    def micro_batches(self, position: Any) -> Iterator[tuple[Any, Batch]]: ...


@dataclass(frozen=True)
class StepResult:
    """What one step did, added over its micro-batches and processes; on the CPU."""

    total: LossSum
    gradient_norm: float
    """Before clipping."""
    learning_rate: float
    skipped: bool
    """Whether fp16 overflowed, so that the weights stayed as they were."""
    stop_signal: signal.Signals | None
    """A signal that asked any process to stop."""
    out_of_time: bool
    """Whether `max_minutes` are over on any process."""


class Trainer:
    """Trains a model.

    Args:
        accelerator: from `build_accelerator`; `model` and `optimizer` were prepared by it.
        schedule: step, counted from 1, and share of the time used to a factor of the optimizer's learning rate.
        ema: average of the weights; validation sees it or the weights themselves, whichever has the lower loss.
        seed: of dropout and whatever else is random in a micro-batch.
        max_steps: optimizer steps.
        max_minutes: time spent in steps, over all parts of a resumed run; validation and the writing of checkpoints
            do not count. 0 sets no limit.
        gradient_accumulation: micro-batches per process and step.
        clip_norm, flooding: see `gradients.transforms`; 0 switches clipping or flooding off.
        log_every, checkpoint_every, validate_every: steps; 0 leaves only the one at the end.
        when_resumed: fits the state that the run begins with, new or of a checkpoint, to what is there now; returns
            what has changed since, for the log.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        objective: Objective,
        gradient_rule: GradientRule,
        optimizer: Optimizer,
        schedule: RateSchedule,
        loader: Loader,
        checkpoints: Checkpoints,
        tracker: Tracker,
        validation: Validation | None = None,
        ema: ExponentialMovingAverage | None = None,
        seed: int,
        max_steps: int,
        max_minutes: float,
        gradient_accumulation: int,
        clip_norm: float,
        flooding: float,
        log_every: int,
        checkpoint_every: int,
        validate_every: int,
        when_resumed: Callable[[TrainingState], dict[str, Any]] = lambda state: {},
    ) -> None:
        if min(max_steps, gradient_accumulation) < 1:
            raise ValueError(f"`max_steps` ({max_steps}) and `gradient_accumulation` must be at least 1.")
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
        self.flooding = flooding
        self.log_every = log_every
        self.checkpoint_every = checkpoint_every
        self.validate_every = validate_every
        self.when_resumed = when_resumed
        self.state = TrainingState()
        self.stop_request = StopRequest()
        self.num_skipped = 0

    # ---- the run -------------------------------------------------------------------------------------------------

    def run(self) -> TrainingState:
        """Train until `max_steps`, `max_minutes` or the patience of validation ends it; return where it ended.

        Raises:
            SystemExit: SIGTERM (code 143), Ctrl-C (130) or SIGXCPU (152) came; the step was finished and saved.
            FloatingPointError: loss or gradient is not finite.
        """
        self.state = self.checkpoints.resume()
        changed = self.when_resumed(self.state)
        self.tracker.start(self.state.step, self.state.best.last_step)
        if broadcast_object_list([self.tracker.has("train", self.state.step)])[0]:
            self.state.window = {}
        display = ProgressDisplay(
            self.max_steps,
            self.state.step,
            first_seconds=self.state.seconds,
            max_seconds=60 * self.max_minutes,
            may_end_early=self.validation is not None and self.validation.patience > 0,
            enabled=self.accelerator.is_main_process,
        )
        try:
            if changed:
                self.tracker.log("changed", self.state.step, changed)
                display.write(f"Changed: {', '.join(changed)}; from here on it is not bit by bit the run of before.")
            with stop_signals() as self.stop_request:
                self._loop(display)
        finally:
            display.close()
            self.tracker.close()
        return self.state

    def _loop(self, display: ProgressDisplay) -> None:
        is_over = self.state.step >= self.max_steps or self._is_out_of_time()
        if self.state.step > 0:
            display.write(f"Going on from step {self.state.step}.")
            is_over = self._end_step(is_over, display)  # a stop may have come between a step and what is due after it
            self._forget_earlier_end(is_over)
        micro_batches = self.loader.micro_batches(self.state.position)
        while not is_over:
            start = time.perf_counter()
            result = self.train_step(micro_batches)
            self._count(result, time.perf_counter() - start, display)
            if result.stop_signal is not None:
                self._leave(result.stop_signal, display)
            is_over = self.state.step >= self.max_steps or result.out_of_time
            is_over = self._end_step(is_over, display)

    def _end_step(self, is_over: bool, display: ProgressDisplay) -> bool:
        """Do what is due after a step, unless it was done; return whether the run is over, also by patience.

        The checkpoint comes first: whatever fails after it costs no steps. Then the log and the validation.
        """
        is_regular = is_over or self._is_due(self.checkpoint_every)
        is_validated = self.validation is None or self.state.best.last_step == self.state.step
        validates = not is_validated and (is_over or self._is_due(self.validate_every))
        if is_regular or validates:
            self.checkpoints.save(self.state, is_regular=is_regular)
        if self._is_due(self.log_every):
            self._log_window(display)
        if validates:
            self._validate(display)
        is_over = is_over or self._is_patience_over()
        if is_over:
            self._log_window(display)
            self.checkpoints.save(self.state)
        return is_over

    def _forget_earlier_end(self, is_over: bool) -> None:
        """Let the checkpoint at which an earlier part of the run ended count no more, if now it goes on."""
        step = self.state.step
        if not (is_over or self._is_due(self.checkpoint_every) or self.state.best.step == step):
            self.state.regular = [other for other in self.state.regular if other != step]

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.state.step > 0 and self.state.step % every == 0

    def _is_patience_over(self) -> bool:
        return self.validation is not None and self.validation.is_over(self.state.best)

    def _is_out_of_time(self) -> bool:
        return self._time_share() >= 1.0

    def _time_share(self) -> float:
        """Return the share of `max_minutes` that is used; 0 without a limit."""
        return self.state.seconds / (60.0 * self.max_minutes) if self.max_minutes else 0.0

    def _leave(self, stop_signal: signal.Signals, display: ProgressDisplay) -> None:
        path = self.checkpoints.save(self.state, is_regular=self._is_due(self.checkpoint_every))
        if self._is_due(self.log_every):
            self._log_window(display)
        display.write(f"{stop_signal.name}: stopped after step {self.state.step}, saved {path}. Run again to go on.")
        raise SystemExit(128 + stop_signal)

    def _validate(self, display: ProgressDisplay) -> None:
        """Validate, and keep what came of it beside the checkpoint of this step."""
        assert self.validation is not None, "a run without validation never comes here"
        step = self.state.step
        (values, problem), losses, averaged = self._measured(self.validation, step)
        self._log("validation", values | losses)
        if problem is not None:
            self._log("validation_error", {"error": problem})
            display.write(f"validation at step {step} could not decode, so there are no scores: {problem}")
        is_best = self.validation.note(self.state.best, step, values, averaged=averaged)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raw = " (of the weights, whose average is not as good yet)" if losses and not averaged else ""
        display.write(f"validation at step {step}: {shown}{raw}{' (best)' * is_best}{self.validation.remark(values)}")
        self.checkpoints.save_validation(self.state, is_best=is_best)

    def _measured(self, validation: Validation, step: int) -> tuple[Measured, dict[str, float], bool]:
        """Return what validation comes to, of the weights or their average, whichever has the lower loss; with both
        losses, and whether it is the average.

        Early in a run the average lags behind the weights; later it is the better of the two.
        """
        if self.ema is None:
            return validation.run(step), {}, False
        raw_loss = validation.loss(step)
        with self.ema.applied():
            averaged_loss = validation.loss(step)
        averaged = not raw_loss["loss"] < averaged_loss["loss"]
        with self.ema.applied() if averaged else nullcontext():
            measured = validation.run(step, averaged_loss if averaged else raw_loss)
        return measured, {"loss_of_weights": raw_loss["loss"], "loss_of_average": averaged_loss["loss"]}, averaged

    # ---- one step ------------------------------------------------------------------------------------------------

    def train_step(self, micro_batches: Iterator[tuple[Any, Batch]]) -> StepResult:
        """Make one optimizer step, counted in `state`."""
        step, num_processes = self.state.step + 1, self.accelerator.num_processes
        total, parts = self._accumulate(micro_batches, step)
        total, stops, time_share = self._add_over_processes(total)

        # From sums to means, here and nowhere else. DDP and FSDP average over processes, which is undone.
        self.accelerator.unscale_gradients(self.optimizer)
        scale_gradients(self.parameters, num_processes / total.weight)
        if self.flooding > 0:
            flood(self.parameters, total.loss_sum / total.weight, self.flooding)
        norm = clip(self.parameters, self.clip_norm)

        # The one point where a step waits for its device.
        total, (gradient_norm, time_used, *flags) = _on_cpu(total, norm, time_share, stops)
        skipped = self._check_finite(total, gradient_norm, step, parts)

        factor = self.schedule(step, time_used)
        for group, peak_rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak_rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema is not None and not skipped:
            self.ema.update()

        self.state.step = step
        self.state.num_micro_batches += self.gradient_accumulation * num_processes
        stop_signal = next((number for number, count in zip(STOP_SIGNALS, flags, strict=False) if count), None)
        rate = self.peak_rates[0] * factor
        return StepResult(total, gradient_norm, rate, skipped, stop_signal, out_of_time=bool(flags[-1]))

    def _accumulate(
        self, micro_batches: Iterator[tuple[Any, Batch]], step: int
    ) -> tuple[LossSum, list[tuple[Tensor, Tensor]]]:
        """Add this process's gradients; return its loss, and loss sum and rows of each micro-batch."""
        self.model.train()
        total, parts = LossSum.zero(self.accelerator.device), []
        for index in range(self.gradient_accumulation):
            position, batch = next(micro_batches)
            offset = index * self.accelerator.num_processes + self.accelerator.process_index
            seed_micro_batch(self.seed, self.state.num_micro_batches + offset)
            is_last = index == self.gradient_accumulation - 1
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                inputs = batch.to(self.accelerator.device)
                loss = self.gradient_rule(self.objective, self.model, inputs, step, self.accelerator.backward)
            total += loss
            parts.append((loss.loss_sum, batch.rows))
            self.state.position = position
        return total, parts

    def _add_over_processes(self, total: LossSum) -> tuple[LossSum, Tensor, Tensor]:
        """Return the loss of all processes, how many got each of `STOP_SIGNALS` or are out of time, and the share of
        the time that is used by the clock of the main one."""
        flags = [self.stop_request.signal_number == number for number in STOP_SIGNALS] + [self._is_out_of_time()]
        time_share = self._time_share() if self.accelerator.is_main_process else 0.0
        names = sorted(total.logs)
        sums = torch.stack([total.loss_sum, total.weight, *(total.logs[name] for name in names)])
        others = torch.tensor([*flags, time_share], dtype=sums.dtype, device=sums.device)
        packed = self.accelerator.reduce(torch.cat([sums, others]))
        loss_sum, weight, *logs = packed[: len(sums)]
        return LossSum(loss_sum, weight, dict(zip(names, logs, strict=True))), packed[len(sums) : -1], packed[-1]

    def _check_finite(
        self, total: LossSum, gradient_norm: float, step: int, parts: list[tuple[Tensor, Tensor]]
    ) -> bool:
        """Return whether the step is skipped for an overflow of fp16; in other types one is an error.

        All processes come to the same result, since loss and norm are those of all.
        """
        if self.accelerator.scaler is None:
            require_finite(float(total.loss_sum), gradient_norm, lambda: self._describe(step, parts))
            return False
        skipped = not math.isfinite(gradient_norm)
        self.num_skipped = self.num_skipped + 1 if skipped else 0
        if self.num_skipped > MAX_SKIPPED_STEPS:
            raise FloatingPointError(
                f"Gradients overflowed fp16 in {self.num_skipped} steps in a row, up to {self._describe(step, parts)}. "
                "Set `training.precision` to bf16 or fp32."
            )
        return skipped

    def _describe(self, step: int, parts: list[tuple[Tensor, Tensor]]) -> str:
        """Name the step and the corpus rows of the micro-batches at fault; of all, if no loss tells. Collective."""
        found = gather_object([(bool(loss_sum.isfinite()), rows.tolist()) for loss_sum, rows in parts])
        at_fault = [rows for is_finite, rows in found if not is_finite] or [rows for _, rows in found]
        rows = [row for rows in at_fault for row in rows]
        shown = ", ".join(str(row) for row in rows[:20]) + (", …" if len(rows) > 20 else "")
        return f"step {step}, among training rows {shown} (counted from 0)"

    # ---- the log -------------------------------------------------------------------------------------------------

    def _count(self, result: StepResult, seconds: float, display: ProgressDisplay) -> None:
        """Add a step to the sums since the last line of the log."""
        self.state.seconds += seconds
        add_step(self.state.window, result.total, result.gradient_norm, seconds, skipped=result.skipped)
        self.state.window["learning_rate"] = result.learning_rate
        display.advance(result.total.mean, result.total.num_target_tokens / seconds, self.state.seconds)

    def _log_window(self, display: ProgressDisplay) -> None:
        """Write a line about the steps since the last one, if there were any."""
        if not self.state.window:
            return
        memory = peak_memory_mib(self.accelerator.device)
        values = window_values(self.state.window) | {"seconds": self.state.seconds, "memory_mib": memory}
        self._log("train", values | rows_seen(self.state.position))
        self.state.window = {}
        display.report(self.state.step, values)

    def _log(self, kind: str, values: Mapping[str, Any]) -> None:
        """Add a line to the log.

        Raises:
            OSError: it could not be written, on all processes; before that a checkpoint was, as far as that can be.
        """
        problem = None
        try:
            self.tracker.log(kind, self.state.step, values)
        except OSError as error:
            problem = str(error)
        if problem := broadcast_object_list([problem])[0]:
            path = self.checkpoints.save(self.state, is_regular=self._is_due(self.checkpoint_every))
            raise OSError(
                f"The log could not be written: {problem}. All steps are saved, in {path}; run again to go on."
            )


def _on_cpu(total: LossSum, norm: Tensor, time_share: Tensor, flags: Tensor) -> tuple[LossSum, list[float]]:
    """Return the loss on the CPU, and norm, share and flags as numbers, in one transfer."""
    names = list(total.logs)
    tensors = [total.loss_sum, total.weight, *total.logs.values(), norm, time_share, *flags]
    loss_sum, weight, *others = torch.stack([tensor.float() for tensor in tensors]).cpu()
    logs = dict(zip(names, others, strict=False))
    return LossSum(loss_sum, weight, logs), [float(value) for value in others[len(names) :]]
