"""Randomness that depends on nothing but the seed and the number of the micro-batch.

Each micro-batch of the endless training stream has its own random state, so dropout is the same however micro-batches
are split over processes and accumulation, and after any restart.
"""

import torch

_MASK = 2**64 - 1


def seed_micro_batch(seed: int, number: int) -> None:
    """Seed torch on all devices for one micro-batch.

    Args:
        seed: of the run.
        number: of the micro-batch in the endless stream over all processes, from 0.
    """
    torch.manual_seed(mix(mix(seed) ^ number))


def mix(value: int) -> int:
    """Return a 64-bit integer that looks unrelated to its neighbours': SplitMix64 (Steele et al. 2014, figure 15)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
