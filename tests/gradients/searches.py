"""Models, objectives and costs by which a parameter search can be followed by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.random_keys import random_key
from seq2seq.gradients.base import GradientRule
from seq2seq.objectives.base import LossSum


class Point(nn.Module):
    """Two weights."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor(values, dtype=torch.float64))


@dataclass(frozen=True)
class Slope:
    """An objective with a constant gradient, summed over 7 tokens."""

    gradient: Sequence[float]

    def __call__(self, model: Any, batch: Batch, step: int) -> LossSum:
        loss_sum = 7.0 * (torch.tensor(self.gradient, dtype=torch.float64) @ model.point)
        return LossSum(loss_sum, torch.tensor(7.0, dtype=torch.float64))


@dataclass(frozen=True)
class Quadratic:
    """The cost (x - best)' A (x - best) / 2."""

    curvature: numpy.ndarray
    best: numpy.ndarray

    def statistics(self, model: Any, batch: Batch, max_length: int) -> numpy.ndarray:
        away = model.point.detach().numpy() - self.best
        return numpy.array([1.0, 0.5 * away @ self.curvature @ away])

    def value(self, summed: numpy.ndarray) -> float:
        return float(summed[1] / summed[0])


@dataclass(frozen=True)
class TeacherForcedCost:
    """Negative log-likelihood per token without dropout, of any model; notes what it sees."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        autocast = torch.is_autocast_enabled("cpu")
        self.seen.append({"weights": weights, "training": model.training, "autocast": autocast, "length": max_length})
        with torch.no_grad():
            log_probs = model(**batch.model_inputs()).logits.log_softmax(-1)
        real = batch.labels != IGNORED_LABEL
        picked = log_probs.gather(2, batch.labels.clamp(min=0).unsqueeze(2)).squeeze(2)[real]
        return numpy.array([float(real.sum()), -float(picked.double().sum())])

    def value(self, summed: numpy.ndarray) -> float:
        return float(summed[1] / summed[0])


def searched(rule: GradientRule, objective: Any, model: nn.Module, batch: Batch, step: int = 1) -> LossSum:
    """Return the loss after the rule has set every `.grad` anew."""
    model.zero_grad()
    return rule(objective, model, batch, step, lambda scalar: scalar.backward())


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def noise(seed: int, step: int, candidate: int, place: int, like: Tensor) -> Tensor:
    """Return the noise that the search promises for these numbers."""
    generator = torch.Generator().manual_seed(random_key(seed, step, candidate, place))
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)
