"""How a model is judged in training, and when training has stopped to help.

Batches and, optionally, a function that decodes and scores enter; the values of one validation leave. `BestSoFar`
remembers which step was best by one of these values; it is part of a checkpoint, so a resumed run judges as before.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.metrics import METRICS
from seq2seq.models.modes import evaluating
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.training.tracking import per_token

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

    def see(self, step: int, value: float, *, lower_is_better: bool) -> bool:
        """Take note of a validation; return whether it is a new best. A tie or a value that is no number is not."""
        self.last_step = step
        sign = -1.0 if lower_is_better else 1.0
        better = not math.isnan(value) and (self.value is None or sign * value > sign * self.value)
        if better:
            self.value, self.step = value, step
        self.num_since = 0 if better else self.num_since + 1
        return better


class Validation:
    """Loss over all validation pairs, and whatever `decode` measures.

    Args:
        model: as prepared by the accelerator.
        batches: returns this process's share of the validation batches, anew at each call. Together the processes
            must hold each pair once; shares may differ in length.
        decode: returns scores by name, such as {"bleu": 31.4}. All processes call it, and what the main process
            returns counts. It finds the model in evaluation mode and, if there is an average, with averaged weights.
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
        select_by: str = "loss",
        patience: int = 0,
    ) -> None:
        self.accelerator = accelerator
        # DDP's own forward would be no help: there are no gradients to share, and shares may differ in length.
        self.model = accelerator.unwrap_model(model)
        self.objective = objective
        self.batches = batches
        self.decode = decode
        self.select_by = select_by
        self.patience = patience

    @torch.no_grad()
    def run(self, step: int) -> dict[str, float]:
        """Return the values of this validation, the same on all processes; the model's mode is left as it was.

        Raises:
            ValueError: there is nothing to validate on, or `select_by` was not measured.
        """
        with evaluating(self.model):
            values = per_token(self._total_loss(step)) | self._decoded_scores()
        if self.select_by not in values:
            raise ValueError(
                f"`validation.select_by` is {self.select_by!r}, but validation only measured {', '.join(values)}; "
                "choose one of these, or add it to `validation.metrics`."
            )
        return values

    def note(self, best: BestSoFar, step: int, values: dict[str, float]) -> bool:
        """Enter the values into `best`; return whether they are a new best."""
        return best.see(step, values[self.select_by], lower_is_better=lower_is_better(self.select_by))

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
            yield _empty_batch() if batch is None else batch

    def _decoded_scores(self) -> dict[str, float]:
        return {} if self.decode is None else broadcast_object_list([self.decode()])[0]


def lower_is_better(name: str) -> bool:
    """Return whether less of a validation value is better: of any loss, and of the metrics that say so."""
    return name in LOSSES or (name in METRICS and not METRICS[name]().higher_is_better)


def _empty_batch() -> Batch:
    ids = torch.zeros(1, 1, dtype=torch.int64)
    return Batch(
        ids, torch.ones(1, 1, dtype=torch.bool), ids, torch.full_like(ids, IGNORED_LABEL), torch.zeros(1).long()
    )
