"""Files of weights, written and read by safetensors, whose errors name neither the file nor what to do."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

TYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
"""Of weights; whatever else floats computes nothing."""


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a file, within `weights_written`."""
    save_file(dict(weights), path, metadata={"format": "pt"})


def read_weights(path: Path, names: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file; raise ValueError naming it if it is damaged.

    Args:
        names: of those that are wanted, if they are there; None = all.
    """
    with _readable(path):
        if names is None:
            return load_file(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name in names}  # noqa: SIM118


def read_as(path: Path, dtype: torch.dtype, exact: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors of a file, but for some that are taken as they are, in another type of weights.

    Each is read by an opening of its own, so that what was read of the file does not stay in memory beside it.
    """
    tensors = read_weights(path, exact)
    for name in read_shapes(path):
        if name not in tensors:
            [tensor] = read_weights(path, [name]).values()
            tensors[name] = tensor.to(dtype) if tensor.dtype in TYPES else tensor
    return tensors


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a file by its header alone; raise ValueError naming it if it is damaged."""
    with _readable(path), safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def check_finite(weights: Mapping[str, Tensor], place: Path) -> None:
    """Raise ValueError, which names what they are read from and one of them, for weights that are no finite numbers."""
    for name, weight in weights.items():
        if weight.dtype not in TYPES:
            raise ValueError(f"{place}: {name} is of {weight.dtype}, which is no type of weights.")
        # A sum is several times as fast as a look at each; only that of the largest numbers says nothing.
        if not (weight.sum().isfinite() or weight.isfinite().all()):
            raise ValueError(f"{place}: {name} holds NaN or infinity, with which nothing can be computed.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: no file, where one of weights is expected.")
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no file of weights: {error}. Copy or export it anew.") from None


@contextmanager
def weights_written(path: Path) -> Iterator[None]:
    """Let the library's errors of writing, such as of a full disk, be OSErrors that name what is made in the end."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Raise ValueError with the folder where a file of weights within it is damaged."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{folder}: a file of weights is damaged: {error}. Copy or export it anew.") from None
