"""How `.grad` is obtained: the axis between an objective, which only scores, and the optimizer, which only updates.

A rule is called once per micro-batch, adds the gradient of its loss SUM to every `.grad`, and returns the
detached `LossSum`. Nothing is averaged here: the trainer divides once per step, by the weight of the whole step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum, Objective

Backward = Callable[[Tensor], None]
"""Adds the gradients of a scalar to `.grad`; the trainer's, so that loss scaling of mixed precision is applied."""


class GradientRule(Protocol):
    """Accumulates the gradient of one micro-batch and returns its loss without a graph."""

    def __call__(
        self, objective: Objective, model: nn.Module, batch: Batch, step: int, backward: Backward
    ) -> LossSum: ...


@runtime_checkable
class ForPrecision(Protocol):
    """A rule that depends on what type of number the model computes in."""

    def for_precision(self, precision: str) -> Self:
        """Return the rule for `fp32`, `bf16` or `fp16`."""


@dataclass(frozen=True)
class Backprop:
    """The gradient of the objective itself."""

    def __call__(self, objective: Objective, model: nn.Module, batch: Batch, step: int, backward: Backward) -> LossSum:
        loss = objective(model, batch, step)
        backward(loss.loss_sum)
        return loss.detach()
