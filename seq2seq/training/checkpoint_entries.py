"""What a checkpoint says of where training stands, looked at before anything goes on from it.

Checksums tell a damaged file from a whole one, and nothing of what a hand has written. Whatever has another type than
training writes is one line with the file's name.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.training.muon import MOMENTUM

LARGEST = 2**53
"""Counts are smaller: whole numbers that a double holds."""
OF_STEPS = {"loss_sum", "weight", "gradient_norm"}
"""What a window holds besides once a step was not skipped."""


def check_entries(entries: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError, which names the file and an entry, if these are not those of a state; missing ones are others'
    to ask for."""
    wrong = next((name for name, is_right in RIGHT.items() if name in entries and not is_right(entries[name])), None)
    if wrong is not None:
        shown = repr(entries[wrong])
        shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
        raise ValueError(f"{path} is damaged, or was written by something else: `{wrong}` is {shown}.")


def is_best(value: Any) -> bool:
    """Return whether these are the values of a `BestSoFar`."""
    kinds: dict[str, Callable[[Any], bool]] = {
        **{"value": _is_number, "step": is_count, "num_since": is_count, "last_step": is_count, "loss": _is_number},
        "averaged": lambda value: isinstance(value, bool),
    }
    return isinstance(value, dict) and all(
        inner is None if inner is None and name in ("value", "step", "loss") else kinds[name](inner)
        for name, inner in value.items()
        if name in kinds
    )


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_count, value))


def _is_window(value: Any) -> bool:
    if not isinstance(value, dict) or not all(map(_is_number, value.values())):
        return False
    wanted = {"seconds", "skipped_steps"} | (OF_STEPS if value.get("steps") else set())
    is_empty = not value.get("steps") and not value.get("skipped_steps")
    return not value or (wanted <= value.keys() and value["seconds"] >= 0 and not is_empty)


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


RIGHT: dict[str, Callable[[Any], bool]] = {
    "step": is_count,
    "num_micro_batches": is_count,
    "seconds": lambda value: _is_number(value) and 0 <= value < math.inf,
    "best": is_best,
    "window": _is_window,
    "regular": _are_counts,
    "data": _are_texts,
    "num_averaged": is_count,
    "aliases": _are_texts,
    "adapter_scaling": lambda value: value is None or (_is_number(value) and math.isfinite(value)),
    "loss_scaler": lambda value: value is None or isinstance(value, dict),
}
"""Each entry, and whether a value of it is one that training writes."""


def optimizer_state(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], path: Path
) -> dict[str, dict[str, Tensor]]:
    """Return what an optimizer has learnt, by the name of each parameter; raise ValueError if it is of others.

    It is the same of all matrices and the same of all vectors: numbers, tensors like the parameter, and of a matrix
    what stands for all its rows or all its columns. Matrices that move by Muon are a third kind.
    """
    saved: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        if name not in parameters or not _is_of(tensor.shape, parameters[name].shape):
            raise ValueError(f"{path} does not fit this model: {full_name} is {tuple(tensor.shape)} there.")
        if not tensor.is_floating_point():
            raise ValueError(f"{path} is damaged: {full_name} is of {tensor.dtype}.")
        saved.setdefault(name, {})[key] = tensor
    kinds = {(parameters[name].ndim > 1, MOMENTUM in state, frozenset(state)) for name, state in saved.items()}
    if len(kinds) > len({kind[:2] for kind in kinds}):
        raise ValueError(f"{path} is damaged: it does not hold the same of each parameter.")
    return saved


def _is_of(shape: torch.Size, parameter: torch.Size) -> bool:
    """Return whether an optimizer may have a tensor of this shape for a parameter."""
    if shape in (parameter, torch.Size([])):
        return True
    return len(parameter) > 1 and shape in (parameter[:-1] + (1,), (*parameter[:-2], 1, parameter[-1]))
