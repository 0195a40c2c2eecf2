"""What lies in a folder of checkpoints: their names, which of them are whole, and which is the newest.

A checkpoint is a folder `step-00001000`; `checkpoint.py` knows what is in it.
"""

import re
import shutil
import warnings
from pathlib import Path

from seq2seq.files import fingerprint, read_object, rename_folder

FORMAT_VERSION = 1
STATE = "3-state.json"
CHECKSUMS = "checksums.json"
VALIDATION = "validation.json"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step is or would be."""
    return folder / f"step-{step:08d}"


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first; temporary ones are not among them."""
    paths = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    return sorted(paths, key=step_of)


def step_of(path: Path) -> int:
    """Return the step of a checkpoint."""
    return int(path.name.removeprefix("step-"))


def newest_data(folder: Path) -> dict[str, str]:
    """Return what the newest checkpoint that can be read says of its data; nothing where none says anything."""
    for path in reversed(checkpoint_paths(folder)):
        try:
            data = read_object(path / STATE).get("data", {})
        except (OSError, ValueError):
            continue
        return data if isinstance(data, dict) else {}
    return {}


def newest_whole(folder: Path) -> tuple[Path | None, str | None]:
    """Return the newest checkpoint whose parts are whole, with a warning for each that is not; or what is wrong.

    Both are None where there are no checkpoints.
    """
    problems = []
    for path in reversed(checkpoint_paths(folder)):
        try:
            verify(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            warnings.warn(f"{problem} Going on from {path} instead.", stacklevel=2)
        return path, None
    if not problems:
        return None, None
    return None, f"{' '.join(problems)} No whole checkpoint is left; delete {folder} to train from the start."


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill has left in the midst of writing or deleting a checkpoint; nobody else writes in a run."""
    for leftover in folder.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def set_aside_newer(folder: Path, path: Path) -> None:
    """Rename the damaged checkpoints after the one that training goes on from, so that they can be written again."""
    paths = checkpoint_paths(folder)
    for damaged in paths[paths.index(path) + 1 :]:
        rename_folder(damaged, damaged.with_name(f"damaged-{damaged.name}"))


def verify(path: Path) -> None:
    """Check a checkpoint against its checksums.

    Raises:
        ValueError: a part is missing or damaged, or the format is of another version.
    """
    try:
        contents = read_object(path / CHECKSUMS)
        format_version, checksums = contents["format_version"], dict(contents["sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        raise ValueError(f"Checkpoint {path} is damaged: {CHECKSUMS} is missing or unreadable.") from None
    if format_version != FORMAT_VERSION:
        raise ValueError(f"Checkpoint {path} has format {format_version}, but this version reads {FORMAT_VERSION}.")
    for name, checksum in checksums.items():
        if not (path / name).is_file() or fingerprint(path / name)["sha256"] != checksum:
            raise ValueError(f"Checkpoint {path} is damaged: {name} is missing or differs from its checksum.")


def checksum_of(path: Path, part: str) -> str | None:
    """Return the checksum that a checkpoint's part had when it was written; None where it is not there any more."""
    try:
        return str(read_object(path / CHECKSUMS)["sha256"][part]) if (path / part).is_file() else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def newest_best_step(folder: Path) -> int | None:
    """Return the step of the best validation, as the newest checkpoint that can be read has it; None before one."""
    for path in reversed(checkpoint_paths(folder)):
        try:
            validation = path / VALIDATION
            best = read_object(validation) if validation.is_file() else read_object(path / STATE)["best"]
            step = best["step"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        return step if isinstance(step, int) else None
    return None
