"""Random draws of a component that leave everybody else's as they are."""

import zlib

import torch


def own_seed(name: str) -> int:
    """Return a seed for this component in this micro-batch, in [0, 2^63).

    It depends on the name and on what torch was last seeded with, which the trainer does for each micro-batch.
    """
    return (torch.initial_seed() ^ zlib.crc32(name.encode()) << 32) & (2**63 - 1)


def own_generator(name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator with the component's `own_seed`.

    Torch's own generators stay where they are. So a run with a component that draws has the dropout of one without it.
    """
    generator = torch.Generator(device)
    generator.manual_seed(own_seed(name))
    return generator
