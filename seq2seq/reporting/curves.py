"""How a training went, from its log: losses and scores by step and minute, and whether it still got better at the end.

`log.jsonl` enters; a `Course` leaves. What it says of the end compares the best score with that at three quarters of
the way, against what chance alone may make of a score on as many pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy

from seq2seq.training.tracking import LOG_NAME, read_log
from seq2seq.training.validation import lower_is_better

LATE = 0.75
"""Share of the steps from which on a gain counts as late."""
LEAST_GAIN = 0.01
"""Of a score, what a gain must be to be one."""
RISE_OF_LOSS = 1.02

Trend = Literal["rising", "flat", "unclear", "unknown"]
"""At the end of a training; `unknown` where too little was measured, `unclear` where chance may have made the gain."""


@dataclass(frozen=True)
class Series:
    """Values of one quantity in the order of steps."""

    kind: str
    """`train` or `validation`."""
    name: str
    steps: tuple[int, ...]
    minutes: tuple[float | None, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """How a training went."""

    series: tuple[Series, ...]
    select_by: str
    """What chose the checkpoint: the loss, where a score that was to do so was 0 all along."""
    num_steps: int
    trend: Trend
    late_gain: float | None
    """What the score that chose the checkpoint gained in the last quarter; above 0 is better."""
    at_three_quarters: float | None
    best: float | None
    best_step: int | None
    learns_by_heart: bool
    """Whether the loss on validation pairs rose again while that on training pairs fell."""

    def of(self, kind: str, name: str) -> Series | None:
        """Return a series; None if it was not logged."""
        return next((own for own in self.series if (own.kind, own.name) == (kind, name)), None)


def course_of(run: Path, select_by: str, noise: float = 0.0) -> Course | None:
    """Return how a run's training went; None where it has logged nothing.

    Args:
        select_by: the value of validations that chose the checkpoint.
        noise: half of the interval of such a score; a smaller gain may be chance.
    """
    log = [entry for entry in read_log(run / LOG_NAME) if entry["kind"] in ("train", "validation")]
    if not log:
        return None
    clock = _clock(log)
    names = dict.fromkeys(
        (entry["kind"], name)
        for entry in log
        for name, value in entry.items()
        if name not in ("kind", "step", "seconds") and isinstance(value, int | float)
    )
    series = tuple(_series(log, kind, name, clock) for kind, name in names)
    measured = {own.name: own for own in series if own.kind == "validation"}
    chosen = measured.get(select_by)
    if chosen is not None and "loss" in measured and not any(chosen.values) and not lower_is_better(select_by):
        select_by, chosen, noise = "loss", measured["loss"], 0.0  # a score that is 0 all along says nothing of time
    num_steps = max(entry["step"] for entry in log)
    trend, gain, before, best, step = _end(chosen, num_steps, noise)
    losses = {own.kind: own for own in series if own.name == "nll"}
    if trend == "flat" and _still_falls(losses.get("validation"), num_steps):
        trend = "unclear"
    return Course(series, select_by, num_steps, trend, gain, before, best, step, _learns_by_heart(losses, num_steps))


def _clock(log: Sequence[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Return steps, and the minutes of training at each."""
    points = {0: 0.0} | {e["step"]: e["seconds"] / 60 for e in log if isinstance(e.get("seconds"), int | float)}
    return [float(step) for step in sorted(points)], [points[step] for step in sorted(points)]


def _series(log: Sequence[dict[str, Any]], kind: str, name: str, clock: tuple[list[float], list[float]]) -> Series:
    points = {e["step"]: float(e[name]) for e in log if e["kind"] == kind and isinstance(e.get(name), int | float)}
    steps = sorted(points)
    minutes = [float(numpy.interp(step, *clock)) if len(clock[0]) > 1 else None for step in steps]
    return Series(kind, name, tuple(steps), tuple(minutes), tuple(points[step] for step in steps))


def _end(
    series: Series | None, num_steps: int, noise: float
) -> tuple[Trend, float | None, float | None, float | None, int | None]:
    """Return the trend, the gain in the last quarter, the value before it, and the best value with its step."""
    if series is None:
        return "unknown", None, None, None, None
    sign = -1.0 if lower_is_better(series.name) else 1.0
    values = [sign * value for value in series.values]
    best = max(range(len(values)), key=values.__getitem__)
    found = sign * values[best], series.steps[best]
    if len(values) < 2 or series.steps[0] > LATE * num_steps:
        return "unknown", None, None, *found
    before = float(numpy.interp(LATE * num_steps, series.steps, values))
    gain = values[best] - before
    is_early = series.steps[best] <= LATE * num_steps
    if is_early or gain < LEAST_GAIN * abs(values[best]) / 2:
        return "flat", (0.0 if is_early else gain), sign * before, *found
    is_rising = values[-1] - before > max(LEAST_GAIN * abs(values[best]), noise)
    return ("rising" if is_rising else "unclear"), gain, sign * before, *found


def _still_falls(loss: Series | None, num_steps: int) -> bool:
    """Return whether the loss on validation pairs fell in the last quarter: then a score may rise again."""
    if loss is None or len(loss.values) < 2:
        return False
    before = float(numpy.interp(LATE * num_steps, loss.steps, loss.values))
    return loss.values[-1] < (1 - LEAST_GAIN) * before


def _learns_by_heart(losses: dict[str, Series], num_steps: int) -> bool:
    validation, train = losses.get("validation"), losses.get("train")
    if validation is None or train is None or len(validation.values) < 3 or len(train.values) < 2:
        return False
    lowest = min(validation.values)
    is_early = validation.steps[validation.values.index(lowest)] <= LATE * num_steps
    return is_early and validation.values[-1] > RISE_OF_LOSS * lowest and train.values[-1] < train.values[0]
