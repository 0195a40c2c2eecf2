"""Products over packed weights, by kernels of torch that it names with an underscore; no other file calls them.

Tensors enter and leave. Before a kernel is used for the first time it has to give the right numbers for a small case:
where a version of torch no longer has it, or has it with other arguments, ordinary operations do the same.
"""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ZERO_LEVEL = 128
"""The unsigned level that stands for 0."""
ZERO_OF_SEVEN_BITS = 64
"""The same where there are 128 of them."""


def has_packed_products(dtype: torch.dtype) -> bool:
    """Return whether oneDNN has kernels for packed weights of this type on this machine."""
    if not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return has_bfloat16() and _packing_is_right(dtype)
    if dtype == torch.float16:
        return _says("_is_mkldnn_fp16_supported") and _packing_is_right(dtype)
    return dtype == torch.float32 and _packing_is_right(dtype)


def has_bfloat16() -> bool:
    """Return whether oneDNN has kernels for bfloat16 on this machine."""
    return torch.backends.mkldnn.is_available() and _says("_is_mkldnn_bf16_supported")


def packed(weight: Tensor) -> Tensor:
    """Return a weight [out, in] in oneDNN's own format, for `packed_product`; only where `has_packed_products`."""
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def packed_product(hidden: Tensor, weight: Tensor, bias: Tensor | None, activation: str, variant: str) -> Tensor:
    """Return activation(hidden @ weight.T + bias), in one pass.

    Args:
        weight: as `packed` returns it.
        activation: `none`, `relu`, `swish`, or `gelu` with the variant `none` or `tanh`.
    """
    return torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, activation, [], variant)


def has_fast_bytes() -> bool:
    """Return whether this processor multiplies unsigned by signed bytes in one instruction: x86 with VNNI."""
    return torch.backends.mkldnn.is_available() and _has_vnni()


def packed_bytes(levels: Tensor) -> Tensor:
    """Return a weight of signed bytes [out, in] as `bytes_product` takes it."""
    return torch.ops.onednn.qlinear_prepack(levels, None) if _bytes_are_right() else levels


def bytes_product(levels: Tensor, weight: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """Return ((levels - ZERO_LEVEL) @ weight.T) * scales as float32; the sums are of whole numbers.

    Args:
        levels: uint8 [..., in].
        weight: int8 [out, in], as `packed_bytes` returns it.
        scales: float32 [out].
        zeros: int32 [out], all 0.
    """
    if not _bytes_are_right():
        return _plain_bytes_product(levels, weight, scales)
    return torch.ops.onednn.qlinear_pointwise(
        *(levels, 1.0, ZERO_LEVEL),
        *(weight, scales, zeros, None),
        *(1.0, 0, torch.float32, "none", [], ""),
    )


def _plain_bytes_product(levels: Tensor, weight: Tensor, scales: Tensor) -> Tensor:
    """Float64 holds every sum of so many bytes as it is."""
    return ((levels.double() - ZERO_LEVEL) @ weight.double().T).float() * scales


def has_fast_pairs() -> bool:
    """Return whether FBGEMM multiplies bytes here: x86 without VNNI, but with AVX2.

    Its instruction adds the products of two pairs in 16 bits, which hold them where one factor has seven bits.
    """
    return not has_fast_bytes() and _pairs_are_right()


def packed_pairs(levels: Tensor, scales: Tensor) -> Any:
    """Return a weight of signed bytes [out, in], with a scale for each row, in FBGEMM's own format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a version after those allowed here will have none of it
        zeros = torch.zeros(len(levels), dtype=torch.int64)
        weight = torch._make_per_channel_quantized_tensor(levels, scales.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(weight, None)


def pairs_product(hidden: Tensor, weight: Any) -> Tensor:
    """Return (round(hidden) @ levels.T) * scales as float32; the sums are of whole numbers.

    Args:
        hidden: float32 [..., in], from -63 to 63.
        weight: levels and scales, as `packed_pairs` returns them.
    """
    return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(hidden, 1.0, ZERO_OF_SEVEN_BITS, weight)


def has_half_weights() -> bool:
    """Return whether FBGEMM multiplies float32 by weights of 16 bits here: x86 with AVX2."""
    return _halves_are_right()


def packed_halves(weight: Tensor, bias: Tensor | None) -> Any:
    """Return a float32 weight [out, in], rounded to float16, and its bias in FBGEMM's own format."""
    return torch.ops.quantized.linear_prepack_fp16(weight, bias)


def halves_product(hidden: Tensor, weight: Any, is_relu: bool) -> Tensor:
    """Return hidden @ weight.T + bias, if wanted without what is below 0, all of it in float32.

    Args:
        hidden: float32 [..., in].
        weight: with its bias, as `packed_halves` returns them.
    """
    kernels = torch.ops.quantized
    return (kernels.linear_relu_dynamic_fp16 if is_relu else kernels.linear_dynamic_fp16)(hidden, weight)


@cache
def _says(name: str) -> bool:
    """Return what a question to oneDNN without arguments is answered; no where there is no such question."""
    try:
        return bool(getattr(torch.ops.mkldnn, name)())
    except (AttributeError, RuntimeError, TypeError):
        return False


@cache
def _has_vnni() -> bool:
    try:
        return bool(torch.cpu._is_vnni_supported())
    except (AttributeError, RuntimeError, TypeError):
        processors = Path("/proc/cpuinfo")
        return processors.is_file() and "avx512_vnni" in processors.read_text(encoding="utf-8", errors="replace")


@cache
def _packing_is_right(dtype: torch.dtype) -> bool:
    """Return whether the kernels for packed weights give what ordinary ones do, for numbers that all types hold."""
    hidden, weight, bias = (part.to(dtype) for part in _small_case())
    expected = torch.tensor([[6.0, 0.0], [0.0, 15.0]], dtype=dtype)
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return torch.equal(packed_product(hidden, packed(weight), bias, "relu", ""), expected)
    except (AttributeError, RuntimeError, TypeError):
        return False


@cache
def _bytes_are_right() -> bool:
    """Return whether the kernels for bytes give what float64 does."""
    hidden, weight, _ = _small_case()
    levels, scales = (hidden + ZERO_LEVEL).to(torch.uint8), torch.tensor([0.5, 0.25])
    kernels, weight = torch.ops.onednn, weight.to(torch.int8)
    try:
        found = kernels.qlinear_pointwise(
            *(levels, 1.0, ZERO_LEVEL),
            *(kernels.qlinear_prepack(weight, None), scales, torch.zeros(2, dtype=torch.int32), None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, _plain_bytes_product(levels, weight, scales))


@cache
def _pairs_are_right() -> bool:
    """Return whether the kernels for pairs give what float64 does, at their largest sums, too."""
    if not torch.cpu.get_capabilities().get("avx2", False):
        return False
    hidden, weight, _ = _small_case()
    hidden, weight = torch.cat([hidden, torch.full((1, 3), 63.0)]), torch.cat([weight, torch.full((1, 3), 127.0)])
    scales = torch.tensor([0.5, 0.25, 2.0])
    try:
        found = pairs_product(hidden, packed_pairs(weight.to(torch.int8), scales))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, (hidden.double() @ weight.double().T).float() * scales)


@cache
def _halves_are_right() -> bool:
    """Return whether the kernels for weights of 16 bits give what float32 does, with whole numbers and few."""
    if not torch.cpu.get_capabilities().get("avx2", False):
        return False
    hidden, weight, bias = _small_case()
    expected = torch.nn.functional.linear(hidden, weight, bias)
    try:
        packed_weight = packed_halves(weight, bias)
        return all(
            torch.equal(halves_product(hidden, packed_weight, is_relu), expected.relu() if is_relu else expected)
            for is_relu in (False, True)
        )
    except (AttributeError, RuntimeError, TypeError):
        return False


def _small_case() -> tuple[Tensor, Tensor, Tensor]:
    """Return whole numbers: hidden [2, 3], weight [2, 3], bias [2]; the product is [[5, -4], [-6, 14]] without it."""
    hidden = torch.tensor([[1.0, 2.0, 0.0], [-3.0, 1.0, 2.0]], device="cpu")
    weight = torch.tensor([[3.0, 1.0, 1.0], [-4.0, 0.0, 1.0]], device="cpu")
    return hidden, weight, torch.tensor([1.0, 1.0], device="cpu")
