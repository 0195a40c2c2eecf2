"""A non-linearity and the linear layer behind it, of which the backward keeps what enters and not what is between.

Of the widest tensors of a network two are kept otherwise, the non-linearity's input for its own gradient and its
output for that of the weight: with 6 + 6 layers 512 wide and 1,900 tokens a side an eighth of all that a step in bf16
keeps. The non-linearity, of both the cheaper, is made again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def saves_memory(hidden: Tensor, linear: nn.Module, activation: Callable[[Tensor], Tensor]) -> bool:
    """Return whether `activated_product` takes less memory here: on CPUs, for a plain layer in training, and where the
    non-linearity keeps its input. That of relu is its output."""
    is_plain = type(linear) is nn.Linear and linear.weight.requires_grad
    return hidden.device.type == "cpu" and is_plain and torch.is_grad_enabled() and activation is not functional.relu


def activated_product(hidden: Tensor, linear: nn.Linear, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Return linear(activation(hidden)), in the type of `hidden`, which is that of autocast's products."""
    product: Tensor = _ActivatedProduct.apply(hidden, linear.weight, linear.bias, activation)
    return product


class _ActivatedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, activation: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.activation = activation
        with torch.autocast(hidden.device.type, enabled=False):
            bias = None if bias is None else bias.to(hidden.dtype)
            return functional.linear(activation(hidden), weight.to(hidden.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        hidden, weight = ctx.saved_tensors
        with torch.enable_grad():
            again = hidden.detach().requires_grad_()
            activated = ctx.activation(again)
        rows = upstream.flatten(0, -2)
        of_weight = (rows.T @ activated.detach().flatten(0, -2)).to(weight.dtype)
        of_bias = rows.sum(0).to(weight.dtype) if ctx.needs_input_grad[2] else None
        [of_hidden] = torch.autograd.grad(activated, again, upstream @ weight.to(upstream.dtype))
        return of_hidden, of_weight, of_bias, None
