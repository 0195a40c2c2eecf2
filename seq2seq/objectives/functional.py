"""Label-smoothed negative log-likelihood as a sum over real tokens.

Logits and labels enter; a loss sum, the plain negative log-likelihood sum and the number of tokens whose label is the
likeliest leave, all from one pass. Padding is left out before the softmax, so it costs nothing. The gradient is written
out, because the vocabulary-sized tensor is then read and written half as often as by PyTorch's own cross-entropy.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.data.batch import IGNORED_LABEL


class TokenLoss(NamedTuple):
    """Sums over real tokens, float32 scalars."""

    loss_sum: Tensor
    """Label-smoothed negative log-likelihood in nats; the only one with a gradient."""
    nll_sum: Tensor
    """Negative log-likelihood in nats."""
    num_correct: Tensor
    """Tokens whose label has the highest logit (ties count)."""


def label_smoothed_nll(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> TokenLoss:
    """Return the loss against the distribution (1 - e) * one_hot(label) + e / V, summed over real tokens.

    This is PyTorch's definition: the smoothing mass e is spread over all V entries, the label's own included. The sum
    is computed in float32 whatever the type of the logits, and can be differentiated once.

    Args:
        logits: floating point [B, T, V].
        labels: int64 [B, T]; positions with `IGNORED_LABEL` are left out.
        label_smoothing: probability mass e, in [0, 1).
    """
    assert logits.shape[:2] == labels.shape, f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} differ"
    needs_gradient = torch.is_grad_enabled() and logits.requires_grad
    return TokenLoss(*_LabelSmoothedNLL.apply(logits, labels, label_smoothing, needs_gradient))


class _LabelSmoothedNLL(torch.autograd.Function):
    """d loss / d logits = softmax(logits) - (1 - e) * one_hot(label) - e / V, at real positions; zero elsewhere.

    The gradient is made in the forward pass, a few rows at a time, while they are in the processor's cache: vocabulary
    times tokens is written once, in the logits' own type. A pass for each operation took a quarter of a bf16 step.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, label_smoothing: float, needs_gradient: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        flat_logits, flat_labels = logits.flatten(0, 1), labels.flatten()
        is_real = flat_labels != IGNORED_LABEL
        # fp16 holds small probabilities only once they are scaled, which happens in the backward pass.
        gradient_dtype = torch.float32 if logits.dtype == torch.float16 else logits.dtype
        gradient = torch.empty_like(flat_logits, dtype=gradient_dtype) if needs_gradient else None
        if gradient is not None:
            gradient.index_fill_(0, (~is_real).nonzero().squeeze(1), 0)
        sums = torch.zeros(3, device=logits.device)
        for rows_N in is_real.nonzero().squeeze(1).split(_rows_at_a_time(flat_logits)):
            logits_NV = flat_logits.index_select(0, rows_N).float()
            labels_N1 = flat_labels[rows_N].unsqueeze(1)
            chunk_sums, gradient_NV = _chunk(logits_NV, labels_N1, label_smoothing, needs_gradient)
            sums += chunk_sums
            if gradient is not None:
                gradient.index_copy_(0, rows_N, gradient_NV.to(gradient_dtype))
        nll_sum, uniform_sum, num_correct = sums.unbind()
        ctx.gradient, ctx.dtype, ctx.shape = gradient, logits.dtype, logits.shape
        ctx.mark_non_differentiable(nll_sum, num_correct)
        return (1.0 - label_smoothing) * nll_sum + label_smoothing * uniform_sum, nll_sum, num_correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        upstream, gradient = gradients[0], ctx.gradient
        ctx.gradient = None  # it is changed in place, so it serves once
        assert gradient is not None, "the loss was differentiated twice, or not meant to be"
        if upstream.device.type != "cpu" or upstream.item() != 1.0:
            gradient *= upstream
        return gradient.to(ctx.dtype).view(ctx.shape), None, None, None


ENTRIES_AT_A_TIME = {"cpu": 2**20, "other": 2**27}
"""Logits in float32 that are worked on at a time: 4 MB, about a processor's cache; 512 MB on an accelerator."""


def _rows_at_a_time(flat_logits: Tensor) -> int:
    entries = ENTRIES_AT_A_TIME["cpu" if flat_logits.device.type == "cpu" else "other"]
    return max(1, entries // flat_logits.shape[1])


def _chunk(logits_NV: Tensor, labels_N1: Tensor, label_smoothing: float, needs_gradient: bool) -> tuple[Tensor, Tensor]:
    """Return the sums (negative log-likelihood, mean over the vocabulary, number correct) and the gradient [N, V].

    Args:
        logits_NV: float32, overwritten.
    """
    picked_N1, largest_N1 = logits_NV.gather(1, labels_N1), logits_NV.amax(1, keepdim=True)
    mean_N1 = logits_NV.mean(1, keepdim=True)
    exp_NV = logits_NV.sub_(largest_N1).exp_()
    partition_N1 = exp_NV.sum(1, keepdim=True)
    log_partition_N1 = partition_N1.log() + largest_N1
    num_correct = (picked_N1 == largest_N1).sum()
    sums = torch.stack([(log_partition_N1 - picked_N1).sum(), (log_partition_N1 - mean_N1).sum(), num_correct])
    if needs_gradient:
        exp_NV.div_(partition_N1).sub_(label_smoothing / logits_NV.shape[1])
        exp_NV.scatter_add_(1, labels_N1, torch.full_like(picked_N1, label_smoothing - 1.0))
    return sums, exp_NV
