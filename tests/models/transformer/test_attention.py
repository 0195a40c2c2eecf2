import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seq2seq.models.transformer.attention import (
    FEW_QUERIES,
    MASKED,
    SelfAttention,
    attention_bias,
    causal_bias,
    explicit_attention,
    sdpa_attention,
    softmax_attention,
    source_bias,
)

B, H, T, S, K, V = 2, 3, 5, 7, 4, 11


def loop_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention position by position, over the keys that the mask [B, T, S] allows."""
    output = torch.zeros(B, H, T, V, dtype=queries.dtype)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                allowed = [s for s in range(S) if mask[b, t, s]]
                scores = torch.stack([queries[b, h, t] @ keys[b, h, s] / math.sqrt(K) for s in allowed])
                exponentials = (scores - scores.max()).exp()
                weights = exponentials / exponentials.sum()
                output[b, h, t] = sum(w * values[b, h, s] for w, s in zip(weights, allowed, strict=True))
    return output


@pytest.fixture
def heads() -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((B, H, T, K), (B, H, S, K), (B, H, S, V))
    queries, keys, values = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return queries, keys, values


@pytest.fixture
def mask() -> Tensor:
    """[B, T, S], with at least one key per query."""
    mask = torch.rand(B, T, S) < 0.5
    mask[:, :, 2] = True
    return mask


@pytest.mark.parametrize("attend", [explicit_attention, sdpa_attention, softmax_attention])
def test_all_forms_equal_the_loop_in_values_and_gradients(
    attend: Callable[..., tuple[Tensor, Tensor]], heads: tuple[Tensor, Tensor, Tensor], mask: Tensor
) -> None:
    expected = loop_attention(*heads, mask)
    weight = torch.randn_like(expected)
    expected_gradients = torch.autograd.grad((expected * weight).sum(), heads)
    output, _ = attend(*heads, attention_bias(mask[:, None], torch.float64), 0.0, False, False)
    gradients = torch.autograd.grad((output * weight).sum(), heads)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attend", [explicit_attention, sdpa_attention, softmax_attention])
def test_products_that_are_not_scaled(
    attend: Callable[..., tuple[Tensor, Tensor]], heads: tuple[Tensor, Tensor, Tensor], mask: Tensor
) -> None:
    queries, keys, values = heads
    expected = loop_attention(queries * math.sqrt(K), keys, values, mask)
    bias = attention_bias(mask[:, None], torch.float64)
    for needs_gradient in (True, False):
        with torch.set_grad_enabled(needs_gradient):
            output, _ = attend(*heads, bias, is_scaled=False)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)


def test_gradients_and_few_queries_choose_the_explicit_form_on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    module = "seq2seq.models.transformer.attention"
    for name in ("explicit_attention", "sdpa_attention"):
        monkeypatch.setattr(f"{module}.{name}", lambda *_, name=name: used.append(name))
    few, many = torch.zeros(1, 1, FEW_QUERIES, K), torch.zeros(1, 1, FEW_QUERIES + 1, K)
    softmax_attention(many, many, many, None)
    with torch.no_grad():
        softmax_attention(few, many, many, None)
        softmax_attention(many, many, many, None)
        softmax_attention(many, many, many, None, need_weights=True)
    assert used == ["explicit_attention", "explicit_attention", "sdpa_attention", "explicit_attention"]


def test_without_gradients_the_explicit_form_is_the_same(heads: tuple[Tensor, Tensor, Tensor], mask: Tensor) -> None:
    bias = attention_bias(mask[:, None], torch.float64)
    expected, expected_weights = explicit_attention(*heads, bias, need_weights=True)
    with torch.no_grad():
        output, weights = explicit_attention(*heads, bias, need_weights=True)
        half = [part.bfloat16() for part in heads]
        rounded, _ = explicit_attention(*half, bias.bfloat16())
        torch.manual_seed(5)
        dropped, _ = explicit_attention(*heads, bias, 0.5, training=True)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(weights, expected_weights)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.double(), expected, rtol=0.05, atol=0.05)
    assert not torch.allclose(dropped, expected), "training drops weights also where no gradient is needed"


@pytest.mark.parametrize("attend", [explicit_attention, sdpa_attention])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_row_without_keys_stays_finite(attend: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype) -> None:
    heads = [(5 * torch.randn(B, H, S, K)).to(dtype).requires_grad_() for _ in range(3)]
    mask = torch.tensor([[False] * S, [True] * 3 + [False] * 4])
    output, _ = attend(*heads, source_bias(mask, dtype))
    output.sum().backward()
    assert output.isfinite().all()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in heads)


def test_causal_bias_by_hand() -> None:
    like = torch.zeros((), dtype=torch.float64)
    masked = torch.tensor([[False, False, True], [False, False, False]])
    bias = causal_bias(2, 1, None, like)
    assert bias is not None
    assert torch.equal(bias, torch.where(masked, MASKED, 0.0).double())
    assert causal_bias(1, 5, None, like) is None
    padded = causal_bias(2, 1, torch.tensor([[0, 1, 1]]), like)
    assert padded is not None
    assert (padded[0, 0] == MASKED).tolist() == [[True, False, True], [True, False, False]]


def test_dropout_of_weights_only_in_training(heads: tuple[Tensor, Tensor, Tensor]) -> None:
    for attend in (explicit_attention, sdpa_attention):
        assert torch.equal(attend(*heads, None, 0.5, False)[0], attend(*heads, None, 0.0, True)[0])
        assert not torch.allclose(attend(*heads, None, 0.5, True)[0], attend(*heads, None, 0.0, True)[0])


def test_self_attention_is_the_separate_projections() -> None:
    attention = SelfAttention(13, H, K, V, 0.0, explicit_attention).double()
    hidden = torch.randn(B, T, 13, dtype=torch.float64)
    weight, bias = attention.queries_keys_values.weight, attention.queries_keys_values.bias
    parts = []
    for start, size in ((0, K), (H * K, K), (2 * H * K, V)):
        rows = slice(start, start + H * size)
        parts.append((hidden @ weight[rows].T + bias[rows]).view(B, T, H, size).transpose(1, 2))
    queries, keys, values = parts
    heads, _ = explicit_attention(queries, keys, values, None)
    expected = heads.transpose(1, 2).reshape(B, T, H * V) @ attention.output.weight.T + attention.output.bias
    torch.testing.assert_close(attention(hidden, None).output, expected)
