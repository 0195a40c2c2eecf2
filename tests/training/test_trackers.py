"""Trackers beside the log: what each tool is told, and that none can stop a training."""

import json
import math
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from seq2seq.training import trackers
from seq2seq.training.trackers import TRACKERS, TrackedRun, check_trackers
from seq2seq.training.tracking import Tracker, read_log

PARAMETERS = {"training.max_steps": 4, "objective": "cross_entropy", "data.train.path": None, "betas": [0.9, 0.98]}
SERIES = [("train", 1, {"loss": 2.5}), ("train", 2, {"loss": 2.0}), ("validation", 2, {"bleu": 7.0, "kept": True})]


class Recorder:
    """A tool that keeps what it is told, and fails where it is asked to."""

    made: list["Recorder"] = []
    fails_at: str | int = "never"

    def __init__(self, run: TrackedRun) -> None:
        self.run, self.told, self.closed = run, [], False
        self.token = run.identity()
        self.made.append(self)
        self._fail("start")

    def report(self, step: int, values: dict[str, float]) -> None:
        self._fail(step)
        self.told.append((step, values))

    def close(self) -> None:
        self._fail("close")
        self.closed = True

    def _fail(self, place: str | int) -> None:
        if place == self.fails_at:
            raise ConnectionError("the server\nis gone")


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    monkeypatch.setattr(Recorder, "made", [])
    monkeypatch.setitem(TRACKERS, "wandb", Recorder)
    monkeypatch.setitem(TRACKERS, "mlflow", Recorder)
    return Recorder.made


def logged(folder: Path, series: Any = SERIES, start: int = 0, **options: Any) -> None:
    tracker = Tracker(folder, parameters=PARAMETERS, **options)
    tracker.start(start, start)
    for kind, step, values in series:
        tracker.log(kind, step, values)
    tracker.close()


def test_all_hear_the_numbers_of_the_log(tmp_path: Path, recorders: list[Recorder]) -> None:
    logged(tmp_path / "run", trackers=("wandb", "mlflow"))
    assert len(recorders) == 2
    for recorder in recorders:
        assert recorder.told == [(1, {"train/loss": 2.5}), (2, {"train/loss": 2.0}), (2, {"validation/bleu": 7.0})]
        assert recorder.closed
        assert (recorder.run.name, recorder.run.step, recorder.run.parameters) == ("run", 0, PARAMETERS)
    assert recorders[0].token != recorders[1].token


def test_other_processes_say_nothing(tmp_path: Path, recorders: list[Recorder]) -> None:
    logged(tmp_path / "run", trackers=("wandb",), enabled=False)
    assert recorders == []
    logged(tmp_path / "run")
    assert not (tmp_path / "run" / "trackers.json").exists()


def test_a_run_that_goes_on_is_the_same_and_repeats_no_step(tmp_path: Path, recorders: list[Recorder]) -> None:
    logged(tmp_path, [("train", step, {"loss": 1 / step}) for step in (1, 2, 3)], trackers=("wandb",))
    again = [("train", step, {"loss": 1 / step}) for step in (2, 3, 4)]
    logged(tmp_path, again, start=1, trackers=("wandb", "mlflow"))
    first, second, new = recorders
    assert (second.token, second.run.step) == (first.token, 1)
    assert [step for step, _ in second.told] == [4]
    assert [step for step, _ in new.told] == [2, 3, 4], "one that was not there has had none"
    assert [entry["step"] for entry in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4]
    kept = json.loads((tmp_path / "trackers.json").read_text())
    assert {name: entry["id"] for name, entry in kept.items()} == {"wandb": first.token, "mlflow": new.token}


def test_a_run_is_kept_before_the_next_tool_starts(
    tmp_path: Path, recorders: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(run: TrackedRun) -> Recorder:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(TRACKERS, "mlflow", killed)
        with pytest.raises(KeyboardInterrupt):
            logged(tmp_path, trackers=("wandb", "mlflow"))
    logged(tmp_path, trackers=("wandb", "mlflow"))
    first, second, _ = recorders
    assert second.token == first.token


def test_what_is_no_finite_number_stays_in_the_log(tmp_path: Path, recorders: list[Recorder]) -> None:
    series = [("train", 1, {"loss": math.nan, "rate": 0.5}), ("train", 2, {"loss": math.inf, "norm": -math.inf})]
    logged(tmp_path, series, trackers=("wandb",))
    assert recorders[0].told == [(1, {"train/rate": 0.5})]


@pytest.mark.parametrize("place", ["start", 2, "close"])
def test_one_that_fails_is_left_out_with_one_warning(
    place: Any, tmp_path: Path, recorders: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "fails_at", place)
    with pytest.warns(UserWarning, match="wandb has failed .*ConnectionError: the server is gone") as caught:
        logged(tmp_path, trackers=("wandb",))
    assert len(caught) == 1
    assert [step for step, _ in recorders[0].told] == {"start": [], 2: [1], "close": [1, 2, 2]}[place]
    assert len(read_log(tmp_path / "log.jsonl")) == 3


def test_what_is_not_installed_is_said_before_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_trackers(())
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"is trackio, which is not installed: `pip install 'seq2seq-toolkit\[track"):
        check_trackers(("trackio",))
    monkeypatch.setattr(trackers, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(ValueError, match="not installed"):
        check_trackers(("wandb",))  # a folder of that name, and no package
    monkeypatch.setattr(trackers, "find_spec", lambda name: ModuleSpec(name, None, origin="x"))
    with pytest.raises(ValueError, match="names wandb twice"):
        check_trackers(("wandb", "wandb"))


def test_tensorboard_files_hold_the_values(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensorboard's own imports
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        logged(tmp_path, trackers=("tensorboard",))
        logged(tmp_path, [("train", 2, {"loss": 1.5})], start=1, trackers=("tensorboard",))
        events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 2.5), (2, 1.5)]
    assert "configuration/text_summary" in events.Tags()["tensors"]


@pytest.mark.slow
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logged(tmp_path / "run", trackers=("wandb",))
    logged(tmp_path / "run", [("train", 3, {"loss": 1.0})], start=2, trackers=("wandb",))
    identity = json.loads((tmp_path / "run" / "trackers.json").read_text())["wandb"]["id"]
    files = [*(tmp_path / "run" / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb")]
    assert files
    assert any(b"training.max_steps" in file.read_bytes() for file in files)


def test_mlflow_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mlflow's own imports
        mlflow = pytest.importorskip("mlflow")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        logged(tmp_path / "run", trackers=("mlflow",))
        logged(tmp_path / "run", [("train", 3, {"loss": 1.0})], start=2, trackers=("mlflow",))
        client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
        experiment = client.get_experiment_by_name("seq2seq")
        [run] = client.search_runs([experiment.experiment_id])
        history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(entry.step, entry.value) for entry in history] == [(1, 2.5), (2, 2.0), (3, 1.0)]
    assert run.data.params == {name: "null" if value is None else str(value) for name, value in PARAMETERS.items()}
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")


def test_trackio_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "trackio" not in sys.modules:
        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    storage = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    logged(tmp_path / "run", trackers=("trackio",))
    logged(tmp_path / "run", [("train", 3, {"loss": 1.0})], start=2, trackers=("trackio",))
    token = json.loads((tmp_path / "run" / "trackers.json").read_text())["trackio"]["id"]
    entries = storage.get_logs("seq2seq", f"run-{token}")
    assert [(entry["step"], entry["train/loss"]) for entry in entries if "train/loss" in entry] == [
        (1, 2.5),
        (2, 2.0),
        (3, 1.0),
    ]


def test_nobody_is_asked_for_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    stand_in: Any = types.ModuleType("wandb")
    stand_in.login = lambda **how: told.update(how) or False
    stand_in.Settings = lambda **how: how
    stand_in.init = lambda **how: told.update(how) or types.SimpleNamespace(log=lambda *a, **k: 0, finish=lambda: 0)
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.warns(UserWarning, match="nobody is logged in"):
        logged(tmp_path, trackers=("wandb",))
    assert told["prompt"] is False
    assert (told["mode"], told["project"], told["resume"]) == ("offline", "seq2seq", "allow")
