"""What a run reports: `log.jsonl` always, and the trackers of `trackers` that it is told to.

Numbers enter with a kind (`train`, `validation`, `data`) and a step; one JSON object per line leaves, at once, so
that a killed run keeps its log. On resume everything after the resumed step is cut off, so no step is logged twice.
"""

import json
import math
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seq2seq.files import is_special, written
from seq2seq.lines import numbered_lines
from seq2seq.objectives.base import LossSum
from seq2seq.training.trackers import Trackers

LOG_NAME = "log.jsonl"


class Tracker:
    """Writes the log of one run directory.

    Args:
        run_directory: created if absent.
        trackers: names of those that hear of it, too.
        parameters: every option by its dotted name, for these.
        enabled: False on all processes but the main one, where nothing is read or written.
    """

    def __init__(
        self,
        run_directory: Path | str,
        *,
        trackers: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        enabled: bool = True,
    ) -> None:
        self.run_directory = Path(run_directory)
        self.path = self.run_directory / LOG_NAME
        self.trackers = trackers
        self.parameters = parameters or {}
        self.enabled = enabled
        self._open: Trackers | None = None
        self._last_steps: dict[str, int] = {}
        self._has_begun = False
        if enabled:
            self.run_directory.mkdir(parents=True, exist_ok=True)

    def start(self, step: int, validated_step: int) -> None:
        """Cut off what was logged after the step (and validation) from which the run goes on; 0, 0 for a new run."""
        if not self.enabled:
            return
        last_steps = {"validation": validated_step, "validation_error": validated_step}
        lines = _whole_lines(self.path)
        kept = [line for line in lines if _belongs(line, last_steps, otherwise=step)]
        self._last_steps = {entry.get("kind", ""): entry.get("step", 0) for entry in map(json.loads, kept)}
        if self.path.exists():
            with written(self.path) as file:
                file.writelines(f"{line}\n" for line in dict.fromkeys(kept))
        if self.trackers:
            cut = {(entry["kind"], entry["step"]) for entry in map(json.loads, {*lines} - {*kept})}
            self._open = Trackers(self.trackers, self.run_directory, self.parameters, step, cut)

    def has(self, kind: str, step: int) -> bool:
        """Return whether the last line of this kind, when the run went on, was of this step; False if not enabled."""
        return self._last_steps.get(kind) == step

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line; numbers that are not finite become null, which JSON can hold.

        Raises:
            OSError: it cannot be written, or what this run has logged is not there any more.
        """
        if not self.enabled:
            return
        finite = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
        with open(self.path, "a", encoding="utf-8", opener=_opened_again if self._has_begun else None) as file:
            self._has_begun = True
            file.write(json.dumps({"kind": kind, "step": step, **finite}, ensure_ascii=False) + "\n")
        if self._open is not None:
            self._open.report(kind, step, finite)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _opened_again(path: str, flags: int) -> int:
    """Open a file that must be there: one that was removed would otherwise come back without its beginning."""
    return os.open(path, flags & ~os.O_CREAT, 0o666)


def per_token(total: LossSum) -> dict[str, float]:
    """Return the values of summed losses per unit of weight, under the names that logs use.

    `nll_sum` becomes `nll` and `perplexity`, `correct` becomes `token_accuracy`, any other name stays as it is.
    """
    weight = max(float(total.weight), 1.0)
    values = {"loss": total.mean}
    for name, value in total.logs.items():
        values[{"nll_sum": "nll", "correct": "token_accuracy"}.get(name, name)] = float(value) / weight
    if "nll" in values:
        values["perplexity"] = math.exp(values["nll"]) if values["nll"] < 700 else math.inf
    return values


def add_step(window: dict[str, float], total: LossSum, gradient_norm: float, seconds: float, *, skipped: bool) -> None:
    """Add a step to the sums of a window, which are plain numbers so that a checkpoint can hold them.

    A skipped step has no finite loss, so it adds its time and itself only.
    """
    sums = {"seconds": seconds, "skipped_steps": float(skipped)}
    if not skipped:
        sums |= {"steps": 1.0, "gradient_norm": gradient_norm}
        sums |= {"loss_sum": float(total.loss_sum), "weight": float(total.weight)}
        sums |= {f"logs/{name}": float(value) for name, value in total.logs.items()}
    for name, value in sums.items():
        window[name] = window.get(name, 0.0) + value


def window_values(window: Mapping[str, float]) -> dict[str, float]:
    """Return the means of a window (losses per token, gradient norm per step, target tokens and time per step), and the
    learning rate of its last step."""
    num_steps = window.get("steps", 0.0)
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in window.items()}
    logs = {name.removeprefix("logs/"): value for name, value in tensors.items() if name.startswith("logs/")}
    values = {}
    if num_steps:
        values = per_token(LossSum(tensors["loss_sum"], tensors["weight"], logs))
        values["gradient_norm"] = window["gradient_norm"] / num_steps
        values["tokens_per_second"] = window.get("logs/target_tokens", window["weight"]) / window["seconds"]
    if "learning_rate" in window:  # a checkpoint of an earlier version may end in a window without
        values["learning_rate"] = window["learning_rate"]
    values["seconds_per_step"] = window["seconds"] / (num_steps + window["skipped_steps"])
    if window["skipped_steps"]:
        values["skipped_steps"] = window["skipped_steps"]
    return values


def peak_memory_mib(device: torch.device) -> float:
    """Return the most memory used so far, in MiB: on a GPU what was allocated there, else by this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS and KiB on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log as dictionaries; a last line that was cut short by a kill is left out."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    """Return complete lines without their ends; after a kill the last one may lack its newline."""
    if is_special(path):
        raise ValueError(f"{path}: a pipe or a device, where the log of a run is expected; remove it.")
    if not path.exists():
        return []
    whole = (line for _, line in numbered_lines(path, errors="replace", keep_ends=True) if line.endswith("\n"))
    return [line.rstrip("\r\n") for line in whole if _is_entry(line)]


def _is_entry(line: str) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and isinstance(entry.get("kind"), str) and isinstance(entry.get("step"), int)


def _belongs(line: str, last_steps: Mapping[str, int], otherwise: int) -> bool:
    entry = json.loads(line)
    return bool(entry["step"] <= last_steps.get(entry["kind"], otherwise))
