"""Files of weights, written and read by safetensors, whose errors name neither the file nor what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a file, within `weights_written`."""
    save_file(dict(weights), path, metadata={"format": "pt"})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; raise ValueError naming it if it is damaged."""
    try:
        return load_file(path)
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
