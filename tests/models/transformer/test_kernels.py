"""Kernels that torch may change without notice: they are what we take them for, and do not have to be there."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seq2seq.models.transformer import kernels
from seq2seq.models.transformer.packing import PackedLinear, QuantizedLinear, can_halve, can_quantize, pack
from tests.models.tiny import random_pairs, tiny_model

CACHED = (
    *(kernels._says, kernels._has_vnni),
    *(kernels._packing_is_right, kernels._bytes_are_right, kernels._pairs_are_right),
    kernels._halves_are_right,
)
needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Have every question asked anew, and the answers of a test forgotten."""
    for answer in CACHED:
        answer.cache_clear()
    yield
    for answer in CACHED:
        answer.cache_clear()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that has none of the kernels and answers none of the questions."""
    monkeypatch.setattr(torch, "ops", SimpleNamespace(mkldnn=SimpleNamespace(), onednn=SimpleNamespace()))
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported")


@needs_onednn
def test_this_torch_has_the_kernels_as_we_know_them() -> None:
    """Where this fails, a new version of torch has other kernels: all works on, but slower, until `kernels` follows."""
    assert kernels._packing_is_right(torch.float32)
    assert kernels._bytes_are_right()
    assert isinstance(torch.ops.mkldnn._is_mkldnn_bf16_supported(), bool)
    assert isinstance(torch.ops.mkldnn._is_mkldnn_fp16_supported(), bool)
    assert isinstance(torch.cpu._is_vnni_supported(), bool)
    has_avx2 = torch.cpu.get_capabilities().get("avx2", False)
    assert kernels.has_fast_bytes() or kernels.has_fast_pairs() == has_avx2
    assert kernels.has_half_weights() == has_avx2


@needs_onednn
@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_a_fused_gelu_is_that_of_torch(variant: str) -> None:
    hidden, weight, bias = torch.randn(5, 7), torch.randn(3, 7), torch.randn(3)
    found = kernels.packed_product(hidden, kernels.packed(weight), bias, "gelu", variant)
    expected = torch.nn.functional.gelu(torch.nn.functional.linear(hidden, weight, bias), approximate=variant)
    torch.testing.assert_close(found, expected)


@needs_onednn
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_fused_swish_is_that_of_torch(has_bias: bool) -> None:
    hidden, weight, bias = 5 * torch.randn(5, 7), torch.randn(3, 7), torch.randn(3) if has_bias else None
    found = kernels.packed_product(hidden, kernels.packed(weight), bias, "swish", "")
    expected = torch.nn.functional.silu(torch.nn.functional.linear(hidden, weight, bias))
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("bare")
def test_without_packing_a_model_stays_as_it_is() -> None:
    model = tiny_model().float()
    assert not any(kernels.has_packed_products(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16))
    packed = pack(deepcopy(model))
    assert not any(isinstance(module, PackedLinear) for module in packed.modules())
    pairs = random_pairs()
    assert torch.equal(packed.teacher_forced(*pairs), model.teacher_forced(*pairs))


@pytest.mark.skipif(not kernels.has_fast_bytes(), reason="this processor has no VNNI")
def test_without_kernels_for_bytes_the_numbers_are_the_same(
    request: pytest.FixtureRequest,
) -> None:
    linear, hidden = torch.nn.Linear(257, 31), torch.randn(3, 7, 257)
    expected = QuantizedLinear(linear)(hidden)
    kernels._bytes_are_right.cache_clear()
    request.getfixturevalue("bare")
    assert torch.equal(QuantizedLinear(linear)(hidden), expected)


@pytest.mark.skipif(not kernels.has_fast_pairs(), reason="this processor has VNNI, or no AVX2")
def test_without_kernels_for_pairs_there_are_none_of_bytes(request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    assert can_quantize("cpu")
    monkeypatch.setattr(kernels, "pairs_product", lambda hidden, weight: torch.zeros(3, 3))
    kernels._pairs_are_right.cache_clear()
    assert not can_quantize("cpu")
    monkeypatch.undo()
    kernels._pairs_are_right.cache_clear()
    request.getfixturevalue("bare")
    assert not can_quantize("cpu")


@pytest.mark.skipif(not kernels.has_half_weights(), reason="this processor has no AVX2")
def test_kernels_for_halves_are_used_where_they_are_and_right(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_halve("cpu")
    assert not can_halve("cuda")
    monkeypatch.setattr(kernels, "halves_product", lambda hidden, weight, is_relu: torch.zeros(2, 2))
    kernels._halves_are_right.cache_clear()
    assert not can_halve("cpu")
    monkeypatch.undo()
    kernels._halves_are_right.cache_clear()
    request.getfixturevalue("bare")
    assert not can_halve("cpu")


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_with_other_arguments_or_numbers_are_not_used(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*arguments: Any) -> torch.Tensor:
        raise RuntimeError("mkldnn::_linear_pointwise() is missing value for argument 'algorithm'")

    for changed in (other, lambda *arguments: torch.zeros(2, 2, dtype=dtype)):
        kernels._packing_is_right.cache_clear()
        monkeypatch.setattr(kernels, "packed_product", changed)
        assert not kernels._packing_is_right(dtype)


@pytest.mark.usefixtures("bare")
def test_a_processor_is_known_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in (("flags : avx2 avx512_vnni", True), ("flags : avx2", False)):
        kernels._has_vnni.cache_clear()
        monkeypatch.setattr("pathlib.Path.read_text", lambda path, flags=flags, **options: flags)
        monkeypatch.setattr("pathlib.Path.is_file", lambda path: True)
        assert kernels._has_vnni() == expected
