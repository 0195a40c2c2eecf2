"""A loss is a sum and a weight: parts add, and the trainer divides once, by the weight of the whole step."""

from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch


@dataclass(frozen=True)
class LossSum:
    """The loss of some pairs.

    `loss_sum` is what gradients come from (a scalar tensor with a graph, or without one after backward), `weight`
    what it will be divided by (target tokens), and `logs` further sums over the same weight, for the log only.
    """

    loss_sum: Tensor
    weight: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def zero(cls, device: torch.device | str = "cpu") -> "LossSum":
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def __add__(self, other: "LossSum") -> "LossSum":
        logs = dict(self.logs)
        for name, value in other.logs.items():
            logs[name] = logs[name] + value if name in logs else value
        return LossSum(self.loss_sum + other.loss_sum, self.weight + other.weight, logs)

    def detach(self) -> "LossSum":
        logs = {name: value.detach() for name, value in self.logs.items()}
        return LossSum(self.loss_sum.detach(), self.weight.detach(), logs)

    @property
    def mean(self) -> float:
        """Loss per unit of weight, for logs and for flooding."""
        return float(self.loss_sum) / max(float(self.weight), 1.0)

    @property
    def num_target_tokens(self) -> float:
        """The weight, unless the logs hold `target_tokens` because that is something else."""
        return float(self.logs.get("target_tokens", self.weight))


class Objective(Protocol):
    """What is scored.

    `model` may be wrapped (DDP, FSDP), so it is only ever called, as `model(**inputs).logits` or, where not all logits
    need exist at once, as `model(**inputs, score=function).loss`: see `Seq2SeqTransformer.forward`.
    """

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum: ...


@dataclass(frozen=True)
class TargetSide:
    """What is known of targets once there is a tokenizer and a model."""

    vocab_size: int
    special_ids: tuple[int, ...]
    """Padding, start and end of sequences: tokens that are no part of a text."""
    unknown_id: int | None
    num_starts: int
    """Start tokens before a row."""
    embedding_scale: float
    """What the model multiplies token vectors by."""


@runtime_checkable
class ForTarget(Protocol):
    """A component that its options alone do not complete."""

    def for_target(self, target: TargetSide) -> Self:
        """Return the component with what it needs to know of targets."""
