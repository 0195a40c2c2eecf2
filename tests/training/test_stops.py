"""Whatever ends a run, and wherever: it goes on to the same weights, log and checkpoints as one that nothing ended."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.training.checkpoint_folder import checkpoint_paths
from seq2seq.training.tracking import read_log
from seq2seq.training.trainer import Trainer
from tests.training.fakes import assert_same_bits, make_trainer, snapshot

MAX_STEPS = 7
CLOCK = {"seconds", "seconds_per_step", "tokens_per_second", "memory_mib"}


def trainer_in(folder: Path, **options: Any) -> Trainer:
    """Return a trainer whose checkpoints, validations and lines of the log are due at different steps."""
    defaults = {"max_steps": MAX_STEPS, "validate_every": 2, "checkpoint_every": 3, "log_every": 5, "ema_decay": 0.9}
    return make_trainer(folder, **({"keep_checkpoints": 2, "dropout": 0.3} | defaults | options))


def logged(folder: Path) -> list[dict[str, Any]]:
    return [{key: v for key, v in entry.items() if key not in CLOCK} for entry in read_log(folder / "log.jsonl")]


def assert_same_runs(whole: Trainer, other: Trainer) -> None:
    assert_same_bits(snapshot(whole), snapshot(other))
    folders = [trainer.checkpoints.folder for trainer in (whole, other)]
    names = [[path.name for path in checkpoint_paths(folder)] for folder in folders]
    assert names[0] == names[1]
    assert whole.state.regular == other.state.regular
    assert whole.state.best == other.state.best
    assert logged(folders[0].parent) == logged(folders[1].parent)


class Kill(BaseException):
    """No `except` stands in its way, as none does in that of SIGKILL."""


def kill_at(trainer: Trainer, call: int) -> list[str]:
    """Have the trainer killed at the call of this number that writes or measures something; return what was called."""
    calls: list[str] = []
    assert trainer.validation is not None
    places = [
        *((trainer.checkpoints, name) for name in ("save", "save_validation")),
        *((trainer.tracker, "log"), (trainer.validation, "run")),
    ]

    def watched(name: str, method: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == call:
                raise Kill
            return method(*arguments, **options)

        return wrapped

    for owner, name in places:
        setattr(owner, name, watched(name, getattr(owner, name)))
    return calls


def test_a_kill_anywhere_between_steps_changes_nothing(tmp_path: Path) -> None:
    whole = trainer_in(tmp_path / "whole")
    calls = kill_at(whole, call=0)
    whole.run()
    assert calls.count("save") > calls.count("run") >= 3
    for call in range(1, len(calls) + 1):
        folder = tmp_path / str(call)
        killed = trainer_in(folder)
        kill_at(killed, call)
        with pytest.raises(Kill):
            killed.run()
        again = trainer_in(folder)
        again.run()
        assert_same_runs(whole, again)


def interrupted(trainer: Trainer, step: int) -> Trainer:
    """Return the trainer with an objective in which SIGTERM comes in this step of training."""
    objective = trainer.objective

    def objective_and_signal(model: Any, batch: Batch, number: int) -> LossSum:
        if number == step and model.training:
            os.kill(os.getpid(), signal.SIGTERM)
        return objective(model, batch, number)

    trainer.objective = objective_and_signal
    return trainer


@pytest.mark.parametrize("options", [{}, {"validation_rows": None}, {"patience": 1, "select_by": "bleu"}])
def test_a_signal_in_any_step_changes_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    """Also which checkpoints there are, of which a mean may be made, and the line of the log about the last steps."""
    if "select_by" in options:
        options = options | {"decode": lambda: {"bleu": 1.0}}
    whole = trainer_in(tmp_path / "whole", **options)
    whole.run()
    for step in range(1, whole.state.step + 1):
        folder = tmp_path / str(step)
        with pytest.raises(SystemExit):
            interrupted(trainer_in(folder, **options), step).run()
        assert checkpoint_paths(folder / "checkpoints")[-1].name == f"step-{step:08}"
        again = trainer_in(folder, **options)
        again.run()
        assert_same_runs(whole, again)
        once_more = trainer_in(folder, **options)
        log = (folder / "log.jsonl").read_bytes()
        once_more.run()
        assert (folder / "log.jsonl").read_bytes() == log
        assert_same_runs(whole, once_more)


def test_checkpoints_that_a_mean_is_made_of_are_those_that_are_due_and_the_last(tmp_path: Path) -> None:
    options = {"checkpoint_every": 2, "validation_rows": None, "keep_checkpoints": 3}
    for step in (1, 4, 5):
        with pytest.raises(SystemExit):
            interrupted(trainer_in(tmp_path, **options), step).run()
    assert trainer_in(tmp_path, **options).run().regular == [4, 6, 7]
    state = trainer_in(tmp_path, max_steps=9, **options).run()
    assert state.regular == [6, 8, 9], "the end of an earlier part does not count in a run that goes on"
    assert [path.name[-1] for path in checkpoint_paths(tmp_path / "checkpoints")] == ["6", "8", "9"]


def test_checkpoints_that_a_validation_needs_do_not_count(tmp_path: Path) -> None:
    scores = iter(range(9, 0, -1))
    options = {"max_steps": 8, "validate_every": 1, "decode": lambda: {"bleu": float(next(scores))}}
    state = trainer_in(tmp_path, select_by="bleu", **options).run()
    assert (state.best.step, state.regular) == (1, [6, 8])
    assert [path.name[-1] for path in checkpoint_paths(tmp_path / "checkpoints")] == ["1", "6", "8"]


def test_a_validation_that_fails_costs_no_steps(tmp_path: Path) -> None:
    whole, failing = trainer_in(tmp_path / "whole"), trainer_in(tmp_path / "failing")
    whole.run()
    assert failing.validation is not None

    def out_of_memory(*arguments: Any) -> LossSum:
        raise RuntimeError("out of memory")

    failing.validation.objective = out_of_memory
    with pytest.raises(RuntimeError, match="out of memory"):
        failing.run()
    assert [path.name for path in checkpoint_paths(tmp_path / "failing" / "checkpoints")] == ["step-00000002"]
    again = trainer_in(tmp_path / "failing")
    again.run()
    assert_same_runs(whole, again)


def test_a_decode_that_fails_is_logged_and_the_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([1.0, None, None, 3.0])

    def decode() -> dict[str, float]:
        if (answer := next(answers)) is None:
            raise ValueError("the model's logits are not finite")
        return {"bleu": answer}

    state = trainer_in(tmp_path, decode=decode, select_by="bleu", patience=1).run()
    assert state.step == MAX_STEPS, "what could not be measured is not counted as a validation without a new best"
    assert (state.best.step, state.best.value, state.best.num_since) == (7, 3.0, 0)
    entries = read_log(tmp_path / "log.jsonl")
    errors = [(entry["step"], entry["error"]) for entry in entries if entry["kind"] == "validation_error"]
    assert errors == [(step, "ValueError: the model's logits are not finite") for step in (4, 6)]
    validations = [entry for entry in entries if entry["kind"] == "validation"]
    assert [("loss" in entry, entry.get("bleu")) for entry in validations] == [
        *((True, 1.0), (True, None), (True, None), (True, 3.0))
    ]
    shown = "validation at step 4 could not decode, so there are no scores: ValueError: the model's logits are not"
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize("step", [1, 3, 4, 5, MAX_STEPS])
def test_a_log_that_cannot_be_written_costs_no_steps(tmp_path: Path, step: int) -> None:
    whole, full = trainer_in(tmp_path / "whole", log_every=1), trainer_in(tmp_path / "full", log_every=1)
    whole.run()
    log = full.tracker.log

    def without_space(kind: str, number: int, values: Any) -> None:
        if number == step:
            raise OSError(28, "No space left on device")
        log(kind, number, values)

    full.tracker.log = without_space  # type: ignore[method-assign]
    with pytest.raises(OSError, match=f"log could not be written: .*No space left.*step-{step:08}; run again"):
        full.run()
    assert checkpoint_paths(tmp_path / "full" / "checkpoints")[-1].name == f"step-{step:08}"
    again = trainer_in(tmp_path / "full", log_every=1)
    again.run()
    assert_same_runs(whole, again)
