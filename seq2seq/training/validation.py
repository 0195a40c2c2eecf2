"""How a model is judged in training, and when training has stopped to help.

Batches and, optionally, a function that decodes and scores enter; the values of one validation leave. A decode that
fails is no error of the run: the loss counts, and what went wrong leaves beside it. `BestSoFar` remembers which step
was best by one of these values; it is part of a checkpoint, so a resumed run judges as before.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.metrics import known_metric
from seq2seq.models.modes import evaluating
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.training.tracking import per_token

_IDLE = (
    "; a BLEU of 0 chooses no checkpoint: no four words in a row are right anywhere. Where it stays so, as with "
    "targets of few words, set `validation.select_by` to chrf or exact_match, and `validation.metrics` too"
)
LOSSES = frozenset({"loss", "nll", "perplexity"})


@dataclass
class BestSoFar:
    """The best validation of a run and how long ago it was."""

    value: float | None = None
    step: int | None = None
    num_since: int = 0
    """Validations since the best one."""
    last_step: int = 0
    """Step of the latest validation; 0 before the first."""
    loss: float | None = None
    """Validation loss of the best."""
    averaged: bool = True
    """Whether the best was measured with the moving average of the weights, where there is one."""

    def see(
        self,
        step: int,
        value: float | None,
        *,
        lower_is_better: bool,
        loss: float | None = None,
        averaged: bool = True,
    ) -> bool:
        """Take note of a validation; return whether it is a new best.

        Of equal values the one with the lower loss is better: metrics of a model that has learnt little are often all
        0, or of one that has learnt all, 100. What is no number is no best.

        Args:
            value: None could not be measured, and says nothing for or against.
        """
        self.last_step = step
        if value is None:
            return False
        sign = -1.0 if lower_is_better else 1.0
        better = not math.isnan(value) and (self.value is None or sign * value > sign * self.value)
        if value == self.value and loss is not None:
            better = self.loss is None or loss < self.loss
        if better:
            self.value, self.step, self.loss, self.averaged = value, step, loss, averaged
        self.num_since = 0 if better else self.num_since + 1
        return better


class DecodingFailed(Exception):
    """Decoding failed on some process; its text says how. Raised on all processes alike."""


def described_error(error: Exception) -> str:
    """Return an error in one line, as a log has it."""
    return str(error) if isinstance(error, DecodingFailed) else f"{type(error).__name__}: {error}"


class Measured(NamedTuple):
    """What a validation came to, the same on all processes."""

    values: dict[str, float]
    problem: str | None = None
    """Why there are no decoded scores, if decoding or scoring failed."""


class Validation:
    """Loss over all validation pairs, and whatever `decode` measures.

    Args:
        model: as prepared by the accelerator.
        batches: returns this process's share of the validation batches, anew at each call. Together the processes
            must hold each pair once; shares may differ in length.
        decode: returns scores by name, such as {"bleu": 31.4}. All processes call it, and what the main process
            returns counts. It finds the model in evaluation mode and, if there is an average, with averaged weights.
            Where it fails on one process it must do so on all, or after their last exchange.
        num_starts: tokens that the model takes in a step; a batch that only keeps others company has so many.
        select_by: `loss`, or a name that `decode` returns; the direction is known.
        patience: validations without a new best before `is_over`; 0 never.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        objective: Objective,
        batches: Callable[[], Iterable[Batch]],
        decode: Callable[[], dict[str, float]] | None = None,
        num_starts: int = 1,
        select_by: str,
        patience: int,
    ) -> None:
        self.accelerator = accelerator
        # DDP's own forward would be no help: there are no gradients to share, and shares may differ in length.
        self.model = accelerator.unwrap_model(model)
        self.objective = objective
        self.batches = batches
        self.decode = decode
        self.num_starts = num_starts
        self.select_by = select_by
        self.patience = patience

    @torch.no_grad()
    def run(self, step: int, loss: dict[str, float] | None = None) -> Measured:
        """Return what this validation came to; the model's mode is left as it was.

        Args:
            loss: what `loss` has returned for these weights, if it has.

        Raises:
            ValueError: there is nothing to validate on, or `select_by` was not measured.
        """
        loss = loss or self.loss(step)
        with evaluating(self.model):
            scores, problem = self._decoded_scores()
        values = loss | scores
        if self.select_by not in values and problem is None:
            raise ValueError(
                f"`validation.select_by` is {self.select_by!r}, but validation only measured {', '.join(values)}; "
                "choose one of these, or add it to `validation.metrics`."
            )
        return Measured(values, problem)

    @torch.no_grad()
    def loss(self, step: int) -> dict[str, float]:
        """Return the loss per token of all validation pairs, and what else the objective measures."""
        with evaluating(self.model):
            return per_token(self._total_loss(step))

    def note(self, best: BestSoFar, step: int, values: dict[str, float], *, averaged: bool = True) -> bool:
        """Enter the values into `best`; return whether they are a new best.

        Args:
            averaged: whether they were measured with the average of the weights.
        """
        value, loss = values.get(self.select_by), values.get("loss")
        lower = lower_is_better(self.select_by)
        return best.see(step, value, lower_is_better=lower, loss=loss, averaged=averaged)

    def remark(self, values: dict[str, float]) -> str:
        """Return what to say behind the values of a validation: that a BLEU of 0 chooses nothing."""
        return _IDLE if self.select_by == "bleu" and values.get("bleu") == 0.0 else ""

    def is_over(self, best: BestSoFar) -> bool:
        """Return whether patience has run out."""
        return 0 < self.patience <= best.num_since

    def _total_loss(self, step: int) -> LossSum:
        total = LossSum.zero(self.accelerator.device)
        for batch in self._batches_in_step():
            total += self.objective(self.model, batch.to(self.accelerator.device), step).detach()
        names = sorted(total.logs)
        packed = torch.stack([total.loss_sum, total.weight, *(total.logs[name] for name in names)])
        loss_sum, weight, *logs = self.accelerator.reduce(packed)
        if float(weight) == 0:
            raise ValueError("There are no validation pairs; name some under `data.validation`.")
        return LossSum(loss_sum, weight, dict(zip(names, logs, strict=True)))

    def _batches_in_step(self) -> Iterator[Batch]:
        """Yield this process's batches, then empty ones until all are through: a sharded forward needs everyone."""
        if self.accelerator.num_processes == 1:
            yield from self.batches()
            return
        batches = iter(self.batches())
        while True:
            batch = next(batches, None)
            num_active = torch.tensor(0 if batch is None else 1, device=self.accelerator.device)
            if int(self.accelerator.reduce(num_active)) == 0:
                return
            yield _empty_batch(self.num_starts) if batch is None else batch

    def _decoded_scores(self) -> tuple[dict[str, float], str | None]:
        """Return the scores, or what went wrong."""
        if self.decode is None:
            return {}, None
        scores, problem = {}, None
        try:
            scores = self.decode()
        except Exception as error:  # whatever it is, the loss is measured and training can go on
            problem = described_error(error)
        found: tuple[dict[str, float], str | None] = broadcast_object_list([(scores, problem)])[0]
        return found


def lower_is_better(name: str) -> bool:
    """Return whether less of a validation value is better: of any loss, and of the metrics that say so."""
    metric = known_metric(name)
    return name in LOSSES or (metric is not None and not metric.higher_is_better)


def _empty_batch(num_starts: int) -> Batch:
    """Return a pair of which nothing is predicted."""
    source, target = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, num_starts, dtype=torch.int64)
    labels = torch.full_like(target, IGNORED_LABEL)
    return Batch(source, torch.ones_like(source, dtype=torch.bool), target, labels, torch.zeros(1).long())
