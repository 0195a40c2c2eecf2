"""Layers that remember what enters them, and compute the rest again for the backward pass (Chen et al. 2016).

A stack's memory is then one hidden state for each layer and what a single layer needs, at the price of a second forward
pass. That one begins at the random state of the first and computes in its type, so losses and gradients are the same to
the bit.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Layer = TypeVar("Layer", bound="RecomputingLayer")
Arguments = ParamSpec("Arguments")
Output = TypeVar("Output")


class RecomputingLayer(nn.Module):
    """A layer whose `forward` is `recomputed`; in training alone, where nothing is kept from step to step."""

    recomputes = False


def recomputed(
    forward: Callable[Concatenate[Layer, Arguments], Output],
) -> Callable[Concatenate[Layer, Arguments], Output]:
    """Let the `forward` of a layer run twice where it `recomputes`.

    It is within the layer's own call that it does: only there does a sharded layer (FSDP) have its weights.
    """

    @wraps(forward)
    def once_or_twice(self: Layer, *arguments: Arguments.args, **options: Arguments.kwargs) -> Output:
        if not (self.recomputes and self.training and torch.is_grad_enabled()):
            return forward(self, *arguments, **options)
        found: Any = checkpoint(forward, self, *arguments, use_reentrant=False, **options)  # type: ignore[arg-type]
        return found

    return once_or_twice


def recompute_layers(model: nn.Module) -> None:
    """Let all layers of a model forget in training what they can compute again."""
    for module in model.modules():
        if isinstance(module, RecomputingLayer):
            module.recomputes = True
