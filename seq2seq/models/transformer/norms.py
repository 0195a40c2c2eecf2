"""Normalisation of the last dimension: [..., D] in, [..., D] out."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RMSNorm(nn.RMSNorm):
    """Division by the root mean square (Zhang and Sennrich 2019), times a weight.

    For the backward it keeps its input, where torch's keeps on CPUs the normalised input as well. Elsewhere torch has
    one kernel for all of it.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        is_plain = hidden.dtype == self.weight.dtype and hidden.dtype in (torch.float32, torch.float64)
        if not (is_plain and hidden.device.type == "cpu" and torch.is_grad_enabled()):
            return super().forward(hidden)
        normalized: Tensor = _RMSNormalized.apply(hidden, self.weight, self.eps)
        return normalized


class _RMSNormalized(torch.autograd.Function):
    """y = w * x / r with r^2 = mean(x^2) + epsilon: dx = (w * dy - x / r * mean(w * dy * x / r)) / r."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        inverse = torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(hidden, weight, inverse)
        return (hidden * inverse).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weight, inverse = ctx.saved_tensors
        normalized = hidden * inverse
        of_weight = (upstream * normalized).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        of_normalized = upstream * weight
        shares = (of_normalized * normalized).mean(-1, keepdim=True)
        return of_normalized.sub_(normalized.mul_(shares)).mul_(inverse), of_weight, None


NORMS: dict[str, Callable[..., nn.Module]] = {"layer_norm": nn.LayerNorm, "rms_norm": RMSNorm}


def make_norm(norm: str, d_model: int, epsilon: float) -> nn.Module:
    """Return a normalisation of vectors of this size."""
    return NORMS[norm](d_model, eps=epsilon)
