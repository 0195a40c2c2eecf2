"""Log-probabilities of given tokens, from the states before the output layer, without keeping logits.

Hidden states, output weights and labels enter; one number per position leaves, through which gradients flow. Logits
exist for a block of real tokens at a time and are made twice, for the values and for their gradient: what many
candidates per source would need for their logits at once is many times the rest of the model.

Without gradients, and of any model, it is `decoding.parts.teacher_forcing` that scores targets. This one stays because
training needs its backward, and because there a batch has hidden states, not the waist's logits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.objectives.functional import (
    ENTRIES_AT_A_TIME,
    ENTRIES_OF_A_BLOCK,
    add_gradient,
    logits_of,
    product_dtype,
    real_rows,
    rows_at_a_time,
    slices,
)


def token_log_probs(hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return log p(label) at each position in nats, [B, T], at least float32; 0 where labels are ignored.

    Products are in the type of autocast where that is on; it can be differentiated once.

    Args:
        hidden: floating point [B, T, D].
        weight: the output layer's, [V, D].
        labels: int64 [B, T]; positions with `IGNORED_LABEL` are left out.
        bias: the output layer's, [V], which is not trained; None = none.
    """
    assert hidden.shape[:2] == labels.shape, f"hidden {tuple(hidden.shape)} and labels {tuple(labels.shape)} differ"
    log_probs: Tensor = _TokenLogProbs.apply(hidden, weight, bias, labels)
    return log_probs


class _TokenLogProbs(torch.autograd.Function):
    """d log p(label) / d logits = one_hot(label) - softmax(logits), at real positions."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        dtype, wide = product_dtype(hidden), torch.promote_types(hidden.dtype, torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            rows = real_rows(labels)
            real_ND, real_N = hidden.flatten(0, 1).index_select(0, rows).to(dtype), labels.flatten()[rows]
            weight_VD, partition_N = weight.to(dtype), torch.empty(len(rows), dtype=wide, device=hidden.device)
            picked_N = torch.empty_like(partition_N)
            size = rows_at_a_time(ENTRIES_OF_A_BLOCK, weight)
            for block in slices(len(rows), size):
                logits_NV = logits_of(real_ND[block], weight_VD, bias)
                picked_N[block] = logits_NV.gather(1, real_N[block].unsqueeze(1)).squeeze(1).to(wide)
                for chunk in slices(len(logits_NV), rows_at_a_time(ENTRIES_AT_A_TIME, weight)):
                    partition_N[block][chunk] = logits_NV[chunk].to(wide).logsumexp(1)
            log_probs = torch.zeros(labels.numel(), dtype=wide, device=hidden.device)
            log_probs[rows] = picked_N - partition_N
        ctx.save_for_backward(hidden, weight, bias, labels, rows, partition_N)
        ctx.dtype = dtype
        return log_probs.view(labels.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, bias, labels, rows, partition_N = ctx.saved_tensors
        upstream_N = upstream.flatten()[rows]
        counts = upstream_N.nonzero().squeeze(1)  # candidates that cost as much as the rest have no gradient
        rows, partition_N, upstream_N = rows[counts], partition_N[counts], upstream_N[counts]
        real_ND, real_N = hidden.flatten(0, 1).index_select(0, rows).to(ctx.dtype), labels.flatten()[rows]
        weight_VD, gradient_VD = weight.to(ctx.dtype), torch.zeros_like(weight)
        gradient_ND = torch.empty_like(real_ND)
        for block in slices(len(rows), rows_at_a_time(ENTRIES_OF_A_BLOCK, weight)):
            logits_NV = logits_of(real_ND[block], weight_VD, bias)
            for chunk in slices(len(logits_NV), rows_at_a_time(ENTRIES_AT_A_TIME, weight)):
                scale_N1 = upstream_N[block][chunk].unsqueeze(1)
                probabilities_NV = (logits_NV[chunk].to(partition_N.dtype) - partition_N[block][chunk, None]).exp_()
                logits_NV[chunk] = probabilities_NV.mul_(-scale_N1).scatter_add_(
                    1, real_N[block][chunk].unsqueeze(1), scale_N1
                )
            torch.mm(logits_NV, weight_VD, out=gradient_ND[block])
            add_gradient(gradient_VD, logits_NV, real_ND[block])
        gradient = torch.zeros_like(hidden, memory_format=torch.contiguous_format)
        gradient.flatten(0, 1).index_copy_(0, rows, gradient_ND.to(hidden.dtype))
        return gradient, gradient_VD, None, None
