"""Checkpoints: the only file that knows what one contains.

A folder `step-00001000` holds numbered parts:

    0-weights.safetensors     of the unwrapped model, shared tensors once
    1-optimizer.safetensors   the optimizer's state per parameter
    2-averages.safetensors    exponential moving average, if there is one
    3-state.json              `TrainingState`, the loss scaler's state, versions of libraries
    checksums.json            SHA-256 of every part, and the version of this format

It is written under a temporary name, flushed to disk and renamed, so a folder with that name is whole; checksums tell
if it is not any more. Nothing is pickled, so a checkpoint cannot run code.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.sharding import fill, laid_out_like, whole
from seq2seq.training.validation import BestSoFar

FORMAT_VERSION = 1
WEIGHTS = "0-weights.safetensors"
OPTIMIZER = "1-optimizer.safetensors"
AVERAGES = "2-averages.safetensors"
STATE = "3-state.json"
CHECKSUMS = "checksums.json"
LIBRARIES = ("torch", "transformers", "datasets", "tokenizers", "accelerate", "safetensors")


@dataclass
class TrainingState:
    """Where training stands, apart from weights and optimizer."""

    step: int = 0
    """Optimizer steps done."""
    num_micro_batches: int = 0
    """Micro-batches used, over all processes."""
    position: Any = None
    """The loader's own, after the last micro-batch used; None at the start."""
    seconds: float = 0.0
    """Time spent in steps, over all parts of the run."""
    best: BestSoFar = field(default_factory=BestSoFar)
    """Validation so far."""
    window: dict[str, float] = field(default_factory=dict)
    """Sums since the last line of the log."""
    data: dict[str, str] = field(default_factory=dict)
    """What the data are and how they are dealt out, by name; empty in a checkpoint that says nothing of them."""


class Checkpoints:
    """The checkpoints of one run, to save to and resume from; called by all processes, written by the main one.

    Args:
        folder: holds the checkpoints; created at the first save.
        model, optimizer: as prepared by the accelerator.
        keep_checkpoints: newest ones kept; the one of the best validation is kept besides.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Optimizer,
        ema: ExponentialMovingAverage | None = None,
        keep_checkpoints: int = 3,
    ) -> None:
        if keep_checkpoints < 1:
            raise ValueError(f"`keep_checkpoints` must be at least 1, but is {keep_checkpoints}.")
        self.folder = Path(folder)
        self.accelerator = accelerator
        self.model = accelerator.unwrap_model(model)
        self.optimizer = optimizer
        self.ema = ema
        self.keep_checkpoints = keep_checkpoints

    def save(self, state: TrainingState) -> Path:
        """Write a checkpoint of this step unless there is one, then delete those that are not to be kept.

        Raises:
            OSError: it could not be written, for example because the disk is full; older ones are untouched.
        """
        path = checkpoint_path(self.folder, state.step)
        tensors, entries = self._tensors(), self._entries(state)
        problem = None
        if self.accelerator.is_main_process and not path.exists():
            problem = _write(path, tensors, entries)
        problem = broadcast_object_list([problem])[0]
        if problem:
            raise OSError(f"Checkpoint {path} could not be written: {problem}. Earlier checkpoints are whole.")
        if self.accelerator.is_main_process:
            self._delete_old(best_step=state.best.step)
        return path

    def resume(self) -> TrainingState:
        """Load the newest whole checkpoint into model, optimizer and average; return its state, or a new one.

        Raises:
            ValueError: there are checkpoints, but none is whole, or it does not fit the model.
        """
        choice = newest_whole(self.folder) if self.accelerator.is_main_process else None
        path, problem = broadcast_object_list([choice])[0]
        if problem:
            raise ValueError(problem)
        if path is None:
            return TrainingState()
        state = self._load(path)
        if self.accelerator.is_main_process:
            _set_aside_newer(self.folder, path)
        return state

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return the tensors of every part on the CPU; a collective operation where the model is sharded."""
        weights = {name: whole(tensor) for name, tensor in distinct_tensors(self.model).items()}
        optimizer = {
            f"{name}/{key}": whole(torch.as_tensor(value))
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        parts = {WEIGHTS: weights, OPTIMIZER: optimizer}
        if self.ema is not None:
            averages = self.ema.named_averages(self.model)
            parts[AVERAGES] = {name: whole(tensor) for name, tensor in averages.items()}
        return parts

    def _entries(self, state: TrainingState) -> dict[str, Any]:
        scaler = self.accelerator.scaler
        return asdict(state) | {
            "num_averaged": self.ema.num_updates if self.ema else 0,
            "loss_scaler": scaler.state_dict() if scaler is not None else None,
            "aliases": aliases(self.model),
            "versions": _versions(),
        }

    def _load(self, path: Path) -> TrainingState:
        entries = json.loads((path / STATE).read_text(encoding="utf-8"))
        _fill_all(distinct_tensors(self.model), load_file(path / WEIGHTS), path / WEIGHTS)
        self._load_optimizer(load_file(path / OPTIMIZER))
        if self.ema is not None:
            if not (path / AVERAGES).exists():
                raise ValueError(f"{path} has no average of the weights; resume it with `ema_decay: 0`.")
            _fill_all(self.ema.named_averages(self.model), load_file(path / AVERAGES), path / AVERAGES)
            self.ema.num_updates = entries["num_averaged"]
        if self.accelerator.scaler is not None and entries["loss_scaler"] is not None:
            self.accelerator.scaler.load_state_dict(entries["loss_scaler"])
        names = TrainingState.__dataclass_fields__
        state = TrainingState(**{name: entries[name] for name in names if name in entries})
        state.best = BestSoFar(**entries["best"])
        return state

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        """Restore what the optimizer has learnt; its options stay those of the present configuration."""
        saved: dict[str, dict[str, Tensor]] = {}
        for full_name, tensor in tensors.items():
            name, key = full_name.rsplit("/", 1)
            saved.setdefault(name, {})[key] = tensor
        state_of = {id(parameter): saved.get(name, {}) for name, parameter in self.model.named_parameters()}
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        state = {
            index: {
                key: laid_out_like(parameter, tensor) if tensor.ndim else tensor
                for key, tensor in state_of[id(parameter)].items()
            }
            for index, parameter in enumerate(parameters)
            if state_of[id(parameter)]
        }
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def _delete_old(self, best_step: int | None) -> None:
        paths = checkpoint_paths(self.folder)
        for path in paths[: -self.keep_checkpoints]:
            if best_step is None or path != checkpoint_path(self.folder, best_step):
                doomed = path.with_name(f".{path.name}.deleted")  # renamed first: a kill must not leave half a folder
                os.replace(path, doomed)
                shutil.rmtree(doomed)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step is or would be."""
    return folder / f"step-{step:08d}"


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first; temporary ones are not among them."""
    paths = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    return sorted(paths, key=lambda path: int(path.name.removeprefix("step-")))


def newest_data(folder: Path) -> dict[str, str]:
    """Return what the newest checkpoint that can be read says of its data; nothing where none says anything."""
    for path in reversed(checkpoint_paths(folder)):
        try:
            data = json.loads((path / STATE).read_text(encoding="utf-8")).get("data", {})
        except (OSError, ValueError, AttributeError):
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


def _set_aside_newer(folder: Path, path: Path) -> None:
    """Rename the damaged checkpoints after the one that training goes on from, so that they can be written again."""
    paths = checkpoint_paths(folder)
    for damaged in paths[paths.index(path) + 1 :]:
        aside = damaged.with_name(f"damaged-{damaged.name}")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(damaged, aside)


def verify(path: Path) -> None:
    """Check a checkpoint against its checksums.

    Raises:
        ValueError: a part is missing or damaged, or the format is of another version.
    """
    try:
        contents = json.loads((path / CHECKSUMS).read_text(encoding="utf-8"))
        format_version, checksums = contents["format_version"], contents["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        raise ValueError(f"Checkpoint {path} is damaged: {CHECKSUMS} is missing or unreadable.") from None
    if format_version != FORMAT_VERSION:
        raise ValueError(f"Checkpoint {path} has format {format_version}, but this version reads {FORMAT_VERSION}.")
    for name, checksum in checksums.items():
        if not (path / name).is_file() or _sha256(path / name) != checksum:
            raise ValueError(f"Checkpoint {path} is damaged: {name} is missing or differs from its checksum.")


def exported_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights that a checkpoint stands for, under all their names: the average, where there is one."""
    entries = json.loads((path / STATE).read_text(encoding="utf-8"))
    weights = load_file(path / WEIGHTS)
    if (path / AVERAGES).exists():
        weights |= load_file(path / AVERAGES)
    return weights | {name: weights[original] for name, original in entries["aliases"].items()}


def distinct_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers, each once, under the first of its names."""
    shared = aliases(model)
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name not in shared}


def aliases(model: nn.Module) -> dict[str, str]:
    """Return the further names of tied tensors with the first name of each."""
    first_name: dict[int, str] = {}
    names = {name: first_name.setdefault(id(t), name) for name, t in model.state_dict(keep_vars=True).items()}
    return {name: original for name, original in names.items() if name != original}


def _fill_all(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor], path: Path) -> None:
    """Copy saved values into tensors, after all of them were found to fit."""
    if tensors.keys() != values.keys():
        missing, surplus = sorted(tensors.keys() - values.keys()), sorted(values.keys() - tensors.keys())
        raise ValueError(f"{path} does not fit this model: it lacks {missing[:3]} and has {surplus[:3]} too many.")
    for name, tensor in tensors.items():
        if tensor.shape != values[name].shape:
            there, here = tuple(values[name].shape), tuple(tensor.shape)
            raise ValueError(f"{path} does not fit this model: {name} is {there} there, but {here} here.")
    for name, tensor in tensors.items():
        fill(tensor, values[name])


def _write(path: Path, tensors: Mapping[str, Mapping[str, Tensor]], entries: Mapping[str, Any]) -> str | None:
    """Write a checkpoint; return what went wrong, after everything half-written is removed again."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(".step-*"):
            shutil.rmtree(leftover)
        temporary.mkdir()
        for name, part in tensors.items():
            save_file(dict(part), temporary / name, metadata={"format": "pt"})
        (temporary / STATE).write_text(json.dumps(entries, indent=1), encoding="utf-8")
        checksums = {name: _sha256(temporary / name) for name in (*tensors, STATE)}
        contents = {"format_version": FORMAT_VERSION, "sha256": checksums}
        (temporary / CHECKSUMS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
        for written in (*temporary.iterdir(), temporary):
            _flush_to_disk(written)
        os.replace(temporary, path)
        _flush_to_disk(path.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        return str(error)
    return None


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
