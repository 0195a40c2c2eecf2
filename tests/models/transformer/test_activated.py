from contextlib import nullcontext

import pytest
import torch
from torch import nn

from seq2seq.models.transformer.activated import activated_product, saves_memory
from seq2seq.models.transformer.layers import ACTIVATIONS, FeedForward
from tests.models.tiny import kept_for_the_backward


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu"])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("precision", ["float64", "bf16"])
def test_product_and_gradients_are_those_of_the_two_operations(precision: str, has_bias: bool, activation: str) -> None:
    dtype = torch.float64 if precision == "float64" else torch.float32
    linear = nn.Linear(11, 7, bias=has_bias, dtype=dtype)
    hidden = torch.randn(3, 5, 11, dtype=dtype if precision == "float64" else torch.bfloat16, requires_grad=True)
    upstream = torch.randn(3, 5, 7, dtype=hidden.dtype)
    wanted = [hidden, *linear.parameters()]
    with nullcontext() if precision == "float64" else torch.autocast("cpu", torch.bfloat16):
        assert saves_memory(hidden, linear, ACTIVATIONS[activation])
        found = activated_product(hidden, linear, ACTIVATIONS[activation])
        expected = linear(ACTIVATIONS[activation](hidden))
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(product, wanted, upstream) for product in (found, expected)]
    for mine, other in zip(*gradients, strict=True):
        assert mine.dtype == other.dtype
        torch.testing.assert_close(mine, other, rtol=1e-2 if precision == "bf16" else 1e-12, atol=1e-12)


@pytest.mark.parametrize(("activation", "kept"), [("silu", 1), ("gelu", 1), ("relu", 1)])
def test_one_wide_tensor_is_kept_for_the_backward(activation: str, kept: int) -> None:
    network = FeedForward(5, 13, activation, activation_dropout=0.0)
    with kept_for_the_backward() as tensors:
        network(torch.randn(3, 7, 5))
    assert len({tensor.data_ptr() for tensor in tensors if tensor.numel() == 3 * 7 * 13}) == kept


def test_where_activations_are_dropped_they_are_kept() -> None:
    network = FeedForward(5, 13, "silu", activation_dropout=0.5)
    hidden = torch.randn(3, 7, 5)
    torch.manual_seed(1)
    dropped = network(hidden)
    assert not torch.equal(dropped, network.eval()(hidden))


def test_a_frozen_layer_and_one_without_gradients_are_left_alone() -> None:
    linear, hidden = nn.Linear(11, 7), torch.randn(3, 11)
    with torch.no_grad():
        assert not saves_memory(hidden, linear, ACTIVATIONS["silu"])
    assert not saves_memory(hidden, linear.requires_grad_(False), ACTIVATIONS["silu"])
