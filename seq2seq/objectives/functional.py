"""Label-smoothed negative log-likelihood as a sum over real tokens, from the states before the output layer.

Hidden states, output weights and labels enter; a loss sum, the plain negative log-likelihood sum and the number of
tokens whose label is the likeliest leave, with the gradients of both inputs from the same pass. Logits exist for a
block of real tokens at a time: padding never meets the vocabulary, and memory does not grow with the batch.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.data.batch import IGNORED_LABEL

ENTRIES_AT_A_TIME = {"cpu": 2**20, "other": 2**27}
"""Logits that are worked on at a time: in float32 4 MB, about a processor's cache; 512 MB on an accelerator."""

ENTRIES_OF_A_BLOCK = {"cpu": 2**24, "other": 2**27}
"""Logits that one product makes. Below some hundred rows, the gradient of the weights costs more to add than to make:
on two cores, with a vocabulary of 8,000, blocks of 128 rows take 1.5 times as long as blocks of 2,000."""


class TokenLoss(NamedTuple):
    """Sums over real tokens, float32 scalars."""

    loss_sum: Tensor
    """Label-smoothed negative log-likelihood in nats; the only one with a gradient."""
    nll_sum: Tensor
    """Negative log-likelihood in nats."""
    num_correct: Tensor
    """Tokens whose label has the highest logit (ties count)."""


def label_smoothed_nll(
    hidden: Tensor, weight: Tensor, labels: Tensor, label_smoothing: float, bias: Tensor | None = None
) -> TokenLoss:
    """Return the loss against the distribution (1 - e) * one_hot(label) + e / V, summed over real tokens.

    This is PyTorch's definition: the smoothing mass e is spread over all V entries, the label's own included. Products
    are in the type of autocast where that is on, sums in float32; it can be differentiated once.

    Args:
        hidden: floating point [B, T, D].
        weight: the output layer's, [V, D].
        labels: int64 [B, T]; positions with `IGNORED_LABEL` are left out.
        label_smoothing: probability mass e, in [0, 1).
        bias: the output layer's, [V], which is not trained; None = none.
    """
    assert hidden.shape[:2] == labels.shape, f"hidden {tuple(hidden.shape)} and labels {tuple(labels.shape)} differ"
    needed = Needed.of(hidden, weight)
    return TokenLoss(*_LabelSmoothedNLL.apply(hidden, weight, bias, labels, label_smoothing, needed))


class Needed(NamedTuple):
    """Whose gradients are: a frozen output layer needs none, and makes neither the product nor the matrix."""

    hidden: bool
    weight: bool

    @classmethod
    def of(cls, hidden: Tensor, weight: Tensor) -> "Needed":
        is_on = torch.is_grad_enabled()
        return cls(is_on and hidden.requires_grad, is_on and weight.requires_grad)


def product_dtype(hidden: Tensor) -> torch.dtype:
    """Return the type that products are made in; fp16 would lose small probabilities before they can be scaled."""
    device_type = hidden.device.type
    dtype = torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else hidden.dtype
    return torch.float32 if dtype == torch.float16 else dtype


def logits_of(hidden_ND: Tensor, weight_VD: Tensor, bias: Tensor | None) -> Tensor:
    """Return the logits [N, V] of states, in their type."""
    if bias is None:
        return hidden_ND @ weight_VD.T
    assert not bias.requires_grad, "the bias of the logits has no gradient here"
    return torch.addmm(bias.to(hidden_ND.dtype), hidden_ND, weight_VD.T)


def add_gradient(gradient_VD: Tensor, logits_NV: Tensor, hidden_ND: Tensor) -> None:
    """Add the gradient of a weight to one, from that of logits and from states.

    Of another type it is made some rows at a time, since torch widens it as a whole before it adds: with 58,101 tokens
    of 512 features that takes three halves of the gradient's own memory.
    """
    if gradient_VD.dtype == hidden_ND.dtype:
        gradient_VD.addmm_(logits_NV.T, hidden_ND)
        return
    for part in slices(len(gradient_VD), rows_at_a_time(ENTRIES_AT_A_TIME, gradient_VD.T)):
        gradient_VD[part].add_(logits_NV[:, part].T @ hidden_ND)


class _LabelSmoothedNLL(torch.autograd.Function):
    """d loss / d logits = softmax(logits) - (1 - e) * one_hot(label) - e / V, at real positions.

    The gradient is made in the forward pass, in place of the logits, some rows at a time while they are in the
    processor's cache, and goes into both products at once. The smoothing's part of loss and gradient is the same for
    all entries, so it is had from the mean weight vector, without a pass over the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        label_smoothing: float,
        needed: Needed,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = product_dtype(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            flat_labels = labels.flatten()
            rows = real_rows(labels)
            real_ND, real_N = hidden.flatten(0, 1).index_select(0, rows).to(dtype), flat_labels[rows]
            weight_VD, total_D = weight.to(dtype), real_ND.float().sum(0)
            mean_D = weight.mean(0, dtype=torch.float32)  # without a float32 copy of the weight
            sums = torch.zeros(3, device=hidden.device)
            gradient_ND = torch.empty_like(real_ND) if needed.hidden else None
            gradient_VD = None
            if needed.weight:
                uniform_D = (total_D * (-label_smoothing / len(weight))).to(weight.dtype)
                gradient_VD = uniform_D.expand_as(weight).contiguous()
            for start in range(0, len(rows), size := rows_at_a_time(ENTRIES_OF_A_BLOCK, weight)):
                block_ND = real_ND[start : start + size]
                logits_NV = logits_of(block_ND, weight_VD, bias)
                sums += _score_in_place(logits_NV, real_N[start : start + size], label_smoothing, any(needed))
                if gradient_ND is not None:
                    torch.mm(logits_NV, weight_VD, out=gradient_ND[start : start + size])
                if gradient_VD is not None:
                    add_gradient(gradient_VD, logits_NV, block_ND)
                del logits_NV  # or there were two blocks while the next is made
        nll_sum, log_partition_sum, num_correct = sums.unbind()
        gradient = None
        if gradient_ND is not None:
            gradient = torch.zeros_like(hidden, memory_format=torch.contiguous_format)
            gradient_ND = gradient_ND.to(hidden.dtype).sub_((label_smoothing * mean_D).to(hidden.dtype))
            gradient.flatten(0, 1).index_copy_(0, rows, gradient_ND)
        ctx.gradients = (gradient, gradient_VD) if any(needed) else None
        ctx.mark_non_differentiable(nll_sum, num_correct)
        uniform_sum = log_partition_sum - total_D @ mean_D
        if bias is not None:
            uniform_sum = uniform_sum - len(rows) * bias.mean(dtype=torch.float32)
        return (1.0 - label_smoothing) * nll_sum + label_smoothing * uniform_sum, nll_sum, num_correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        gradients, ctx.gradients = ctx.gradients, None  # they are changed in place, so they serve once
        assert gradients is not None, "the loss was differentiated twice, or not meant to be"
        if upstream[0].device.type != "cpu" or upstream[0].item() != 1.0:
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(upstream[0])
        return *gradients, None, None, None, None


def real_rows(labels: Tensor) -> Tensor:
    """Return the positions of labels [B, T] that count, as int64 [N] into the flattened ones."""
    return (labels.flatten() != IGNORED_LABEL).nonzero().squeeze(1)


def slices(length: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size`, or of 1, that cover a length; of 0 a single empty one."""
    size = max(1, size)
    for start in range(0, max(1, length), size):
        yield slice(start, min(start + size, length))


def rows_at_a_time(entries: dict[str, int], weight: Tensor) -> int:
    """Return how many rows of logits have about so many entries."""
    return max(1, entries["cpu" if weight.device.type == "cpu" else "other"] // weight.shape[0])


def _score_in_place(logits_NV: Tensor, labels_N: Tensor, label_smoothing: float, needs_gradient: bool) -> Tensor:
    """Return the sums (negative log-likelihood, log-partition, number correct), float32 [3].

    Args:
        logits_NV: becomes softmax(logits) - (1 - e) * one_hot(label), if a gradient is needed.
    """
    sums = torch.zeros(3, device=logits_NV.device)
    size = rows_at_a_time(ENTRIES_AT_A_TIME, logits_NV.T)
    for chunk_NV, chunk_N in zip(logits_NV.split(size), labels_N.split(size), strict=True):
        labels_N1 = chunk_N.unsqueeze(1)
        log_probs_NV = chunk_NV.log_softmax(-1, dtype=torch.float32)
        picked_N1 = log_probs_NV.gather(1, labels_N1)
        num_correct = (picked_N1 == log_probs_NV.amax(1, keepdim=True)).sum()
        sums += torch.stack([-picked_N1.sum(), (chunk_NV.gather(1, labels_N1) - picked_N1).sum(), num_correct])
        if needs_gradient:  # subtracted before it is rounded: near the label's probability little is left
            gradient_NV = log_probs_NV.exp_()
            gradient_NV.scatter_add_(1, labels_N1, torch.full_like(picked_N1, label_smoothing - 1.0))
            chunk_NV.copy_(gradient_NV)
    return sums
