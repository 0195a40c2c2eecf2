"""Random draws of a component that leave everybody else's as they are."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def own_seed(name: str) -> int:
    """Return a seed for this component in this micro-batch, in [0, 2^32).

    It depends on the name and on what torch was last seeded with, which the trainer does for each micro-batch. It has
    32 bits because generators on CPUs know no more of a seed, so name and seed have to be in these.
    """
    return int.from_bytes(hashlib.blake2b(f"{torch.initial_seed()} {name}".encode(), digest_size=4).digest())


def own_generator(name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator with the component's `own_seed`.

    Torch's own generators stay where they are. So a run with a component that draws has the dropout of one without it.
    """
    return torch.Generator(device).manual_seed(own_seed(name))


@contextmanager
def forked_randomness(device: torch.device) -> Iterator[None]:
    """Put torch's generators back behind the block: what follows draws what it would have drawn without it."""
    others = {} if device.type == "cpu" else {"device_type": device.type}
    with torch.random.fork_rng([device] if others else [], **others):
        yield
