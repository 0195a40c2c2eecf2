"""Exponential moving average of the weights (Polyak averaging), for validation and export.

A model's parameters enter after every step; averaged weights leave, swapped into the model for as long as a `with`
block lasts. It never looks back over more than a share of what was seen: while weights still move fast, that is what
keeps it near them. Once the run is long enough the average is the exponential one of decay d.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seq2seq.gradients.transforms import local_shard

DEGREE = 3
"""Degree of the polynomial that the weights of early updates follow: update i of n counts as much as (i/n)^3."""


class ExponentialMovingAverage:
    """Averages in fp32 of all trainable parameters of a (possibly wrapped or sharded) model.

    Raises:
        ValueError: `decay` is not in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"`ema_decay` must lie between 0 and 1, but is {decay}.")
        self.decay = decay
        self.num_updates = 0
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.averages = [parameter.detach().clone().float() for parameter in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights.

        At the n-th update the rate is (1 - d) / (1 - d^n), Adam's correction for the start, but at least
        4 / (n + 3): Shamir and Zhang 2013, section 4, polynomial-decay averaging with eta = 3. The first alone is the
        plain mean of a run that is shorter than 1 / (1 - d) steps, which lags behind weights that are on their way.
        """
        self.num_updates += 1
        corrected = (1.0 - self.decay) / -math.expm1(self.num_updates * math.log(self.decay))
        rate = max(corrected, (DEGREE + 1) / (self.num_updates + DEGREE))
        weights = [local_shard(parameter.detach()).float() for parameter in self.parameters]
        _move_all([local_shard(average) for average in self.averages], weights, rate)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Hold the averaged weights in the model while the block lasts; the trained ones return bit by bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            weights = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(weights)

    def named_averages(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the averages, still sharded where the model is, under the names of the parameters of `model`."""
        average_of = {id(p): average for p, average in zip(self.parameters, self.averages, strict=True)}
        return {name: average_of[id(p)] for name, p in model.named_parameters() if id(p) in average_of}


def _move_all(tensors: list[Tensor], towards: list[Tensor], rate: float) -> None:
    """Move each tensor in place by a share of the way to another one; by one call for all, where torch has it."""
    try:
        torch._foreach_lerp_(tensors, towards, rate)
    except AttributeError:
        for tensor, end in zip(tensors, towards, strict=True):
            tensor.lerp_(end, rate)
