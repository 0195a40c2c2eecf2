"""The mean of several sets of weights: of a run's checkpoints (Vaswani et al. 2017, section 6.1), or of models.

Named sets enter, one in memory at a time; one set leaves. Tensors are summed in float64.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seq2seq.training.checkpoint import exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_path, verify


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of what the checkpoints stand for, in the type of the first one, under all names.

    Where a checkpoint holds a moving average, that is what enters. Integers must agree and are kept.

    Raises:
        ValueError: there are no checkpoints, one is damaged, or their tensors differ in name or shape.
    """
    if not paths:
        raise ValueError("There is no checkpoint to average.")
    for path in paths:
        verify(path)
    return weighted_mean([1.0] * len(paths), ((path, exported_weights(path)) for path in paths))


def weighted_mean(shares: Sequence[float], named: Iterable[tuple[Path, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Return the mean of sets of weights by their shares, in the types of the first set, whose integers it keeps.

    Args:
        shares: of each set, in any unit.
        named: as many sets as shares, each with where it is from.

    Raises:
        ValueError: their tensors differ in name or shape.
    """
    sums: dict[str, Tensor] = {}
    first: dict[str, Tensor] = {}
    origin = None
    for share, (path, weights) in zip(shares, named, strict=True):
        first, origin = first or weights, origin or path
        if {name: t.shape for name, t in weights.items()} != {name: t.shape for name, t in first.items()}:
            raise ValueError(f"{path} and {origin} hold different tensors; only those of one architecture have a mean.")
        for name, tensor in weights.items():
            part = tensor.to(torch.float64) * share
            sums[name] = sums[name] + part if name in sums else part
    return {
        name: (sums[name] / sum(shares)).to(tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def last_checkpoints(folder: Path, num_checkpoints: int, steps: Sequence[int]) -> list[Path]:
    """Return the newest checkpoints of a run, oldest first.

    Args:
        steps: those that count, in ascending order; see `TrainingState.regular`.

    Raises:
        ValueError: there are fewer.
    """
    paths = [path for step in steps if (path := checkpoint_path(folder, step)).is_dir()]
    if len(paths) < num_checkpoints:
        there = ", ".join(path.name for path in paths)
        raise ValueError(
            f"`training.average_checkpoints` is {num_checkpoints}, but {folder} holds {len(paths)}: {there}. Lower it "
            "and give the command again, which trains no more and exports; or, for a new run, lower "
            "`training.checkpoint_every`."
        )
    return paths[-num_checkpoints:]
