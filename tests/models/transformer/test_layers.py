from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from seq2seq.models.transformer.layers import FeedForward, Residual


@pytest.mark.parametrize(("activation", "approximate"), [("gelu", "none"), ("gelu_tanh", "tanh")])
def test_gelu_is_exact_unless_asked(activation: str, approximate: str) -> None:
    feed_forward = FeedForward(3, 5, activation, 0.0).double()
    hidden = 3 * torch.randn(2, 7, 3, dtype=torch.float64)
    expanded = feed_forward.expand(hidden)
    expected = feed_forward.contract(functional.gelu(expanded, approximate=approximate))
    torch.testing.assert_close(feed_forward(hidden), expected, rtol=0, atol=0)


def test_gates_multiply_what_passed_the_non_linearity() -> None:
    feed_forward = FeedForward(3, 5, "silu", 0.0, is_gated=True).double()
    hidden = 3 * torch.randn(2, 7, 3, dtype=torch.float64)
    weight, bias = feed_forward.expand.weight, feed_forward.expand.bias
    passed, gate = (functional.linear(hidden, weight[part], bias[part]) for part in (slice(5), slice(5, 10)))
    expected = feed_forward.contract(passed * passed.sigmoid() * gate)
    torch.testing.assert_close(feed_forward(hidden), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_gated", [False, True])
def test_layers_without_biases(is_gated: bool) -> None:
    feed_forward = FeedForward(3, 5, "relu", 0.0, has_bias=False, is_gated=is_gated)
    assert [name for name, _ in feed_forward.named_parameters()] == ["expand.weight", "contract.weight"]
    assert not feed_forward(torch.zeros(1, 1, 3)).any()


def test_residual_order() -> None:
    hidden, branch = torch.randn(2, 3, 5, 7)
    before, after = (Residual(partial(nn.LayerNorm, 7), position, 0.0) for position in ("pre", "post"))
    assert torch.equal(before.enter(hidden), functional.layer_norm(hidden, (7,)))
    assert torch.equal(before.leave(hidden, branch), hidden + branch)
    assert after.enter(hidden) is hidden
    assert torch.equal(after.leave(hidden, branch), functional.layer_norm(hidden + branch, (7,)))
