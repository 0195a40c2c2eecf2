"""Random draws of a component that leave everybody else's as they are."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def own_generator(name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for this component in this micro-batch.

    It depends on the name and on what torch was last seeded with, which the trainer does for each micro-batch; torch's
    own generators stay where they are. So a run with a component that draws has the dropout of one without it.
    """
    digest = hashlib.blake2b(f"{torch.initial_seed()} {name}".encode(), digest_size=4).digest()
    # 32 bits: generators on CPUs know no more of a seed, so name and seed have to be in these.
    return torch.Generator(device).manual_seed(int.from_bytes(digest))


@contextmanager
def forked_randomness(device: torch.device) -> Iterator[None]:
    """Put torch's generators back behind the block: what follows draws what it would have drawn without it."""
    is_on_cpu = device.type == "cpu"
    with torch.random.fork_rng([] if is_on_cpu else [device], device_type=None if is_on_cpu else device.type):
        yield
