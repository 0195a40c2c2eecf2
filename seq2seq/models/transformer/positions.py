"""Position information: sinusoidal and learned vectors added to embeddings, rotary turns of queries and keys.

Tables are computed on demand, to any length, and kept until a longer one, another device or another type is needed.
They are no buffers: nothing of them is stored, moved or left uninitialised when a model is loaded. Relative positions,
which are a bias of attention, are in `relative`.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST_WAVELENGTH = 10000.0
SMALLEST_TABLE = 64

Numbers = Callable[[int], Tensor]
"""From how many tokens there are to the numbers of their positions, float64."""


def position_numbers(num_tokens: int, offset: int = 0, from_both_ends: bool = False) -> Tensor:
    """Return the numbers of the positions of so many tokens: 0, 1, 2, …, or from both ends 0, -0, 1, -1, ….

    Args:
        offset: number of the first position.
    """
    if not from_both_ends:
        return torch.arange(offset, offset + num_tokens, dtype=torch.float64, device="cpu")
    left = torch.arange(offset, offset + (num_tokens + 1) // 2, dtype=torch.float64, device="cpu")
    return torch.stack([left, -left], dim=1).flatten(0, 1)[:num_tokens]


def angles(numbers: Tensor, size: int) -> Tensor:
    """Return number times frequency, float64 [positions, ceil(size / 2)] (Vaswani et al. 2017, section 3.5)."""
    exponents = torch.arange(0, size, 2, dtype=torch.float64, device="cpu") / size
    return torch.outer(numbers, LONGEST_WAVELENGTH**-exponents)


def closed_angles(numbers: Tensor, size: int) -> Tensor:
    """Return number times frequency, float32 [positions, size // 2], where the last wavelength is the longest itself.

    As in tensor2tensor and fairseq, whose models have learned with the rounding of float32, which is kept.
    """
    num_frequencies = size // 2
    step = math.log(LONGEST_WAVELENGTH) / max(num_frequencies - 1, 1)
    frequencies = torch.exp(torch.arange(num_frequencies, device="cpu").float() * -step)
    return numbers.float().unsqueeze(1) * frequencies


def sinusoids(num_positions: int, d_model: int, numbers: Numbers = position_numbers, is_closed: bool = False) -> Tensor:
    """Return position vectors, float64 [num_positions, D].

    Sines fill the first half and cosines the second; the paper interleaves them, which is the same up to a
    permutation of features.
    """
    angle = (closed_angles if is_closed else angles)(numbers(num_positions), d_model)
    waves = torch.cat([angle.sin(), angle.cos()], dim=-1).double()
    return functional.pad(waves, (0, d_model - waves.shape[1]))


def rotations(num_positions: int, key_size: int, numbers: Numbers = position_numbers) -> Tensor:
    """Return what `rotate` multiplies with, float64 [num_positions, 2, K]: cosines, and sines with their signs."""
    angle = angles(numbers(num_positions), key_size)
    return torch.stack([angle.cos().repeat(1, 2), torch.cat([-angle.sin(), angle.sin()], dim=-1)], dim=1)


def rotate(heads: Tensor, rotation: Tensor) -> Tensor:
    """Return queries or keys turned by their positions (Su et al. 2021, RoFormer, section 3.2.2).

    Feature i is paired with feature i + K/2 instead of its neighbour: the same up to a permutation of features.

    Args:
        heads: [B, H, T, K].
        rotation: [T, 2, K].
    """
    cosines, sines = rotation.unbind(1)
    first, second = heads.chunk(2, dim=-1)
    return (heads * cosines + torch.cat([second, first], dim=-1) * sines).to(heads.dtype)


class PositionTable(nn.Module):
    """Rows of a table that `build(num_positions)` computes, float64, one row per position."""

    def __init__(self, build: Callable[[int], Tensor]) -> None:
        super().__init__()
        self.build = build
        self._table: Tensor | None = None

    def forward(self, offset: int, length: int, like: Tensor) -> Tensor:
        """Return rows offset … offset + length - 1, with the type and device of `like`."""
        end, table = offset + length, self._table
        if table is None or table.shape[0] < end or table.dtype != like.dtype or table.device != like.device:
            # A table made under inference mode could never take part in training afterwards.
            with torch.inference_mode(False):
                table = self.build(max(SMALLEST_TABLE, 1 << (end - 1).bit_length())).to(like.device, like.dtype)
            self._table = table
        return table[offset:end]


class LearnedPositions(nn.Module):
    """One trained vector per position.

    Args:
        offset: rows in front, which are of no position.
        tokens_at_once: tokens that stand at a position.
    """

    def __init__(self, max_positions: int, d_model: int, offset: int = 0, tokens_at_once: int = 1) -> None:
        super().__init__()
        self.vectors = nn.Embedding(max_positions + offset, d_model)
        self.offset = offset
        self.tokens_at_once = tokens_at_once

    def forward(self, offset: int, length: int, like: Tensor) -> Tensor:
        """Return [length, D].

        Raises:
            ValueError: the sequence is longer than the table.
        """
        end = offset + length
        max_tokens = (self.vectors.num_embeddings - self.offset) * self.tokens_at_once
        if end > max_tokens:
            raise ValueError(
                f"a sequence of {end} tokens is longer than `max_positions` ({max_tokens}) of the "
                "learned positions; shorten it, or train with a larger `max_positions` or sinusoidal positions"
            )
        if self.tokens_at_once == 1:
            return self.vectors.weight[self.offset + offset : self.offset + end]
        places = torch.arange(offset, end, device=self.vectors.weight.device) // self.tokens_at_once
        return self.vectors.weight[self.offset + places]


def added_positions(
    positions: str, d_model: int, max_positions: int, offset: int = 0, tokens_at_once: int = 1
) -> nn.Module | None:
    """Return what is added to the embeddings: called with (offset, length, like) it gives [length, D].

    Args:
        offset: number of the first position.
        tokens_at_once: 2 where positions are counted from both ends at once.
    """
    if positions == "learned":
        return LearnedPositions(max_positions, d_model, offset, tokens_at_once)
    if positions not in ("sinusoidal", "closed_sinusoidal"):
        return None
    numbers = partial(position_numbers, offset=offset, from_both_ends=tokens_at_once == 2)
    is_closed = positions == "closed_sinusoidal"
    return PositionTable(partial(sinusoids, d_model=d_model, numbers=numbers, is_closed=is_closed))


def rotary_positions(positions: str, key_size: int, tokens_at_once: int = 1) -> nn.Module | None:
    """Return what turns queries and keys: called with (offset, length, like) it gives [length, 2, K]."""
    if positions != "rotary":
        return None
    numbers = partial(position_numbers, from_both_ends=tokens_at_once == 2)
    return PositionTable(partial(rotations, key_size=key_size, numbers=numbers))
