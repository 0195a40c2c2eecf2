"""Which folder a model is read from: that of a model, that of a run, or one that is made of a checkpoint for the while.

A run exports its best model as it comes. Before there is one, and where another checkpoint is asked for, a model folder
is made of a checkpoint and lasts while it is read. A training may go on meanwhile: what it replaces or removes is read
anew, so that nobody gets parts of two models.
"""

import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from seq2seq.assembly.hub import fetched, is_hub_name
from seq2seq.models.transformer.inference import CONFIG_FILE
from seq2seq.training.checkpoint_folder import (
    STATE,
    checkpoint_path,
    checkpoint_paths,
    newest_best_step,
    newest_whole,
    step_of,
)

CHECKPOINTS_FOLDER, MODEL_FOLDER, TOKENIZER_FOLDER = "checkpoints", "model", "tokenizer"
RUN_FILE = "config.yaml"
"""What a run directory holds, of what a model is read from or made of."""
PLAN_FILE = "fit.json"
"""What `seq2seq fit` has decided of the run in a directory, in which it is."""
ATTEMPTS = 10
"""Times that a model is read before one that changes under the hand is given up."""
PAUSE = 0.02
"""Seconds before the next one; between two renames a folder has no name for less than one of them."""

Read = TypeVar("Read")


def read_model(path: str | Path, read: Callable[[Path], Read], checkpoint: str | int | None = None) -> Read:
    """Return what `read` makes of a model's folder; as `read_models`."""
    return read_models([path], lambda folders: read(folders[0]), checkpoint)


def read_models(
    paths: Sequence[str | Path], read: Callable[[list[Path]], Read], checkpoint: str | int | None = None
) -> Read:
    """Return what `read` makes of the folders of models; it is called again if one was replaced meanwhile.

    Args:
        paths, checkpoint: as for `find_model`; folders that are made of checkpoints are gone afterwards.

    Raises:
        ValueError: there is no such model; and whatever `read` raises.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with ExitStack() as stack:
            folders = [stack.enter_context(opened_model(path, checkpoint)) for path in paths]
            before = [_identity(folder) for folder in folders]
            try:
                found = read(folders)
            except (OSError, ValueError):
                if attempt == ATTEMPTS or before == [_identity(folder) for folder in folders]:
                    raise
            else:
                if attempt == ATTEMPTS or before == [_identity(folder) for folder in folders]:
                    return found
        time.sleep(PAUSE)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def opened_model(path: str | Path, checkpoint: str | int | None = None) -> Iterator[Path]:
    """Yield a model folder: the one there is, or for the `with` block one that is made of a checkpoint.

    Raises:
        ValueError: there is none, or the checkpoint is damaged.
    """
    place = find_model(path, checkpoint)
    if not is_checkpoint(place):
        yield place
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield _made_folder(path, checkpoint, Path(temporary))


def _made_folder(path: str | Path, checkpoint: str | int | None, temporary: Path) -> Path:
    """Return a model folder made of a checkpoint, or what a training has exported before that was done."""
    from seq2seq.assembly.model_export import export_checkpoint  # here, since transformers takes its time

    for attempt in range(1, ATTEMPTS + 1):
        place = find_model(path, checkpoint)
        if not is_checkpoint(place):
            return place
        folder = temporary / f"{place.absolute().parents[1].name}-{place.name}"
        try:
            export_checkpoint(place, folder)
            return folder
        except (OSError, ValueError):
            if place.is_dir() or attempt == ATTEMPTS:
                raise  # otherwise a training has removed it, since there is a newer one
    raise AssertionError("the last attempt returns or raises")


def folder_in_run(paths: Sequence[str | Path], checkpoint: str | None, output: str | None, name: str) -> Path:
    """Return where to write what is found out about models: `output`, or a folder of this name in the first one's run.

    Raises:
        ValueError: a model is missing, or there is no run directory to put it in.
    """
    folders = [find_model(path, checkpoint) for path in paths]
    if output is not None:
        return Path(output)
    first = Path(paths[0])
    if folders[0] == first:
        raise ValueError(f"{first} is a model folder, which is left as it is; say by `--output` where the report goes.")
    return first / name


def find_model(path: str | Path, checkpoint: str | int | None = None) -> Path:
    """Return the folder that holds a model: `path` itself, or in a run directory its export or a checkpoint.

    Args:
        path: model folder, run directory, a checkpoint's own folder within one, or the name of a model on the Hub.
        checkpoint: of a run: `best`, `last` or a step; None takes what was exported, else the best, else the last.

    Raises:
        ValueError: there is none; says what to do.
    """
    path = fetched(str(path)) if is_hub_name(path) else Path(path)
    if (path / "model.bin").is_file():
        raise ValueError(
            f"{path} is an export for CTranslate2, for `decode` and `serve` alone (in Python `CTranslate2Engine`); "
            "here, give the model that it is from."
        )
    is_run = (path / CHECKPOINTS_FOLDER).is_dir() or (path / RUN_FILE).is_file()
    if checkpoint is not None:
        if not is_run:
            raise ValueError(
                f"`checkpoint` chooses among those of a run directory, and {path} is none; give one, or leave it out."
            )
        return named_checkpoint(path, str(checkpoint))
    if is_checkpoint(path):
        return path
    for _ in range(3):
        for folder in (path, path / MODEL_FOLDER):
            if (folder / CONFIG_FILE).is_file():
                return folder
        if is_run:
            return best_checkpoint(path) or named_checkpoint(path, "last")
        time.sleep(PAUSE)  # it may be replaced at this moment
    raise ValueError(
        f"{path} holds no model: give a run directory, or a folder with config.json and model.safetensors."
    )


def names_of_models(paths: Sequence[str | Path]) -> list[str]:
    """Return what models that are compared are called: by their folders, or by their paths where two have one name.

    Raises:
        ValueError: one is named twice.
    """
    names = [os.path.basename(os.path.abspath(path)) for path in paths]
    names = names if len(set(names)) == len(names) else [str(Path(path)) for path in paths]
    if len(set(names)) < len(names):
        raise ValueError("A model is named twice; each is compared with the others once.")
    return names


def is_checkpoint(path: Path) -> bool:
    """Return whether a folder is a checkpoint of a run."""
    return (path / STATE).is_file()


def best_checkpoint(run: Path) -> Path | None:
    """Return the checkpoint of a run's best validation; None if nothing was validated, or it is gone."""
    folder = run / CHECKPOINTS_FOLDER
    step = newest_best_step(folder)
    return None if step is None or not (path := checkpoint_path(folder, step)).is_dir() else path


def named_checkpoint(run: Path, name: str) -> Path:
    """Return the checkpoint of a run that is called `best`, `last` (the newest whole one), or by its step.

    Raises:
        ValueError: there is no such checkpoint.
    """
    folder = run / CHECKPOINTS_FOLDER
    number = re.fullmatch(r"(?:step-)?(\d+)", name)
    if number is None and name not in ("best", "last"):
        raise ValueError(f"`checkpoint` must be `best`, `last` or the number of a step, but is {name!r}.")
    paths = checkpoint_paths(folder)
    if not paths:
        raise ValueError(
            f"{run} is a run without a model yet: its first checkpoint comes with the first validation, after "
            "`training.checkpoint_every` steps, or when it is stopped by Ctrl-C. Train on by the same command."
        )
    if number is not None:
        path = checkpoint_path(folder, int(number[1]))
        if path not in paths:
            steps = ", ".join(str(step_of(other)) for other in paths)
            raise ValueError(
                f"{run} has no checkpoint of step {int(number[1])}, only of {steps}; give one of these, `best` or "
                "`last`."
            )
        return path
    if name == "best":
        if (best := best_checkpoint(run)) is not None:
            return best
        warnings.warn(f"{run} has not been validated yet, so that its last checkpoint is taken.", stacklevel=2)
    newest, problem = newest_whole(folder)
    if newest is None:
        raise ValueError(problem)
    return newest


def _identity(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells a folder from the one that takes its place."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
