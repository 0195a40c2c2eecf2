"""Exponential moving average of the weights (Polyak averaging), for validation and export.

A model's parameters enter after every step; averaged weights leave, swapped into the model for as long as a `with`
block lasts. The average is free of its start: after n updates the weight of update i is proportional to d^(n-i), which
is Adam's bias correction in incremental form, so early averages are means of what was seen and never of the
initialisation.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seq2seq.gradients.transforms import local_shard


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
        """Move the average towards the present weights by (1 - d) / (1 - d^n) at the n-th update."""
        self.num_updates += 1
        rate = (1.0 - self.decay) / -math.expm1(self.num_updates * math.log(self.decay))
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
