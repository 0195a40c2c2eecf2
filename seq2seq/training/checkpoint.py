"""Checkpoints: the only file that knows what one contains.

A folder `step-00001000` holds numbered parts:

    0-frozen.safetensors      weights that are not trained, if there are any; all checkpoints of a run share one file
    0-weights.safetensors     all others of the unwrapped model, shared tensors once
    1-optimizer.safetensors   the optimizer's state per parameter
    2-averages.safetensors    exponential moving average, if there is one
    3-state.json              `TrainingState`, the loss scaler's state, versions of libraries
    checksums.json            SHA-256 of every part, and the version of this format
    validation.json           `BestSoFar` after the validation of this step, which follows the checkpoint

It is written under a temporary name, flushed to disk and renamed, so a folder with that name is whole; checksums tell
if it is not any more. Nothing is pickled, so a checkpoint cannot run code.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer

from seq2seq.files import fingerprint, link_or_copy, new_folder, read_object, remove_folder, written
from seq2seq.models.transformer.adapters import merged, scaling_of
from seq2seq.models.weights import check_finite, read_weights, weights_written, write_weights
from seq2seq.training.checkpoint_entries import check_entries, is_best, optimizer_state
from seq2seq.training.checkpoint_folder import (
    CHECKSUMS,
    FORMAT_VERSION,
    STATE,
    VALIDATION,
    checkpoint_path,
    checkpoint_paths,
    checksum_of,
    newest_whole,
    remove_unfinished,
    set_aside_newer,
    step_of,
)
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.named_tensors import aliases, distinct_tensors, fill_all, is_frozen
from seq2seq.training.sharding import laid_out_like, whole
from seq2seq.training.validation import BestSoFar

FROZEN = "0-frozen.safetensors"
WEIGHTS = "0-weights.safetensors"
OPTIMIZER = "1-optimizer.safetensors"
AVERAGES = "2-averages.safetensors"
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
    """Sums since the last line of the log; with those of this step, also where its line is written after it."""
    regular: list[int] = field(default_factory=list)
    """Steps of the newest checkpoints that any such run has, however it was stopped: those that are due, those that
    were the best when they were made, and the one at the end."""
    data: dict[str, str] = field(default_factory=dict)
    """What the data are and how they are dealt out, by name; empty in a checkpoint that says nothing of them."""


class Checkpoints:
    """The checkpoints of one run, to save to and resume from; called by all processes, written by the main one.

    Args:
        folder: holds the checkpoints; created at the first save.
        model, optimizer: as prepared by the accelerator.
        keep_checkpoints: newest ones kept; the one of the best validation is kept besides. One that a stop or a coming
            validation leaves does not count: it is kept until there is a newer one.
        check_place: called by the main process before a checkpoint is written; raises OSError where there is no place
            for one any more, and returns what the run has lost beside it, if anything.
        when_best: called by the main process when the checkpoint of a step has become the best, and again if a run goes
            on from it.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Optimizer,
        ema: ExponentialMovingAverage | None = None,
        keep_checkpoints: int,
        check_place: Callable[[], str | None] = lambda: None,
        when_best: Callable[[TrainingState], None] = lambda state: None,
    ) -> None:
        if keep_checkpoints < 1:
            raise ValueError(f"`keep_checkpoints` must be at least 1, but is {keep_checkpoints}.")
        self.folder = Path(folder)
        self.accelerator = accelerator
        self.model = accelerator.unwrap_model(model)
        self.optimizer = optimizer
        self.ema = ema
        self.keep_checkpoints = keep_checkpoints
        self.check_place = check_place
        self.when_best = when_best
        self.frozen_in: Path | None = None
        """The checkpoint that this process has last written or read, whose file of frozen weights serves again."""

    def save(self, state: TrainingState, *, is_regular: bool = True) -> Path:
        """Write a checkpoint of this step unless there is one, then delete those that are not to be kept.

        Args:
            is_regular: whether it counts (see `TrainingState.regular`), which the state then says.

        Raises:
            OSError: it could not be written, for example because the disk is full; older ones are untouched. Or it was,
                but the run has lost what it needs besides.
        """
        path = checkpoint_path(self.folder, state.step)
        if is_regular:
            self._count(state)
        is_main, problem = self.accelerator.is_main_process, None
        is_needed, is_frozen_there, lost, gone = broadcast_object_list([self._looked_at(path) if is_main else None])[0]
        if gone:
            raise OSError(gone)
        if is_needed:
            tensors = self._tensors(with_frozen=not is_frozen_there)
            linked = self.frozen_in / FROZEN if is_frozen_there and self.frozen_in is not None else None
            problem = _write(path, tensors, self._entries(state), linked) if is_main else None
            self.frozen_in = path
        problem = broadcast_object_list([problem])[0]
        if problem:
            raise OSError(f"Checkpoint {path} could not be written: {problem}. Earlier checkpoints are whole.")
        if lost:
            raise OSError(f"{lost}. All steps are saved, in {path}; bring it back and run again to go on.")
        if is_main:
            self._delete_old(state)
        return path

    def _looked_at(self, path: Path) -> tuple[bool, bool, str | None, str | None]:
        """Return whether a checkpoint is to be written, whether there is a file of frozen weights for it, what the run
        has lost, and why there is no place for one."""
        is_frozen_there = self.frozen_in is not None and checksum_of(self.frozen_in, FROZEN) is not None
        try:
            return not path.exists(), is_frozen_there, self.check_place(), None
        except OSError as error:
            return False, False, None, str(error)

    def save_validation(self, state: TrainingState, *, is_best: bool) -> None:
        """Write what the validation of this step came to beside its checkpoint; delete what is then not to be kept.

        Where it cannot be written, a run that goes on from here validates again.
        """
        if is_best:
            self._count(state)
        if self.accelerator.is_main_process:
            try:
                _write_validation(checkpoint_path(self.folder, state.step) / VALIDATION, state.best)
            except OSError as error:
                warnings.warn(f"The validation of step {state.step} could not be kept: {error}", stacklevel=2)
            else:
                if is_best:
                    self.when_best(state)
                self._delete_old(state)

    def _count(self, state: TrainingState) -> None:
        """Note the checkpoint of this step among those that count."""
        others = [step for step in state.regular if step != state.step]
        state.regular = [*others, state.step][-self.keep_checkpoints :]

    def resume(self) -> TrainingState:
        """Load the newest whole checkpoint into model, optimizer and average; return its state, or a new one.

        Raises:
            ValueError: there are checkpoints, but none is whole, or it does not fit the model.
        """
        choice = None
        if self.accelerator.is_main_process:
            remove_unfinished(self.folder)
            choice = newest_whole(self.folder)
        path, problem = broadcast_object_list([choice])[0]
        if problem:
            raise ValueError(problem)
        if path is None:
            return TrainingState()
        state = self._load(path)
        if self.accelerator.is_main_process:
            set_aside_newer(self.folder, path)
            self._delete_old(state)  # a kill may have come between it and the last save
            if state.best.step == state.step:
                self.when_best(state)
        return state

    def _tensors(self, *, with_frozen: bool) -> dict[str, dict[str, Tensor]]:
        """Return the tensors of every part on the CPU, on the process that writes them; on others none.

        All must call it where the model is sharded.
        """
        optimizer = {
            f"{name}/{key}": torch.as_tensor(value)
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        weights = distinct_tensors(self.model)
        frozen = {name: tensor for name, tensor in weights.items() if is_frozen(tensor)}
        parts = {WEIGHTS: {name: weights[name] for name in weights if name not in frozen}, OPTIMIZER: optimizer}
        if frozen and with_frozen:
            parts[FROZEN] = frozen
        if self.ema is not None:
            parts[AVERAGES] = self.ema.named_averages(self.model)
        is_writer = self.accelerator.is_main_process
        return {part: whole(tensors, is_wanted=is_writer) for part, tensors in parts.items()}

    def _entries(self, state: TrainingState) -> dict[str, Any]:
        scaler = self.accelerator.scaler
        return asdict(state) | {
            "num_averaged": self.ema.num_updates if self.ema else 0,
            "loss_scaler": scaler.state_dict() if scaler is not None else None,
            "aliases": aliases(self.model),
            "adapter_scaling": scaling_of(self.model),
            "versions": _versions(),
        }

    def _load(self, path: Path) -> TrainingState:
        entries = read_object(path / STATE)
        check_entries(entries, path / STATE)
        fill_all(distinct_tensors(self.model), _weights_of(path), path / WEIGHTS)
        self.frozen_in = path
        self._load_optimizer(read_weights(path / OPTIMIZER), path / OPTIMIZER)
        if self.ema is not None:
            if not (path / AVERAGES).exists():
                raise ValueError(f"{path} has no average of the weights; resume it with `ema_decay: 0`.")
            fill_all(self.ema.named_averages(self.model), read_weights(path / AVERAGES), path / AVERAGES)
            self.ema.num_updates = entries.get("num_averaged", 0)
        if self.accelerator.scaler is not None and entries.get("loss_scaler"):
            self.accelerator.scaler.load_state_dict(entries["loss_scaler"])
        paths = checkpoint_paths(self.folder)
        before = [step_of(other) for other in paths[: paths.index(path) + 1]]
        state = _state_of({"regular": before} | entries, path / STATE)  # earlier versions counted all
        state.best = read_validation(path) or state.best
        if state.best.step == state.step:
            self._count(state)
        return state

    def _load_optimizer(self, tensors: dict[str, Tensor], path: Path) -> None:
        """Restore what the optimizer has learnt; its options stay those of the present configuration."""
        saved = optimizer_state(tensors, dict(self.model.named_parameters()), path)
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

    def _delete_old(self, state: TrainingState) -> None:
        kept = {checkpoint_path(self.folder, step) for step in (*state.regular, state.best.step or 0, state.step)}
        for path in checkpoint_paths(self.folder):
            if path not in kept:
                remove_folder(path)


def read_validation(path: Path) -> BestSoFar | None:
    """Return what the validation after a checkpoint came to; None before it."""
    try:
        found = read_object(path / VALIDATION)
        return BestSoFar(**found) if is_best(found) else None
    except (OSError, ValueError, TypeError):
        return None


def exported_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights that a checkpoint stands for, under all their names, adapters merged into what they adapt.

    That is the average, where there is one, unless the best validation was of this checkpoint's weights themselves.
    """
    entries = read_object(path / STATE)
    weights = _weights_of(path)
    best = read_validation(path)
    averaged = best is None or best.step != step_of(path) or best.averaged
    if averaged and (path / AVERAGES).exists():
        weights |= read_weights(path / AVERAGES)
    check_entries(entries, path / STATE)
    check_finite({name: weight for name, weight in weights.items() if weight.is_floating_point()}, path)
    aliases_of = entries.get("aliases", {})
    if absent := sorted(set(aliases_of.values()) - weights.keys()):
        raise ValueError(f"{path / STATE} is damaged: it names {', '.join(absent[:3])}, which is not in {WEIGHTS}.")
    weights |= {name: weights[original] for name, original in aliases_of.items()}
    scaling = entries.get("adapter_scaling")
    return weights if scaling is None else merged(weights, scaling)


def _weights_of(path: Path) -> dict[str, Tensor]:
    """Return the weights that a checkpoint's model had, those that were not trained included."""
    frozen = read_weights(path / FROZEN) if (path / FROZEN).exists() else {}
    return read_weights(path / WEIGHTS) | frozen


def _state_of(entries: Mapping[str, Any], path: Path) -> TrainingState:
    """Return the state that a file holds; raise ValueError naming it if these are not its entries."""
    try:
        entries = {"data": {}, **entries}  # earlier versions said nothing of them
        state = TrainingState(**{name: entries[name] for name in TrainingState.__dataclass_fields__})
        state.best = BestSoFar(**entries["best"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the state of a training of this version: {error!r}.") from error
    return state


def _write(
    path: Path, tensors: Mapping[str, Mapping[str, Tensor]], entries: Mapping[str, Any], frozen: Path | None
) -> str | None:
    """Write a checkpoint; return what went wrong, after everything half-written is removed again.

    Args:
        frozen: an earlier checkpoint's file of frozen weights, where these are not among the tensors.
    """
    try:
        with new_folder(path) as unfinished, weights_written(path):
            for name, part in tensors.items():
                write_weights(part, unfinished / name)
            (unfinished / STATE).write_text(json.dumps(entries, indent=1), encoding="utf-8")
            checksums = {name: fingerprint(unfinished / name)["sha256"] for name in (*tensors, STATE)}
            if frozen is not None:
                link_or_copy(frozen, unfinished / FROZEN)
                checksums[FROZEN] = checksum_of(frozen.parent, FROZEN)
            contents = {"format_version": FORMAT_VERSION, "sha256": checksums}
            (unfinished / CHECKSUMS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
    except OSError as error:
        return str(error)
    return None


def _write_validation(path: Path, best: BestSoFar) -> None:
    with written(path) as file:
        file.write(json.dumps(asdict(best)))


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
