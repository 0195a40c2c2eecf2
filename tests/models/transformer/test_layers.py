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


def test_residual_order() -> None:
    hidden, branch = torch.randn(2, 3, 5, 7)
    before, after = (Residual(partial(nn.LayerNorm, 7), position, 0.0) for position in ("pre", "post"))
    assert torch.equal(before.enter(hidden), functional.layer_norm(hidden, (7,)))
    assert torch.equal(before.leave(hidden, branch), hidden + branch)
    assert after.enter(hidden) is hidden
    assert torch.equal(after.leave(hidden, branch), functional.layer_norm(hidden + branch, (7,)))
