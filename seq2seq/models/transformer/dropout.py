"""Dropout (Srivastava et al. 2014) with cheap random numbers on CPUs.

torch draws one Bernoulli variable per element there, which took a sixth of a bf16 training step. Here one 64-bit
draw serves four elements, 16 bits each, which makes dropout three times as fast. Probabilities are thereby rounded
to multiples of 1/65536, and the rescaling uses the rounded one: the expectation is exact, up to the rounding of the
factor in half precision.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16
DRAWS_PER_WORD = 4


def dropout(hidden: Tensor, probability: float, training: bool) -> Tensor:
    """Return `hidden`, in training with elements zeroed at random and the others divided by 1 - probability."""
    if not training or probability == 0:
        return hidden
    if hidden.device.type != "cpu":
        return functional.dropout(hidden, probability)
    num_dropped_levels = min(round(probability * LEVELS), LEVELS - 1)
    rescaling = LEVELS / (LEVELS - num_dropped_levels)
    dropped: Tensor = _Dropped.apply(hidden, _is_kept(hidden, num_dropped_levels), rescaling)
    return dropped


def _is_kept(like: Tensor, num_dropped_levels: int) -> Tensor:
    """Return False with probability num_dropped_levels / LEVELS and True elsewhere, in the shape of `like`."""
    # What stays has its memory before what goes, whose place the factors then take: no holes are left in between.
    is_kept = torch.empty(like.shape, dtype=torch.bool)
    num_words = -(-like.numel() // DRAWS_PER_WORD)
    words = torch.empty(num_words, dtype=torch.int64).random_(-(2**63), None)
    levels = words.view(torch.int16)[: like.numel()].view(like.shape)
    return torch.ge(levels, num_dropped_levels - LEVELS // 2, out=is_kept)


class _Dropped(torch.autograd.Function):
    """A product with 0 or the rescaling, of which a byte an element is kept for the backward and not the factors.

    One product with factors is faster than one with a boolean mask and one with the rescaling.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, is_kept: Tensor, rescaling: float) -> Tensor:
        ctx.save_for_backward(is_kept)
        ctx.rescaling = rescaling
        return _factors(hidden, is_kept, rescaling).mul_(hidden)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        [is_kept] = ctx.saved_tensors
        return _factors(upstream, is_kept, ctx.rescaling).mul_(upstream), None, None


def _factors(like: Tensor, is_kept: Tensor, rescaling: float) -> Tensor:
    return torch.where(is_kept, like.new_full((), rescaling), like.new_zeros(()))


class Dropout(nn.Module):
    """`dropout` with a fixed probability."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, hidden: Tensor) -> Tensor:
        return dropout(hidden, self.probability, self.training)

    def extra_repr(self) -> str:
        return str(self.probability)
