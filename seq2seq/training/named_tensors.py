"""The tensors of a model by name, each once, and how saved values get into them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from seq2seq.models.weights import check_finite
from seq2seq.training.sharding import fill


def distinct_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers, each once, under the first of its names."""
    shared = aliases(model)
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name not in shared}


def aliases(model: nn.Module) -> dict[str, str]:
    """Return the further names of tied tensors with the first name of each."""
    first_name: dict[int, str] = {}
    names = {name: first_name.setdefault(id(t), name) for name, t in model.state_dict(keep_vars=True).items()}
    return {name: original for name, original in names.items() if name != original}


def is_frozen(tensor: Tensor) -> bool:
    """Return whether this is a parameter that is not trained, which stays the same all through a run."""
    return isinstance(tensor, nn.Parameter) and not tensor.requires_grad


def fill_all(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor], path: Path) -> None:
    """Copy saved values into tensors, after all of them were found to fit."""
    if tensors.keys() != values.keys():
        missing, surplus = sorted(tensors.keys() - values.keys()), sorted(values.keys() - tensors.keys())
        raise ValueError(f"{path} does not fit this model: it lacks {missing[:3]} and has {surplus[:3]} too many.")
    for name, tensor in tensors.items():
        if tensor.shape != values[name].shape:
            there, here = tuple(values[name].shape), tuple(tensor.shape)
            raise ValueError(f"{path} does not fit this model: {name} is {there} there, but {here} here.")
        if tensor.is_floating_point() != values[name].is_floating_point():
            raise ValueError(f"{path} does not fit this model: {name} is of {values[name].dtype}.")
    check_finite({name: value for name, value in values.items() if value.is_floating_point()}, path)
    for name, tensor in tensors.items():
        fill(tensor, values[name])
