"""Products of packed and of 8-bit weights, against float64: each number within what rounding allows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.models.transformer.packing import LEVELS, PackedLinear, can_pack
from tests.models.transformer.test_packing import of_bytes

UNIT_ROUNDOFF = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}
SIZES = [(1, 1, 1), (7, 23, 19), (13, 97, 31), (5, 509, 8000)]
"""Rows, inputs and outputs: odd and prime ones, and a vocabulary."""
SPREADS = [1.0, 300.0]


def case(rows: int, inputs: int, outputs: int, spread: float) -> tuple[Tensor, nn.Linear]:
    """Return states and a layer of bfloat16 numbers in float32, whose largest output is in the hundreds or more."""
    generator = torch.Generator().manual_seed(rows)
    linear = nn.Linear(inputs, outputs)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(outputs, inputs, generator=generator).bfloat16())
        linear.bias.copy_(torch.randn(outputs, generator=generator).bfloat16())
    hidden = spread * torch.randn(rows, inputs, generator=generator) * torch.logspace(-3, 0, rows).unsqueeze(1)
    return hidden.bfloat16().float(), linear


def exact(hidden: Tensor, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return the product in float64, and that of magnitudes, which bounds whatever is rounded on the way to it."""
    hidden, weight, bias = (part.detach().double() for part in (hidden, linear.weight, linear.bias))
    return hidden @ weight.T + bias, hidden.abs() @ weight.abs().T + bias.abs()


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", list(UNIT_ROUNDOFF))
def test_packed_products(dtype: torch.dtype, sizes: tuple[int, int, int], spread: float, activation: str) -> None:
    """Sums are in float32, each term and addition off by its roundoff at most; what leaves is rounded once more."""
    if not can_pack(torch.zeros(1, dtype=dtype)):
        pytest.skip(f"oneDNN has no kernels for {dtype} on this machine")
    hidden, linear = case(*sizes, spread)
    expected, magnitude = exact(hidden, linear)
    if activation == "relu":  # no number moves away from another by it
        expected = expected.relu()
    found = PackedLinear(linear.to(dtype), activation)(hidden.to(dtype))
    assert found.dtype == dtype
    summed = (sizes[1] + 1) * UNIT_ROUNDOFF[torch.float32] * magnitude
    bound = summed + UNIT_ROUNDOFF[dtype] * (expected.abs() + summed)
    assert ((found.double() - expected).abs() <= bound).all()


@of_bytes
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("sizes", SIZES)
def test_products_of_eight_bits(sizes: tuple[int, int, int], spread: float, kind: Any, levels: int) -> None:
    """Each factor is off by half a level of its row at most, sums are exact, and scales are products in float32."""
    hidden, linear = case(*sizes, spread)
    hidden[-1] = 0.0
    expected, magnitude = exact(hidden, linear)
    weight, rows = linear.weight.detach().double(), hidden.double()
    off_weight = weight.abs().amax(1, keepdim=True) / LEVELS / 2
    off_rows = rows.abs().amax(1, keepdim=True) / levels / 2
    off = off_rows * weight.abs().sum(1) + rows.abs().sum(1, keepdim=True) * off_weight.T
    off += sizes[1] * off_rows * off_weight.T
    found = kind(linear)(hidden).double()
    assert ((found - expected).abs() <= off + 16 * UNIT_ROUNDOFF[torch.float32] * (magnitude + off)).all()
    assert torch.equal(found[-1], linear.bias.detach().double())


@of_bytes
def test_errors_of_eight_bits_are_those_of_chance_and_not_of_a_direction(kind: Any, levels: int) -> None:
    """A cut-off instead of a rounding would add up where all terms have one sign: half a level of each."""
    hidden, linear = case(37, 1009, 41, 1.0)
    hidden = hidden.abs()
    linear.weight.detach().abs_()
    error = kind(linear)(hidden).double() - exact(hidden, linear)[0]
    cut_off = hidden.double().amax(1, keepdim=True) / levels / 2 * linear.weight.detach().double().sum(1)
    assert float((error / cut_off).mean().abs()) < 0.1
