"""A run directory's configuration file: written for a new run, compared with for one that goes on."""

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from seq2seq.assembly.configuration import RunConfig, read_run_config, save_run_config
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, PLAN_FILE, RUN_FILE, TOKENIZER_FOLDER
from seq2seq.assembly.start import keep_start
from seq2seq.config.declaring import with_places
from seq2seq.config.writing import settings
from seq2seq.locks import locked
from seq2seq.training.checkpoint_folder import newest_data
from seq2seq.training.tracking import LOG_NAME

COMPANIONS_FOLDER = "companions"

FIXED = (
    *("data.", "tokenizer.", "model.", "lora.", "companions.", "teaching.", "optimizer."),
    *("decoder_inputs", "objective", "gradient"),
    *("training.initialize_from", "training.gradient_accumulation", "training.precision", "training.seed"),
    "training.freeze",
)
"""What may not change when a run goes on, since it would not be the same run any more."""
FREE = ("data.num_workers",)
"""Exceptions: they change nothing but speed."""
_PLACE = ("source", "target", "path", "format", "name", "split", "source_column", "target_column", "header")
RECORDED = (
    *(f"data.{corpus}.{option}" for corpus in ("train", "validation") for option in _PLACE),
    *("data.validation.source_prefix", "data.validation.tag_column"),  # of training it would be another model
    *("data.batch_tokens", "training.gradient_accumulation"),
)
"""Exceptions where checkpoints say what the data were: the same pairs may lie elsewhere, and come in other batches."""
TOKENIZER_OPTIONS = ("tokenizer.", "data.train.", "data.temperature", "training.initialize_from")
"""What the tokenizer is trained by."""
OF_PARTS = ("data.train", "data.validation")
"""What begins the names of options that say which pairs: with others a plan of `fit` would train on its test pairs."""
OBSERVERS = ("data.guard",)
"""What begins the names of options that say nothing of the training itself."""
_PLACE_IN_LIST = re.compile(r"\.\d+(?=\.)")


def enter_run_directory(config: RunConfig, *, is_main_process: bool = True) -> Path:
    """Write the resolved configuration into the run directory, after a look at what is there.

    Without checkpoints a run has not begun: a tokenizer that was prepared by other options is deleted. Of several
    processes of a run one writes, the others only compare.

    Raises:
        ValueError: the directory holds checkpoints of another configuration, or a plan for other pairs; names the first
            option that differs.
    """
    folder = Path(config.run_directory)
    path = folder / RUN_FILE
    changed = changes(config_of_run(folder), config) if path.exists() else {}
    has_begun = any((folder / CHECKPOINTS_FOLDER).glob("step-*"))
    if has_begun:
        free = (*FREE, *RECORDED) if newest_data(folder / CHECKPOINTS_FOLDER) else FREE
        for name, (before, now) in changed.items():
            if name.startswith(OBSERVERS):
                continue
            if name.startswith(FIXED) and _PLACE_IN_LIST.sub("", name) not in free:
                raise ValueError(
                    f"{folder} holds a run with `{name}` = {before!r}, but now it is {now!r}. "
                    "Give the new run another `run_directory`, or delete this one."
                )
    elif (folder / PLAN_FILE).is_file() and any(name.startswith(OF_PARTS) for name in changed):
        raise ValueError(
            f"{folder} holds the plan of a `seq2seq fit` for pairs that it has cut into parts, and these are others. "
            "Give the new run another `run_directory`, or delete this one."
        )
    if is_main_process:
        if any(name.startswith(TOKENIZER_OPTIONS) for name in changed) and not has_begun:
            shutil.rmtree(folder / TOKENIZER_FOLDER, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        keep_start(config, folder, has_begun=has_begun)
        save_run_config(config, path)
    return folder


def config_of_run(folder: Path) -> RunConfig:
    """Return the configuration of a run, by where it lies now: one that was moved or copied says where it was.

    Raises:
        ValueError: it is none of this version.
    """
    config = read_run_config(folder / RUN_FILE)
    return moved(config, Path(config.run_directory), folder)


def moved(config: RunConfig, before: Path, now: Path) -> RunConfig:
    """Return a configuration whose files and folders within one folder are those within another, where these exist."""
    if before.resolve() == now.resolve():
        return config

    def place(named: str) -> str:
        if not Path(named).is_relative_to(before):
            return named
        own = now / Path(named).relative_to(before)
        return str(own) if own.exists() else named

    return with_places(config, place)


def of_moved_run(config: RunConfig, file: Path, *, is_told: bool) -> RunConfig:
    """Return a configuration by where its run lies now, if its file lies with a run's checkpoints or plan.

    Args:
        is_told: whether the command line says the run directory, and not the file alone.

    Raises:
        ValueError: nobody has said it, and it is not where the file lies: the run was moved or copied since, or its
            file was changed to be that of another.
    """
    has_run = (file.parent / PLAN_FILE).is_file() or any((file.parent / CHECKPOINTS_FOLDER).glob("step-*"))
    if file.name != RUN_FILE or not has_run:
        return config
    is_here = Path(config.run_directory).resolve() == file.parent.resolve()
    if is_told:
        return moved(config, Path(read_run_config(file).run_directory), file.parent) if is_here else config
    if not is_here:
        raise ValueError(
            f"{file} lies in the folder of a run, but says `run_directory: {config.run_directory}`. To go on "
            f"with the run in {file.parent}, add `--run_directory {shlex.quote(str(file.parent))}`; to begin another, "
            f"`--run_directory` with its folder."
        )
    return config


@contextmanager
def occupied(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold a run directory for a `with` block, for all processes of this run; the main one has the lock.

    Raises:
        ValueError: another run is there, on all processes; names its process.
    """
    with ExitStack() as stack:
        problem = None
        if accelerator.is_main_process:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder))
            except (ValueError, OSError) as error:
                problem = error
        problem = broadcast_object_list([problem])[0]
        if problem is not None:
            if accelerator.is_main_process:
                raise problem
            raise SystemExit(2)  # the main process says it for all
        yield


@dataclass(frozen=True)
class RunFiles:
    """A run directory as it was when a training began in it: one that vanishes must not come back half-empty.

    Args:
        identity: what tells the folder from another one of the same name.
    """

    folder: Path
    identity: tuple[int, int]

    @classmethod
    def of(cls, folder: Path) -> "RunFiles":
        """Return those of a folder that is there."""
        return cls(folder, _identity(folder))

    def check(self) -> str | None:
        """Return what the folder has lost that its run needs, in words; None if nothing.

        Raises:
            OSError: the folder itself is not there any more.
        """
        try:
            is_there = _identity(self.folder) == self.identity
        except OSError:
            is_there = False
        if not is_there:
            raise OSError(
                f"{self.folder} was removed, moved or replaced while a training was at work in it; the steps since its "
                "last checkpoint are lost. Bring it back and give the same command again, or begin anew."
            )
        lost = [name for name in (RUN_FILE, TOKENIZER_FOLDER, LOG_NAME) if not (self.folder / name).exists()]
        return f"{self.folder} has lost its {' and '.join(lost)}, which somebody removed in training" if lost else None


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def changes(before: RunConfig, now: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return both values of every option that differs, by its dotted name."""
    values, others = settings(before), settings(now)
    names = [*others, *(name for name in values if name not in others)]
    return {name: (values.get(name), others.get(name)) for name in names if values.get(name) != others.get(name)}
