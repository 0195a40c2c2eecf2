"""The mean of several checkpoints' weights (Vaswani et al. 2017, section 6.1, average the last 5 or 20).

Checkpoint folders enter; one set of weights leaves. Tensors are summed in float64, one checkpoint in memory at a time.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seq2seq.training.checkpoint import checkpoint_paths, exported_weights, verify


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of what the checkpoints stand for, in the type of the first one, under all names.

    Where a checkpoint holds a moving average, that is what enters. Integers must agree and are kept.

    Raises:
        ValueError: there are no checkpoints, one is damaged, or their tensors differ in name or shape.
    """
    if not paths:
        raise ValueError("There is no checkpoint to average.")
    sums: dict[str, Tensor] = {}
    first: dict[str, Tensor] = {}
    for path in paths:
        verify(path)
        weights = exported_weights(path)
        first = first or weights
        if {name: t.shape for name, t in weights.items()} != {name: t.shape for name, t in first.items()}:
            raise ValueError(
                f"{path} and {paths[0]} hold different tensors; only checkpoints of one run can be averaged."
            )
        for name, tensor in weights.items():
            sums[name] = sums[name] + tensor if name in sums else tensor.to(torch.float64)
    return {
        name: (sums[name] / len(paths)).to(tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def last_checkpoints(folder: Path, num_checkpoints: int) -> list[Path]:
    """Return the newest checkpoints of a run, oldest first.

    Raises:
        ValueError: there are fewer.
    """
    paths = checkpoint_paths(folder)
    if len(paths) < num_checkpoints:
        raise ValueError(
            f"`average_checkpoints` is {num_checkpoints}, but {folder} holds {len(paths)}; "
            "lower it, or raise `keep_checkpoints` or `max_steps`."
        )
    return paths[-num_checkpoints:]
