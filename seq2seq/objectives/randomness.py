"""Random draws of a component that leave everybody else's as they are."""

import zlib

import torch


def own_generator(name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for this component in this micro-batch.

    It depends on the name and on what torch was last seeded with, which the trainer does for each micro-batch; torch's
    own generators stay where they are. So a run with a component that draws has the dropout of one without it.
    """
    generator = torch.Generator(device)
    generator.manual_seed((torch.initial_seed() ^ zlib.crc32(name.encode()) << 32) & (2**63 - 1))
    return generator
