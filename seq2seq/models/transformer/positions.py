"""Position information: sinusoidal and learned vectors added to embeddings, rotary turns of queries and keys.

Tables are computed on demand, to any length, and kept until a longer one, another device or another type is needed.
They are no buffers: nothing of them is stored, moved or left uninitialised when a model is loaded.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

LONGEST_WAVELENGTH = 10000.0
SMALLEST_TABLE = 64

Angles = Callable[[int, int], Tensor]
"""From a number of positions and of features to their angles, as `angles` below."""


def angles(num_positions: int, size: int) -> Tensor:
    """Return position times frequency, float64 [num_positions, ceil(size / 2)] (Vaswani et al. 2017, section 3.5)."""
    exponents = torch.arange(0, size, 2, dtype=torch.float64, device="cpu") / size
    positions = torch.arange(num_positions, dtype=torch.float64, device="cpu")
    return torch.outer(positions, LONGEST_WAVELENGTH**-exponents)


def angles_from_both_ends(num_positions: int, size: int) -> Tensor:
    """Return the angles of the positions 0, -0, 1, -1, 2, …, float64 [num_positions, ceil(size / 2)]."""
    angle = angles((num_positions + 1) // 2, size)
    return torch.stack([angle, -angle], dim=1).flatten(0, 1)[:num_positions]


def sinusoids(num_positions: int, d_model: int, angles: Angles = angles) -> Tensor:
    """Return position vectors, float64 [num_positions, D].

    Sines fill the first half and cosines the second; the paper interleaves them, which is the same up to a
    permutation of features.
    """
    angle = angles(num_positions, d_model)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[:, :d_model]


def rotations(num_positions: int, key_size: int, angles: Angles = angles) -> Tensor:
    """Return what `rotate` multiplies with, float64 [num_positions, 2, K]: cosines, and sines with their signs."""
    angle = angles(num_positions, key_size)
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
    """One trained vector per position."""

    def __init__(self, max_positions: int, d_model: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(max_positions, d_model)

    def forward(self, offset: int, length: int, like: Tensor) -> Tensor:
        """Return [length, D].

        Raises:
            ValueError: the sequence is longer than the table.
        """
        max_positions = self.vectors.num_embeddings
        if offset + length > max_positions:
            raise ValueError(
                f"a sequence of {offset + length} tokens is longer than `max_positions` ({max_positions}) of the "
                "learned positions; shorten it, or train with a larger `max_positions` or sinusoidal positions"
            )
        return self.vectors.weight[offset : offset + length]


def added_positions(positions: str, d_model: int, max_positions: int, angles: Angles = angles) -> nn.Module | None:
    """Return what is added to the embeddings: called with (offset, length, like) it gives [length, D]."""
    if positions == "sinusoidal":
        return PositionTable(partial(sinusoids, d_model=d_model, angles=angles))
    return LearnedPositions(max_positions, d_model) if positions == "learned" else None


def rotary_positions(positions: str, key_size: int, angles: Angles = angles) -> nn.Module | None:
    """Return what turns queries and keys: called with (offset, length, like) it gives [length, 2, K]."""
    return PositionTable(partial(rotations, key_size=key_size, angles=angles)) if positions == "rotary" else None
