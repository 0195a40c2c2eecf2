"""Weights laid out for inference on CPUs: in oneDNN's blocked format, in 16 bits, or as 8-bit integers.

An ordinary product rearranges its weight on every call. With 32 rows, those of a greedy step, that took half of the
product's time in either precision; with 160, those of a beam, a third in bf16 and a tenth in fp32. In 8 bits a product
takes two thirds of its time in bf16, and where memory is the limit, half; on processors without VNNI, three quarters to
a fifth of its time in fp32, if its weight is large. With a weight in 16 bits it takes half of its time in fp32 for a
few rows, and nine tenths for many. A packed model can no longer be trained or saved.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from seq2seq.models.transformer import kernels
from seq2seq.models.transformer.adapters import merge_adapters
from seq2seq.models.transformer.layers import ACTIVATIONS, FeedForward
from seq2seq.models.transformer.searching import SearchableTransformer

Model = TypeVar("Model", bound=SearchableTransformer)

RELU: dict[Callable, tuple[str, ...]] = {ACTIVATIONS["relu"]: ("relu",)}
FUSED_ACTIVATIONS: dict[Callable, tuple[str, ...]] = {
    **RELU,
    ACTIVATIONS["gelu"]: ("gelu", "none"),
    ACTIVATIONS["gelu_tanh"]: ("gelu", "tanh"),
    ACTIVATIONS["silu"]: ("swish", ""),
}


LARGEST_HALF = torch.finfo(torch.float16).max


class PackedLinear(nn.Module):
    """A linear layer, with a non-linearity in the same pass, over a packed copy of its weight."""

    def __init__(self, linear: nn.Linear, activation: str = "none", variant: str = "") -> None:
        super().__init__()
        self.packed_weight = kernels.packed(linear.weight.detach())
        self.bias = linear.bias
        self.sizes = getattr(linear, "sizes", None)
        self.activation = activation
        self.variant = variant

    def forward(self, hidden: Tensor) -> Tensor:
        return kernels.packed_product(hidden, self.packed_weight, self.bias, self.activation, self.variant)


class HalfLinear(nn.Module):
    """A linear layer, with ReLU in the same pass, over a packed copy of its weight in float16.

    Float32 enters and leaves, and is what sums are in: only the weight is rounded.

    Raises:
        ValueError: the weight is beyond what float16 holds.
    """

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__()
        if linear.weight.numel() and float(linear.weight.detach().abs().max()) > LARGEST_HALF:
            raise ValueError(f"A weight of the model is larger than fp16 can hold, {LARGEST_HALF:,.0f}; use fp32.")
        bias = None if linear.bias is None else linear.bias.detach().float()
        self.packed_weight = kernels.packed_halves(linear.weight.detach().float(), bias)
        self.sizes = getattr(linear, "sizes", None)
        self.is_relu = activation == "relu"

    def forward(self, hidden: Tensor) -> Tensor:
        return kernels.halves_product(hidden, self.packed_weight, self.is_relu)


class QuantizedLinear(nn.Module):
    """A linear layer whose product is made of 8-bit integers; float32 enters and leaves.

    Each row of the weight and each row of the input has a scale of its own, its largest magnitude: what a row becomes
    depends on no other, and sums of integers are exact, so neither on the size of the batch.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        levels, scales = levels_of(linear.weight.detach())
        self.packed_weight = kernels.packed_bytes(levels)
        self.weight_scales = scales / LEVELS
        self.weight_zeros = torch.zeros(len(levels), dtype=torch.int32)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().float(), requires_grad=False)
        self.sizes = getattr(linear, "sizes", None)

    def forward(self, hidden: Tensor) -> Tensor:
        scales = hidden.abs().amax(-1, keepdim=True)
        # Unsigned, because processors multiply unsigned by signed bytes; but made as signed ones, whose highest bit is
        # then the other way round: torch makes those of floats in a third of the time. A row of zeros gets any levels:
        # its scale of 0 makes zeros of their product.
        signed = hidden.mul(LEVELS / scales).round_().to(torch.int8)
        levels = signed.view(torch.uint8).bitwise_xor_(kernels.ZERO_LEVEL)
        product = kernels.bytes_product(levels, self.packed_weight, self.weight_scales, self.weight_zeros)
        # In place: what comes last is logits of many megabytes.
        return product.mul_(scales) if self.bias is None else torch.addcmul(self.bias, product, scales, out=product)


class SevenBitLinear(nn.Module):
    """`QuantizedLinear` for processors that add the products of bytes in 16 bits; inputs have half as many levels."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        levels, scales = levels_of(linear.weight.detach())
        self.packed_weight = kernels.packed_pairs(levels, scales / LEVELS_OF_SEVEN_BITS)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().float(), requires_grad=False)
        self.sizes = getattr(linear, "sizes", None)

    def forward(self, hidden: Tensor) -> Tensor:
        scales = hidden.abs().amax(-1, keepdim=True)
        # A row of zeros stays one: 63 / 0 times 0 is no number, which becomes some level, and is multiplied by 0.
        product = kernels.pairs_product(hidden.mul(LEVELS_OF_SEVEN_BITS / scales), self.packed_weight)
        return product.mul_(scales) if self.bias is None else torch.addcmul(self.bias, product, scales, out=product)


def levels_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight [out, in] as int8 levels, and each row's scale, float32 [out].

    Some rows at a time: with 256,000 tokens of 1,024 features, each intermediate step would take a gigabyte.
    """
    levels, scales = torch.empty(weight.shape, dtype=torch.int8), torch.empty(len(weight))
    for start in range(0, len(weight), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        part = weight[rows].float()
        scales[rows] = part.abs().amax(1).clamp_min(SMALLEST_SCALE) / LEVELS
        levels[rows] = (part / scales[rows].unsqueeze(1)).round().to(torch.int8)
    return levels, scales


ROWS_AT_A_TIME = 4096
"""Of a weight that is rounded."""

SMALLEST_SCALE = 1e-20
"""Stands for the scale of a row of zeros in a weight."""

LEVELS = 127
"""Levels on either side of 0."""


LEVELS_OF_SEVEN_BITS = 63
"""The same of an input that has seven bits."""

SMALLEST_OF_SEVEN_BITS = 512 * 512
"""Entries of a weight below which rounding the input takes longer than its product saves: on an EPYC with AVX2, 256 by
768 took as long as in float32, 512 by 512 three quarters and 512 by 2,048 half of it with 40 rows and more."""


def can_quantize(device: torch.device | str) -> bool:
    """Return whether this device multiplies 8-bit integers fast: x86 processors, those without VNNI large weights."""
    return torch.device(device).type == "cpu" and (kernels.has_fast_bytes() or kernels.has_fast_pairs())


def can_halve(device: torch.device | str) -> bool:
    """Return whether this device multiplies float32 by weights of 16 bits: x86 processors."""
    return torch.device(device).type == "cpu" and kernels.has_half_weights()


def can_pack(weight: Tensor) -> bool:
    """Return whether oneDNN has kernels for such a weight on this machine."""
    return weight.device.type == "cpu" and kernels.has_packed_products(weight.dtype)


def pack(model: Model) -> Model:
    """Pack the weights of a model in place, if that makes it faster; return the model."""
    return _with_output_weight(model, pack_parts)


def halve(model: Model) -> Model:
    """Replace the products of a float32 model on a CPU, in place, by ones with weights in 16 bits; return the model."""
    return _with_output_weight(model, halve_parts)


def quantize(model: Model) -> Model:
    """Replace the products of a float32 model on a CPU, in place, by ones of 8-bit integers; return the model.

    Where the processor has no VNNI these are the large ones.

    A search then keeps keys and values in bfloat16 where there are kernels for it: half as many bytes to read.
    """
    if kernels.has_bfloat16():
        model.cache_dtype = torch.bfloat16
    return _with_output_weight(model, quantize_parts)


@torch.no_grad()
def pack_parts(module: nn.Module) -> None:
    """Pack what is within a module that has weights of one type, if that makes it faster."""
    if can_pack(next(module.parameters())):
        _replace_with_activations(module, PackedLinear, FUSED_ACTIVATIONS)


@torch.no_grad()
def halve_parts(module: nn.Module) -> None:
    """Replace the products within a float32 module by ones with weights in 16 bits."""
    _replace_with_activations(module, HalfLinear, RELU)


@torch.no_grad()
def quantize_parts(module: nn.Module) -> None:
    """Replace the products within a module by ones of 8-bit integers, those that are no faster by it otherwise."""
    if not kernels.has_fast_pairs():
        _replace_linears(module, QuantizedLinear)
        return
    _replace_linears(module, SevenBitLinear, SMALLEST_OF_SEVEN_BITS)
    (halve_parts if kernels.has_half_weights() else pack_parts)(module)


def _replace_with_activations(
    module: nn.Module, replacement: Callable[..., nn.Module], fused: Mapping[Callable, tuple[str, ...]]
) -> None:
    """Replace linear layers, those before some activations together with these."""
    for part in list(module.modules()):
        if not isinstance(part, FeedForward) or not isinstance(part.expand, nn.Linear) or part.is_gated:
            continue
        if part.activation in fused:
            part.expand = replacement(part.expand, *fused[part.activation])  # type: ignore[assignment]
            part.activation = _identity
    _replace_linears(module, replacement)


def _with_output_weight(model: Model, replace: Callable[[nn.Module], None]) -> Model:
    """Replace what is within a model, but for the output layer's weight, which callers read as token vectors."""
    output_weight = model.lm_head.weight
    replace(model)
    model.lm_head.weight = output_weight
    return model


def _replace_linears(
    module: nn.Module, replacement: Callable[[nn.Linear], nn.Module], smallest_weight: int = 0
) -> None:
    parents = [part for part in module.modules() if not isinstance(part, nn.Linear)]  # no weight outlives its place
    for part in parents:
        for name, child in part.named_children():
            if isinstance(child, nn.Linear) and child.weight.numel() >= smallest_weight:
                setattr(part, name, replacement(child))


def _identity(hidden: Tensor) -> Tensor:
    return hidden


def decoding_copy(model: Model, dtype: torch.dtype) -> Model:
    """Return a packed copy of a model in training, in evaluation mode, its weights of type `dtype`; adapters are merged
    into them."""
    copy = deepcopy(model).eval()
    merge_adapters(copy)
    nn.Module.to(copy, dtype)  # transformers wraps `to` for quantised models, in types that leave out this use
    return pack(copy)
