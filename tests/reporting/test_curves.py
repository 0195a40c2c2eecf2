"""What is said of the end of a training, from its log."""

import json
from pathlib import Path
from typing import Any

import pytest

from seq2seq.reporting.curves import course_of


def log(folder: Path, scores: list[float], losses: list[float] | None = None) -> Path:
    """Write the log of a training of 1,000 steps."""
    lines: list[dict[str, Any]] = [
        {"kind": "train", "step": step, "nll": 5 - step / 500, "seconds": 60.0 * step} for step in range(100, 1001, 100)
    ]
    every = 1000 // len(scores)
    for place, score in enumerate(scores, start=1):
        loss = {"nll": losses[place - 1]} if losses else {}
        lines.append({"kind": "validation", "step": place * every, "bleu": score, **loss})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize(
    ("scores", "trend"),
    [
        ([10, 20, 30, 40], "rising"),
        ([10, 30, 31, 31.1], "flat"),
        ([10, 33, 31, 30], "flat"),
        ([10, 30, 31, 31.6], "unclear"),
        ([30], "unknown"),
        ([10, 40], "rising"),
        ([10, 20, 30, 40, 39.9], "rising"),
        ([10, 20, 30, 40, 30.1], "unclear"),
    ],
)
def test_trends(tmp_path: Path, scores: list[float], trend: str) -> None:
    course = course_of(log(tmp_path, scores), "bleu", noise=1.5)
    assert course is not None
    assert course.trend == trend
    assert course.best == max(scores)


def test_a_score_that_rests_while_the_loss_falls_may_rise_again(tmp_path: Path) -> None:
    course = course_of(log(tmp_path, [1, 1, 1, 1], [4.0, 3.5, 3.0, 2.5]), "bleu")
    settled = course_of(log(tmp_path, [1, 1, 1, 1], [4.0, 3.5, 3.4, 3.4]), "bleu")
    assert course is not None
    assert settled is not None
    assert (course.trend, settled.trend) == ("unclear", "flat")


def test_a_score_that_is_0_all_along_leaves_it_to_the_loss(tmp_path: Path) -> None:
    log(tmp_path, [0, 0, 0, 0], [4.0, 3.5, 3.0, 2.5])
    text = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text(text.replace('"bleu": 0, "nll"', '"bleu": 0, "loss"'))
    course = course_of(tmp_path, "bleu", noise=1.5)
    assert course is not None
    assert (course.select_by, course.trend, course.best, course.best_step) == ("loss", "rising", 2.5, 1000)
    errors = course_of(log(tmp_path, [0, 0], [4.0, 3.5]), "bleu")
    assert errors is not None
    assert (errors.select_by, errors.best) == ("bleu", 0), "there is nothing else to go by"


def test_minutes_and_missing_logs(tmp_path: Path) -> None:
    assert course_of(tmp_path, "bleu") is None
    course = course_of(log(tmp_path, [10, 20]), "bleu")
    assert course is not None
    series = course.of("validation", "bleu")
    assert series is not None
    assert (series.steps, series.minutes) == ((500, 1000), (500.0, 1000.0))


def test_learning_by_heart(tmp_path: Path) -> None:
    rising = course_of(log(tmp_path, [1, 2, 3, 4], [3.0, 2.0, 2.5, 3.0]), "bleu")
    falling = course_of(log(tmp_path, [1, 2, 3, 4], [3.0, 2.5, 2.2, 2.0]), "bleu")
    assert rising is not None
    assert falling is not None
    assert (rising.learns_by_heart, falling.learns_by_heart) == (True, False)


def test_a_loss_is_better_when_it_is_less(tmp_path: Path) -> None:
    course = course_of(log(tmp_path, [1, 2, 3, 4], [4.0, 3.0, 2.5, 2.0]), "nll")
    assert course is not None
    assert (course.trend, course.best, course.best_step) == ("rising", 2.0, 1000)
