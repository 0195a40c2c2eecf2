"""Trackers of experiments, beside the log: TensorBoard, wandb, mlflow and trackio behind one small adapter.

Numbers enter under the names `kind/value` with a step; they leave for the tools that `training.tracker` names, of the
main process alone. `log.jsonl` stays the truth: a tracker that fails, whenever it does, is left out with one warning,
and the training goes on. A run that goes on appends to the tracked run that it had, whose identity is kept in
`trackers.json`, and reports no step twice.
"""

import contextlib
import json
import os
import re
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from seq2seq.files import read_object, written

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
KEPT_FILE = "trackers.json"
"""In the run directory: which tracked run of each tool is its own."""
PROJECT = "seq2seq"
"""What runs are gathered under, unless the environment says otherwise."""
MLFLOW_UNLESS_SAID = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine that nobody asked for
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # 7 keep a training waiting for minutes when a server is gone
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
MOST_PARAMETERS = 100
"""Parameters that mlflow takes at a time."""
LONGEST_PARAMETER = 6000


@dataclass(frozen=True)
class TrackedRun:
    """What a tool is told of a run."""

    folder: Path
    step: int
    """From which it goes on; 0 for a new run."""
    parameters: Mapping[str, Any]
    """Every option by its dotted name."""
    kept: dict[str, str] = field(default_factory=dict)
    """What the tool keeps of its run; empty for a new one. What it adds is kept."""

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def identity(self) -> str:
        """Return what tells this run from others of the same name."""
        return self.kept.setdefault("id", secrets.token_hex(4))


class Reports(Protocol):
    """One tool, told of one run."""

    def report(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Files in `tensorboard/` of the run directory; what was written after the step is purged."""

    def __init__(self, run: TrackedRun) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.step + 1)
        if run.step == 0:
            rows = [f"| {name} | {_shown(value)} |" for name, value in run.parameters.items()]
            self._writer.add_text("configuration", "\n".join(["| option | value |", "|---|---|", *rows]))

    def report(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """Weights & Biases; offline where the environment says so, or where nobody is logged in, since nobody is asked."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE")
        if mode not in ("offline", "disabled", "dryrun") and not wandb.login(prompt=False):
            mode = "offline"
            warnings.warn(
                "wandb: nobody is logged in, so that the run is written for `wandb sync` alone; `wandb login` changes "
                "that, and `WANDB_MODE=offline` says that it is meant.",
                stacklevel=2,
            )
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=run.identity(),
            resume="allow",
            dir=str(run.folder),
            config={
                name: _shown(value) if isinstance(value, list) else value for name, value in run.parameters.items()
            },
            mode=mode,
            settings=wandb.Settings(silent=True, console="off"),
        )

    def report(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


class Mlflow:
    """mlflow: the server or folder of `MLFLOW_TRACKING_URI`, by default `mlruns` beside the run directory."""

    def __init__(self, run: TrackedRun) -> None:
        place = os.environ.get("MLFLOW_TRACKING_URI")
        if place is None:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            place = (run.folder.resolve().parent / "mlruns").as_uri()
        for name, value in MLFLOW_UNLESS_SAID.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.entities import Metric, Param

        self._metric: Any = Metric
        self._client: Any = mlflow.MlflowClient(tracking_uri=place)
        if "id" in run.kept:
            self._id = run.kept["id"]
            self._client.update_run(self._id, status="RUNNING")
            return
        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(project)
        self._id = run.kept["id"] = self._client.create_run(number, run_name=run.name).info.run_id
        parameters = [Param(_word(name), _shown(value)[:LONGEST_PARAMETER]) for name, value in run.parameters.items()]
        for start in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(self._id, params=parameters[start : start + MOST_PARAMETERS])

    def report(self, step: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(_word(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self) -> None:
        self._client.set_terminated(self._id)


class Trackio:
    """trackio: on this machine, in the folder of `TRACKIO_DIR`, unless its own variables name a Space or a server."""

    def __init__(self, run: TrackedRun) -> None:
        import trackio

        self._tool: Any = trackio
        with contextlib.redirect_stdout(sys.stderr):
            trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=f"{run.name}-{run.identity()}",
                config={name: _shown(value) for name, value in run.parameters.items()},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def report(self, step: int, values: dict[str, float]) -> None:
        self._tool.log(values, step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self._tool.finish()


TRACKERS: dict[str, Callable[[TrackedRun], Reports]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "mlflow": Mlflow,
    "trackio": Trackio,
}
assert set(TRACKERS) == {*get_args(TrackerName)}, "every tracker that can be named is there"


def check_trackers(names: Sequence[str]) -> None:
    """Raise ValueError for a tracker that is not installed, or named twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"`training.tracker` names {name} twice; name it once.")
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # the latter a folder of that name, such as that of wandb's files
            raise ValueError(
                f"`training.tracker` is {name}, which is not installed: `pip install 'seq2seq-toolkit[{name}]'`, or "
                "leave the tracker out; log.jsonl has the same numbers."
            )


class Trackers:
    """The trackers of one run, of which none can stop it.

    Args:
        names: see `TRACKERS`.
        folder: the run directory.
        parameters: every option by its dotted name.
        step: from which the run goes on.
        reported: kinds and steps that a tracked run that goes on has had, though the run itself begins before them.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        parameters: Mapping[str, Any],
        step: int,
        reported: set[tuple[str, int]],
    ) -> None:
        self._open: dict[str, Reports] = {}
        self._reported: dict[str, set[tuple[str, int]]] = {}
        path = folder / KEPT_FILE
        kept: dict[str, Any] = read_object(path) if names and path.is_file() else {}
        for name in names:
            run = TrackedRun(folder, step, parameters, dict(kept.get(name) or {}))
            self._reported[name] = reported if run.kept and name != "tensorboard" else set()
            with self._left_out_if_it_fails(name):
                self._open[name] = TRACKERS[name](run)
            if run.kept:
                kept[name] = run.kept
                with written(path) as file:  # at once: a kill while the next one starts would begin a second run here
                    file.write(json.dumps(kept, indent=2) + "\n")

    def report(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Tell every tracker the numbers among these values."""
        numbers = {
            f"{kind}/{name}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, tracker in [*self._open.items()]:
            if numbers and (kind, step) not in self._reported[name]:
                with self._left_out_if_it_fails(name):
                    tracker.report(step, numbers)

    def close(self) -> None:
        for name, tracker in [*self._open.items()]:
            with self._left_out_if_it_fails(name):
                tracker.close()
        self._open.clear()

    @contextlib.contextmanager
    def _left_out_if_it_fails(self, name: str) -> Any:
        try:
            yield
        except Exception as error:  # of a tool's own, of its network, of its disk
            self._open.pop(name, None)
            told = " ".join(f"{type(error).__name__}: {error}".split())
            warnings.warn(
                f"The tracker {name} has failed and is left out from here on ({told}); the training goes on, and "
                "log.jsonl has everything.",
                stacklevel=3,
            )


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _word(name: str) -> str:
    """Return a name of the characters that mlflow takes."""
    return re.sub(r"[^\w/. -]", "_", name)
