"""A packed model computes what the ordinary one does."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from seq2seq.models.transformer import kernels, packing
from seq2seq.models.transformer.packing import (
    LEVELS,
    LEVELS_OF_SEVEN_BITS,
    HalfLinear,
    PackedLinear,
    QuantizedLinear,
    SevenBitLinear,
    can_halve,
    can_pack,
    can_quantize,
    decoding_copy,
    halve,
    levels_of,
    pack,
    quantize,
)
from tests.models.tiny import PRETRAINED, random_pairs, tiny_model

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}


@pytest.mark.parametrize("dtype", list(TOLERANCES))
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
@pytest.mark.parametrize("options", [{}, {"positions": "rotary"}, {"key_size": 6, "num_heads": 3}, *PRETRAINED])
def test_packed_equals_ordinary(activation: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    if not can_pack(torch.zeros(1, dtype=dtype)):
        pytest.skip(f"oneDNN has no kernels for {dtype} on this machine")
    model, pairs = tiny_model(**{**options, "activation": activation}).to(dtype), random_pairs()
    with torch.no_grad():
        expected = model.teacher_forced(*pairs)
        packed = pack(deepcopy(model))
        assert any(isinstance(module, PackedLinear) for module in packed.modules())
        torch.testing.assert_close(
            packed.teacher_forced(*pairs), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype]
        )


def test_double_precision_stays_as_it_is() -> None:
    model = tiny_model().double()
    assert pack(model) is model
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_a_decoding_copy_leaves_the_trained_model_alone() -> None:
    model = tiny_model().float().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    copy = decoding_copy(model, torch.bfloat16)
    assert model.training
    assert not copy.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.dtype for p in copy.parameters()} == {torch.bfloat16}
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


def logits_of_last_step(model: Any, pairs: Any) -> torch.Tensor:
    """Return what a search that is fed the targets is told last."""
    state = model.encode(pairs.input_ids, pairs.attention_mask)
    for t in range(pairs.decoder_input_ids.shape[1]):
        logits, state = model.step(state, pairs.decoder_input_ids[:, t : t + 1])
    return logits


needs_halves = pytest.mark.skipif(not can_halve("cpu"), reason="this processor has no products of weights in 16 bits")


@needs_halves
@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("num_rows", [0, 1, 7, 37])
def test_products_of_halves_round_the_weight_alone(num_rows: int, has_bias: bool, activation: str) -> None:
    linear = torch.nn.Linear(1021, 19, bias=has_bias)
    hidden = 70_000 * torch.randn(3, num_rows, 1021)
    expected = hidden.double() @ linear.weight.detach().half().double().T
    expected += linear.bias.detach().double() if has_bias else 0
    expected = expected.relu() if activation == "relu" else expected
    found = HalfLinear(linear, activation)(hidden)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1.0)


@needs_halves
def test_weights_that_16_bits_do_not_hold_are_refused() -> None:
    linear = torch.nn.Linear(7, 5)
    linear.weight.detach()[3, 2] = -65_504.0
    found, bias = HalfLinear(linear)(torch.eye(7)[2:3])[0], linear.bias.detach()
    assert float(found[3] - bias[3]) == pytest.approx(-65_504.0, abs=0.01)
    linear.weight.detach()[3, 2] = -70_000.0
    with pytest.raises(ValueError, match=r"larger than fp16 can hold, 65,504; use fp32"):
        HalfLinear(linear)


@needs_halves
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("options", [{}, {"positions": "rotary"}, {"gated_feed_forward": True}, *PRETRAINED])
def test_a_halved_model_is_close_to_the_ordinary_one(options: dict[str, Any], activation: str) -> None:
    model, pairs = tiny_model(**{"activation": activation, **options}).float(), random_pairs()
    with torch.no_grad():
        expected = model.teacher_forced(*pairs)
        halved = halve(deepcopy(model))
        found, logits = halved.teacher_forced(*pairs), logits_of_last_step(halved, pairs)
    assert not any(isinstance(module, torch.nn.Linear) for module in halved.modules())
    assert 0 < (found - expected).norm() / expected.norm() < 0.004
    torch.testing.assert_close(logits[:, 0], found[:, -1], rtol=0, atol=1e-4)


needs_eight_bits = pytest.mark.skipif(not can_quantize("cpu"), reason="this processor has no fast products of bytes")
of_bytes = pytest.mark.parametrize(
    ("kind", "levels"),
    [
        pytest.param(
            *(QuantizedLinear, LEVELS),
            marks=pytest.mark.skipif(not kernels.has_fast_bytes(), reason="this processor has no VNNI"),
        ),
        pytest.param(
            *(SevenBitLinear, LEVELS_OF_SEVEN_BITS),
            marks=pytest.mark.skipif(not kernels.has_fast_pairs(), reason="this processor has VNNI, or no AVX2"),
        ),
    ],
)
"""What multiplies bytes, and how many levels an input has on either side of 0."""


@pytest.fixture
def all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of any size become bytes."""
    monkeypatch.setattr(packing, "SMALLEST_OF_SEVEN_BITS", 0)


def rounded_to_levels(values: torch.Tensor, levels: int = LEVELS) -> torch.Tensor:
    """Return each row rounded to so many levels on either side of 0, its largest magnitude the last of them."""
    scales = values.abs().amax(-1, keepdim=True) / levels
    return (values / scales).round() * scales


@of_bytes
@pytest.mark.parametrize("has_bias", [True, False])
def test_products_of_eight_bits_are_those_of_rounded_factors(kind: Any, levels: int, has_bias: bool) -> None:
    linear = torch.nn.Linear(23, 19, bias=has_bias)
    hidden = 5 * torch.randn(3, 7, 23)
    expected = rounded_to_levels(hidden, levels).double() @ rounded_to_levels(linear.weight.detach()).double().T
    expected += linear.bias.detach().double() if has_bias else 0
    torch.testing.assert_close(kind(linear)(hidden).double(), expected, rtol=1e-5, atol=1e-5)


def test_levels_of_a_weight_do_not_depend_on_how_many_rows_are_rounded_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = torch.randn(23, 7) * torch.logspace(-3, 3, 23).unsqueeze(1)
    weight[5] = 0
    whole = levels_of(weight)
    monkeypatch.setattr(packing, "ROWS_AT_A_TIME", 5)
    for found, expected in zip(levels_of(weight), whole, strict=True):
        assert torch.equal(found, expected)
    levels, scales = whole
    assert levels.abs().amax(1).tolist() == [0 if row == 5 else 127 for row in range(23)]
    torch.testing.assert_close(levels * scales.unsqueeze(1), rounded_to_levels(weight).nan_to_num())


@of_bytes
def test_a_row_of_eight_bits_depends_on_no_other(kind: Any, levels: int) -> None:
    linear = kind(torch.nn.Linear(23, 19))
    hidden = torch.randn(37, 23) * torch.logspace(-9, 9, 37).unsqueeze(1)
    hidden[5] = 0
    together = linear(hidden)
    assert all(torch.equal(linear(hidden[i : i + 1]), together[i : i + 1]) for i in range(37))
    assert torch.equal(together[5], linear.bias)


@of_bytes
def test_the_largest_sums_of_eight_bits_are_whole(kind: Any, levels: int) -> None:
    """Two products of the largest factors are more than 16 bits hold, where inputs have eight."""
    linear = torch.nn.Linear(1024, 5, bias=False)
    linear.weight.detach().fill_(1.0)
    signs = torch.tensor([[1.0], [-1.0]])
    assert torch.equal(kind(linear)(signs.expand(2, 1024)), 1024 * signs.expand(2, 5))


@pytest.mark.skipif(not kernels.has_fast_pairs(), reason="this processor has VNNI, or no AVX2")
@pytest.mark.parametrize("has_halves", [True, False])
def test_without_vnni_small_weights_have_16_or_32_bits(has_halves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "has_half_weights", lambda: has_halves)
    model = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.Linear(512, 511), torch.nn.Linear(511, 7))
    packing.quantize_parts(model)
    assert [type(part) for part in model] == [SevenBitLinear, *2 * [HalfLinear if has_halves else PackedLinear]]


@needs_eight_bits
@pytest.mark.usefixtures("all_sizes")
@pytest.mark.parametrize("options", [{}, {"activation": "gelu", "positions": "rotary"}, *PRETRAINED])
def test_a_quantized_model_is_close_to_the_ordinary_one(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options).float(), random_pairs()
    with torch.no_grad():
        expected = model.teacher_forced(*pairs)
        quantized = quantize(deepcopy(model))
        found, logits = quantized.teacher_forced(*pairs), logits_of_last_step(quantized, pairs)
    assert sum(isinstance(module, (QuantizedLinear, SevenBitLinear)) for module in quantized.modules()) > 10
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < 0.1
    torch.testing.assert_close(logits[:, 0], found[:, -1], rtol=0, atol=0.1 * float(expected.std()))


@pytest.mark.usefixtures("all_sizes")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "int8"])
@pytest.mark.parametrize(
    "options",
    [{"generation_order": "bidirectional", "interaction": kind} for kind in ("none", "tanh", "gate")]
    + [{"generation_order": "interleaved"}],
)
@pytest.mark.parametrize("num_sentences", [1, 30])
def test_packed_models_generate_from_both_ends(num_sentences: int, options: dict[str, Any], precision: str) -> None:
    """Few sentences keep their keys in float32 whatever the weights are."""
    dtype = getattr(torch, precision)
    if precision == "int8" and not can_quantize("cpu"):
        pytest.skip("this processor has no fast products of bytes")
    if precision == "float16" and not can_halve("cpu"):
        pytest.skip("this processor has no products of weights in 16 bits")
    model = tiny_model(**options)
    source = torch.arange(3, 9).expand(num_sentences, -1)
    mask, tokens = torch.ones_like(source, dtype=torch.bool), torch.ones(num_sentences, 2, 1, dtype=torch.long)
    expected, _ = model.in_pairs().step(model.in_pairs().encode(source, mask), tokens)
    replaced = {"int8": quantize, "float16": halve}.get(precision)
    packed = replaced(deepcopy(model).float()) if replaced else pack(deepcopy(model).to(dtype))
    found, _ = packed.in_pairs().step(packed.in_pairs().encode(source, mask), tokens)
    torch.testing.assert_close(found.double(), expected, rtol=0.1, atol=0.1)
