"""Randomness that depends on nothing but the seed and the number of the micro-batch.

Each micro-batch of the endless training stream has its own random state, so dropout is the same however micro-batches
are split over processes and accumulation, and after any restart.
"""

import torch

from seq2seq.data.random_keys import random_key


def seed_micro_batch(seed: int, number: int) -> None:
    """Seed torch on all devices for one micro-batch.

    Args:
        seed: of the run.
        number: of the micro-batch in the endless stream over all processes, from 0.
    """
    torch.manual_seed(random_key(random_key(seed) ^ number))
