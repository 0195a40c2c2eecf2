"""Files of weights, written and read by safetensors, whose errors name neither the file nor what to do."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

TYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
"""Of weights; whatever else floats computes nothing."""
ENTRIES_AT_A_TIME = 2**24
"""Of a tensor whose file is open: of 64 MB in float32."""


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


def in_own_memory(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tensors, one for each, however many names it has.

    What the library reads is the mapped file itself: if another model is copied over it, as by `cp`, a model that is
    loaded would say what that one does, or end the process where the file is shorter.
    """
    copies = {id(weight): weight.clone() for weight in weights.values()}
    return {name: copies[id(weight)] for name, weight in weights.items()}


def read_as(path: Path, name: str, dtype: torch.dtype | None) -> Tensor:
    """Return a tensor of a file in memory of its own, in another type of weights; None = in its own.

    The library maps the file, and what was read of it stays in memory until it is closed. So it is opened anew for each
    tensor, and for some rows of a large one.
    """
    shape = read_shapes(path, [name])[name]
    size = max(1, ENTRIES_AT_A_TIME // max(1, prod(shape[1:])))
    if not shape or shape[0] <= size:
        return _converted(read_weights(path, [name])[name], dtype)
    found: Tensor | None = None
    for start in range(0, shape[0], size):
        with _readable(path), safe_open(path, framework="pt") as file:
            part = _converted(file.get_slice(name)[start : start + size], dtype)
        found = torch.empty(shape, dtype=part.dtype) if found is None else found
        found[start : start + size] = part
    assert found is not None, "a large tensor has rows"
    return found


def _converted(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype if tensor.dtype in TYPES else None, copy=True)


def read_outlines(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by its header alone, with shapes and types, but no memory."""
    with _readable(path):
        return {name: tensor.to("meta") for name, tensor in load_file(path).items()}


def read_shapes(path: Path, names: Collection[str] | None = None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a file by its header alone; raise ValueError naming it if it is damaged.

    Args:
        names: of those that are wanted, all of which are there; None = all.
    """
    with _readable(path), safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in names or file.keys()}


def check_finite(weights: Mapping[str, Tensor], place: Path) -> None:
    """Raise ValueError, which names what they are read from and one of them, for weights that are no finite numbers."""
    check_types(weights, place)
    for name, weight in weights.items():
        # A sum is several times as fast as a look at each; only that of the largest numbers says nothing.
        if not (weight.sum().isfinite() or weight.isfinite().all()):
            raise ValueError(f"{place}: {name} holds NaN or infinity, with which nothing can be computed.")


def check_types(weights: Mapping[str, Tensor], place: Path) -> None:
    """Raise ValueError, which names what they are read from and one of them, for weights that are no numbers at all."""
    for name, weight in weights.items():
        if weight.dtype not in TYPES:
            raise ValueError(f"{place}: {name} is of {weight.dtype}, which is no type of weights.")


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
