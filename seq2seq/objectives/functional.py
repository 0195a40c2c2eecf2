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
    return TokenLoss(*_LabelSmoothedNLL.apply(logits, labels, label_smoothing))


class _LabelSmoothedNLL(torch.autograd.Function):
    """d loss / d logits = softmax(logits) - (1 - e) * one_hot(label) - e / V, at real positions; zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor, Tensor]:
        real_N = (labels.flatten() != IGNORED_LABEL).nonzero().squeeze(1)
        labels_N1 = labels.flatten()[real_N].unsqueeze(1)
        logits_NV = logits.flatten(0, 1).index_select(0, real_N).float()
        vocab_size = logits_NV.shape[1]

        picked_N1, largest_N1 = logits_NV.gather(1, labels_N1), logits_NV.amax(1, keepdim=True)
        mean_N1 = logits_NV.mean(1, keepdim=True)
        num_correct = (picked_N1 == largest_N1).sum().float()
        exp_NV = logits_NV.sub_(largest_N1).exp_()  # in place: the selection above is our own copy
        partition_N1 = exp_NV.sum(1, keepdim=True)
        log_partition_N1 = partition_N1.log() + largest_N1
        nll_sum = (log_partition_N1 - picked_N1).sum()
        uniform_sum = (log_partition_N1 - mean_N1).sum()

        ctx.save_for_backward(exp_NV, partition_N1, labels_N1, real_N)
        ctx.label_smoothing, ctx.smoothing_per_entry = label_smoothing, label_smoothing / vocab_size
        ctx.shape, ctx.dtype = logits.shape, logits.dtype
        ctx.mark_non_differentiable(nll_sum, num_correct)
        loss_sum = (1.0 - label_smoothing) * nll_sum + label_smoothing * uniform_sum
        return loss_sum, nll_sum, num_correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        exp_NV, partition_N1, labels_N1, real_N = ctx.saved_tensors
        upstream = gradients[0]
        gradient_NV = (exp_NV * (upstream / partition_N1)).sub_(upstream * ctx.smoothing_per_entry)
        gradient_NV.scatter_add_(1, labels_N1, (upstream * (ctx.label_smoothing - 1.0)).expand_as(labels_N1))
        gradient = torch.zeros(ctx.shape, dtype=ctx.dtype, device=exp_NV.device)
        gradient.flatten(0, 1).index_copy_(0, real_N, gradient_NV.to(ctx.dtype))
        return gradient, None, None
