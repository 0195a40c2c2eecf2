import json
import math
import os
from pathlib import Path

import pytest
import torch

from seq2seq.objectives.base import LossSum
from seq2seq.training.tracking import Tracker, add_step, peak_memory_mib, per_token, read_log, window_values


def write_lines(folder: Path) -> Path:
    tracker = Tracker(folder)
    tracker.start(0, 0)
    tracker.log("data", 0, {"pairs": 12})
    for step in range(1, 6):
        tracker.log("train", step, {"loss": 1.0 / step})
        if step % 2 == 0:
            tracker.log("validation", step, {"loss": 2.0 / step, "bleu": 10.0})
    return folder / "log.jsonl"


def kinds_and_steps(path: Path) -> list[tuple[str, int]]:
    return [(entry["kind"][0], entry["step"]) for entry in read_log(path)]


def test_one_object_per_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path)
    lines = path.read_text().splitlines()
    assert json.loads(lines[0]) == {"kind": "data", "step": 0, "pairs": 12}
    assert json.loads(lines[3]) == {"kind": "validation", "step": 2, "loss": 1.0, "bleu": 10.0}
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("step", "validated_step", "kept"),
    [
        (3, 2, [("d", 0), ("t", 1), ("t", 2), ("v", 2), ("t", 3)]),
        (4, 4, [("d", 0), ("t", 1), ("t", 2), ("v", 2), ("t", 3), ("t", 4), ("v", 4)]),
        (4, 2, [("d", 0), ("t", 1), ("t", 2), ("v", 2), ("t", 3), ("t", 4)]),
        (0, 0, [("d", 0)]),
    ],
)
def test_resuming_cuts_off_what_comes_after(
    step: int, validated_step: int, kept: list[tuple[str, int]], tmp_path: Path
) -> None:
    path = write_lines(tmp_path)
    Tracker(tmp_path).start(step, validated_step)
    assert kinds_and_steps(path) == kept


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = write_lines(tmp_path)
    with path.open("a") as file:
        file.write('{"kind": "train", "step": 5, "lo')
    tracker = Tracker(tmp_path)
    tracker.start(5, 4)
    tracker.log("train", 6, {"loss": 0.1})
    assert kinds_and_steps(path)[-2:] == [("t", 5), ("t", 6)]


def test_lines_logged_twice_remain_once(tmp_path: Path) -> None:
    path = write_lines(tmp_path)
    tracker = Tracker(tmp_path)
    tracker.log("data", 0, {"pairs": 12})
    tracker.start(5, 4)
    assert kinds_and_steps(path).count(("d", 0)) == 1


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.start(0, 0)
    tracker.log("train", 1, {"loss": math.nan, "perplexity": math.inf, "nll": 1.5})
    assert read_log(tmp_path / "log.jsonl") == [
        {"kind": "train", "step": 1, "loss": None, "perplexity": None, "nll": 1.5}
    ]


def test_other_processes_leave_no_trace(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", enabled=False, trackers=("tensorboard",))
    tracker.start(0, 0)
    tracker.log("train", 1, {"loss": 1.0})
    tracker.close()
    assert not (tmp_path / "run").exists()


def loss_sum(total: float, weight: float, nll: float, correct: float) -> LossSum:
    logs = {"nll_sum": torch.tensor(nll), "correct": torch.tensor(correct)}
    return LossSum(torch.tensor(total), torch.tensor(weight), logs)


def test_values_per_token() -> None:
    values = per_token(loss_sum(12.0, 4.0, 8.0, 1.0))
    assert values == {"loss": 3.0, "nll": 2.0, "perplexity": math.exp(2.0), "token_accuracy": 0.25}


def test_window_weighs_steps_by_their_tokens() -> None:
    window: dict[str, float] = {}
    add_step(window, loss_sum(12.0, 4.0, 8.0, 1.0), 3.0, 0.5, skipped=False)
    add_step(window, loss_sum(8.0, 16.0, 2.0, 9.0), 5.0, 1.5, skipped=False)
    values = window_values(json.loads(json.dumps(window)))
    assert (values["loss"], values["nll"], values["token_accuracy"]) == (1.0, 0.5, 0.5)
    assert (values["gradient_norm"], values["tokens_per_second"], values["seconds_per_step"]) == (4.0, 10.0, 1.0)
    assert "skipped_steps" not in values


def test_window_of_skipped_steps_only_has_no_loss() -> None:
    window: dict[str, float] = {}
    add_step(window, loss_sum(math.inf, 4.0, math.nan, 1.0), math.inf, 0.5, skipped=True)
    assert window_values(window) == {"seconds_per_step": 0.5, "skipped_steps": 1.0}


def test_peak_memory_is_that_of_a_process_with_torch_in_it() -> None:
    assert 50 < peak_memory_mib(torch.device("cpu")) < 1e6


def test_tokens_are_counted_where_the_weight_is_something_else() -> None:
    window: dict[str, float] = {}
    tokens = {"target_tokens": torch.tensor(35.0)}
    for total in (
        LossSum(torch.tensor(2.0), torch.tensor(1.0), tokens),
        LossSum(torch.tensor(4.0), torch.tensor(1.0), tokens),
    ):
        assert total.num_target_tokens == 35.0
        add_step(window, total, 1.0, 0.5, skipped=False)
    values = window_values(window)
    assert values["tokens_per_second"] == pytest.approx(70.0)
    assert values["loss"] == pytest.approx(3.0)


def test_the_last_line_of_a_kind_is_known_when_a_run_goes_on(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.start(0, 0)
    for kind, step in (("train", 3), ("validation", 3), ("validation_error", 3), ("train", 5), ("validation_error", 5)):
        tracker.log(kind, step, {})
    assert not tracker.has("train", 5), "of what this part of the run logs it says nothing"
    tracker = Tracker(tmp_path)
    tracker.start(5, 3)
    assert tracker.has("train", 5)
    assert not tracker.has("train", 3)
    assert [entry["step"] for entry in read_log(tracker.path) if entry["kind"] == "validation_error"] == [3]


def test_a_log_that_is_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match=r"log.jsonl: a pipe or a device"):
        read_log(tmp_path / "log.jsonl")
