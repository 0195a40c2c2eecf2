"""The largest of many numbers, faster than `torch.topk` on CPUs, which sorts where a scan would do."""

import torch
from torch import Tensor

BLOCK = 64
"""Entries that share a maximum. With a vocabulary of 10,000 and ten to find, blocks of 64 halve topk's time."""


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest entries of the last dimension, largest first, and their indices; as `torch.topk`.

    The largest entries lie in the blocks whose maxima are the largest: no more than `count` blocks need be searched.

    Args:
        values: [..., V].
    """
    num_blocks = values.shape[-1] // BLOCK
    if values.device.type != "cpu" or num_blocks < 4 * count:
        return values.topk(count)
    size = num_blocks * BLOCK
    blocks = values[..., :size].unflatten(-1, (num_blocks, BLOCK))
    chosen = blocks.amax(-1).topk(count, sorted=False).indices
    entries = blocks.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, BLOCK)).flatten(-2)
    positions = (chosen.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=values.device)).flatten(-2)
    if size < values.shape[-1]:  # what is left over behind the last whole block
        rest = torch.arange(size, values.shape[-1], device=values.device)
        entries = torch.cat([entries, values[..., size:]], dim=-1)
        positions = torch.cat([positions, rest.expand(*positions.shape[:-1], -1)], dim=-1)
    found, index = entries.topk(count)
    return found, positions.gather(-1, index)
