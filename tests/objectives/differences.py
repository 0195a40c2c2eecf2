"""Gradients against finite differences, for losses that can be differentiated once: `gradcheck` does it many times."""

from collections.abc import Callable

import torch
from torch import Tensor


def assert_gradients(loss: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-6) -> None:
    """Compare the gradient of a loss by each element of float64 inputs with its central difference."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    found = torch.autograd.grad(loss(*leaves), leaves)
    with torch.no_grad():
        for leaf, gradient in zip(leaves, found, strict=True):
            assert leaf.dtype == torch.float64
            expected, flat = torch.empty_like(gradient), leaf.view(-1)
            for i, value in enumerate(flat.tolist()):
                flat[i] = value + step
                high = loss(*leaves)
                flat[i] = value - step
                expected.view(-1)[i] = (high - loss(*leaves)) / (2 * step)
                flat[i] = value
            torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-7)
