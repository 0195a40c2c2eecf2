"""Any loss of the output layer's logits, a block of real rows at a time.

Hidden states, output weights and a plain function of logits enter; sums leave, with the gradients of both inputs from
the same pass. The function is differentiated by autograd, but inside a block: what autograd keeps is as large as a
block, and padding never meets the vocabulary. `functional.label_smoothed_nll` does the same by hand for the most
frequent loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.objectives.functional import (
    ENTRIES_AT_A_TIME,
    ENTRIES_OF_A_BLOCK,
    Needed,
    add_gradient,
    logits_of,
    product_dtype,
    rows_at_a_time,
    slices,
)

KEPT_BY_AUTOGRAD = 4
"""Tensors of a chunk's size that are alive while a loss is differentiated: log-probabilities, probabilities, a
difference, a gradient. Chunks are as many times smaller than those of the loss that is differentiated by hand."""

BlockLoss = Callable[[Tensor, slice], tuple[Tensor, ...]]
"""From logits [M, N, V] (float32 or wider) of the units in a slice to sums, scalars; the first is the loss."""


def blockwise(
    hidden: Tensor, weight: Tensor, rows: Tensor, block_loss: BlockLoss, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Return the sums of `block_loss` over all units; only the first, the loss, has a gradient.

    A unit is M rows of logits that a loss looks at together, such as one token in two passes. Products are in the type
    of autocast where that is on, logits and sums in float32, or float64 where the states are; the loss can be
    differentiated once. The function gives gradients to its logits alone, not to what else it has hold of.

    Args:
        hidden: floating point [B, T, D].
        weight: the output layer's, [V, D].
        rows: int64 [M, N], each unit's positions in the flattened [B * T]; no position may occur twice.
        block_loss: is called with a slice of 0..N each time, and once with an empty one if N = 0.
        bias: the output layer's, [V], which is not trained; None = none.
    """
    sums: tuple[Tensor, ...] = _Blockwise.apply(hidden, weight, bias, rows, block_loss, Needed.of(hidden, weight))
    return sums


class _Blockwise(torch.autograd.Function):
    """The gradient of the logits takes their place, a chunk at a time; both products then take the whole block."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rows: Tensor,
        block_loss: BlockLoss,
        needed: Needed,
    ) -> tuple[Tensor, ...]:
        dtype = product_dtype(hidden)
        sums: tuple[Tensor, ...] = ()
        with torch.autocast(hidden.device.type, enabled=False):
            flat_hidden, weight_VD = hidden.flatten(0, 1), weight.to(dtype)
            gradient = torch.zeros_like(hidden, memory_format=torch.contiguous_format) if needed.hidden else None
            gradient_VD = torch.zeros_like(weight) if needed.weight else None
            for block in slices(rows.shape[1], rows_at_a_time(ENTRIES_OF_A_BLOCK, weight) // len(rows)):
                block_rows = rows[:, block].flatten()
                block_ND = flat_hidden.index_select(0, block_rows).to(dtype)
                logits_NV = logits_of(block_ND, weight_VD, bias)
                in_units = logits_NV.view(len(rows), block.stop - block.start, len(weight))
                sums = _added(sums, _differentiate_in_place(in_units, block.start, block_loss, any(needed)))
                if gradient is not None:
                    gradient.flatten(0, 1).index_copy_(0, block_rows, (logits_NV @ weight_VD).to(hidden.dtype))
                if gradient_VD is not None:
                    add_gradient(gradient_VD, logits_NV, block_ND)
                del logits_NV, in_units  # or there were two blocks while the next is made
        ctx.gradients = (gradient, gradient_VD) if any(needed) else None
        ctx.mark_non_differentiable(*sums[1:])
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        gradients, ctx.gradients = ctx.gradients, None  # they are changed in place, so they serve once
        assert gradients is not None, "the loss was differentiated twice, or not meant to be"
        gradient, gradient_VD = (None if part is None else part.mul_(upstream[0]) for part in gradients)
        return gradient, gradient_VD, None, None, None, None


def _differentiate_in_place(
    logits: Tensor, first: int, block_loss: BlockLoss, needs_gradient: bool
) -> tuple[Tensor, ...]:
    """Return the sums of a block.

    Args:
        logits: [M, N, V]; becomes the gradient of the loss, if one is needed.
        first: number of the block's first unit.
    """
    sums: tuple[Tensor, ...] = ()
    size = rows_at_a_time(ENTRIES_AT_A_TIME, logits[0].T) // (KEPT_BY_AUTOGRAD * len(logits))
    for part in slices(logits.shape[1], size):
        chunk = logits[:, part].detach().to(torch.promote_types(logits.dtype, torch.float32))
        with torch.set_grad_enabled(needs_gradient):
            found = block_loss(chunk.requires_grad_(needs_gradient), slice(first + part.start, first + part.stop))
        if needs_gradient:
            logits[:, part] = torch.autograd.grad(found[0], chunk)[0]
        sums = _added(sums, tuple(value.detach() for value in found))
    return sums


def _added(sums: tuple[Tensor, ...], more: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(a + b for a, b in zip(sums, more, strict=True)) if sums else more


# ---- what such losses are made of ----


class TokenScores(NamedTuple):
    """Of each token; the shape is that of its labels."""

    loss: Tensor
    """Label-smoothed negative log-likelihood, nats; see `functional.label_smoothed_nll`."""
    nll: Tensor
    """Negative log-likelihood, nats."""
    is_correct: Tensor
    """Whether the label is the likeliest token (ties count)."""


def token_scores(log_probs: Tensor, labels: Tensor, label_smoothing: float) -> TokenScores:
    """Return the scores of labels [..., N] under log-probabilities [..., N, V]."""
    nll = -log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    loss = nll
    if label_smoothing > 0:
        loss = (1.0 - label_smoothing) * nll - label_smoothing * log_probs.mean(-1)
    return TokenScores(loss, nll, -nll.detach() == log_probs.detach().amax(-1))
