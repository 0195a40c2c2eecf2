"""How the time of a plan is shared out: training and teaching, validations, test and report; and what that decides.

A configuration, what a machine makes of it and the time that is given enter; a `TimeEstimate` leaves, and the options
that follow from it. What is left beside validations, test and report is for training, whose rate comes down as that
ends.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.options import TeachingOptions
from seq2seq.fitting.pairs import Parts
from seq2seq.fitting.probe import Speed
from seq2seq.fitting.recipes import Recipe

VALIDATIONS = ((6, 500), (4, 300), (3, 150), (2, 100))
"""Validations of a training and pairs that each decodes; the first that fit into their share of the time."""
SHARE = 0.15
"""Of the time given, for validations, and for test and report."""
LEAST_TESTED = 100
"""Test pairs below which a score says little."""
BEAM_COST = 3.0
"""A beam search against a greedy one, with the report's further passes over the test."""
TWO_TEACHERS = 3.8
"""Two models that rank each other's hypotheses against one; docs/results/both_directions.md."""
LATER_VALIDATIONS = 3
"""Of each training after the first, where a run is taught."""
REPORT_SECONDS = 25.0
"""What exporting, starting and writing the report take, whatever the model."""
USABLE = 0.97
"""Share of the time given that is planned with."""
LEAST_TRAINING = 0.3
"""Share of the time given that training must have."""
LOG_SECONDS = 15.0
"""Between lines about the training."""
CHECKPOINT_SECONDS = 120.0
"""At most so much training is lost by a kill."""


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds that each part will take."""

    training: float
    validation: float
    test: float
    steps: int
    passes: float
    """Over the training pairs."""
    num_validations: int
    validated_pairs: int
    tested_pairs: int
    teaching: float = 0.0
    """Writing the targets anew, and the trainings after the first."""
    most_training: float = 0.0
    """What the training may take of the time given, if its steps take longer than planned; 0: no limit."""

    @property
    def total(self) -> float:
        return self.training + self.teaching + self.validation + self.test


def estimated(
    config: RunConfig, parts: Parts, speed: Speed, minutes: float | None, spent: float, most_steps: int
) -> TimeEstimate:
    """Return what each part takes.

    Args:
        spent: seconds that have gone by.
        most_steps: of the training, where the time allows them.

    Raises:
        ValueError: the time that is given is too short for anything; says what is enough.
    """
    if minutes is None:
        return divided(config, parts, speed, None, spent, config.training.max_steps)
    found = divided(config, parts, speed, minutes, spent, most_steps)
    if _is_enough(found, minutes, spent):
        return found
    enough = math.ceil(minutes)
    while not _is_enough(divided(config, parts, speed, enough, spent, most_steps), enough, spent):
        enough += max(1, enough // 20)
    raise ValueError(
        f"{minutes:g} minutes are too few: looking at the pairs, {'teaching, ' if found.teaching else ''}validating "
        f"and testing take {(spent + found.total - found.training) / 60:.1f} here; give at least {enough}."
    )


def _is_enough(estimate: TimeEstimate, minutes: float, spent: float) -> bool:
    left = USABLE * 60 * minutes - spent - estimate.validation - estimate.test
    return left >= LEAST_TRAINING * 60 * minutes and left > estimate.teaching


def spare_time(config: RunConfig, speed: Speed, estimate: TimeEstimate, minutes: float, spent: float) -> float:
    """Return what is left of the time given once a recipe has had its steps, in parts of the time of these steps."""
    left = USABLE * 60 * minutes - spent - estimate.validation - estimate.test
    return left / (config.training.max_steps * speed.seconds_per_step) - 1


def _of_teaching(config: RunConfig, parts: Parts, speed: Speed, of_validation: float) -> float:
    """Return the seconds of writing the targets of all training pairs anew and of the trainings after the first.

    Args:
        of_validation: seconds of a validation.
    """
    teaching = config.teaching
    if teaching.model is None:
        return 0.0
    models = TWO_TEACHERS if teaching.right_model else 1.0
    writing = models * BEAM_COST * speed.decoding_seconds * len(parts.train)
    trainings = (teaching.model == "self") + (teaching.right_model == "self")
    return writing / speed.processes + trainings * (
        teaching.steps * speed.seconds_per_step + LATER_VALIDATIONS * of_validation
    )


def divided(
    config: RunConfig, parts: Parts, speed: Speed, minutes: float | None, spent: float, most_steps: int
) -> TimeEstimate:
    """Return how the time is shared out, even if nothing is left for training."""
    losses = 2 if config.optimizer.ema_decay else 1

    def validations(number: int, rows: int) -> float:
        decoded = min(rows, len(parts.validation))
        return (number + 1) * (losses * speed.loss_seconds + decoded * speed.decoding_seconds) / speed.processes

    of_one_test = BEAM_COST * speed.decoding_seconds
    tested, (number, rows), steps = len(parts.test), VALIDATIONS[0], most_steps
    if minutes is not None:
        share = SHARE * 60 * minutes
        number, rows = next((plan for plan in VALIDATIONS if validations(*plan) <= share), VALIDATIONS[-1])
        tested = min(tested, max(LEAST_TESTED, int((share - REPORT_SECONDS) / of_one_test)))
    validation, test = validations(number, rows), REPORT_SECONDS + of_one_test * tested
    teaching, left = _of_teaching(config, parts, speed, validation / (number + 1)), 0.0
    if minutes is not None:
        left = USABLE * 60 * minutes - spent - teaching - validation - test
        steps = max(1, min(steps, int(left / speed.seconds_per_step)))
    passes = steps * speed.pairs_per_step / len(parts.train)
    training, most = steps * speed.seconds_per_step, max(0.0, left)
    return TimeEstimate(training, validation, test, steps, passes, number, rows, tested, teaching, most)


def budget(
    most_steps: int, speed: Speed, estimate: TimeEstimate, minutes: float | None, teaching: TeachingOptions
) -> dict[str, Any]:
    """Return the options that the machine and the time decide.

    Args:
        most_steps: where the time is given, which ends the training and not their number, since a machine may be faster
            or slower than it was for the seconds in which it was timed.
        teaching: what is learned after the training.
    """
    every = max(1, estimate.steps // estimate.num_validations)
    a_while = max(1, int(CHECKPOINT_SECONDS / speed.seconds_per_step))
    of_time: dict[str, Any] = {"training.max_steps": estimate.steps, "training.max_minutes": 0.0}
    if minutes is not None:
        of_training = max(estimate.training, estimate.most_training)
        of_time = {"training.max_steps": most_steps, "training.max_minutes": round(of_training / 60, 2)}
        if teaching.model == "self":
            of_time["teaching.max_minutes"] = round(teaching.steps * speed.seconds_per_step / 60, 2)
    return of_time | {
        "training.threads": speed.threads,
        "training.gradient_accumulation": speed.accumulation,
        "training.checkpoint_every": min(every, a_while),
        "training.log_every": max(1, min(every, int(LOG_SECONDS / speed.seconds_per_step))),
        "data.batch_tokens": speed.batch_tokens,
        "validation.every": every,
        "validation.max_rows": estimate.validated_pairs,
        "decoding.beam.max_length": max(16, int(1.25 * speed.longest_target) + 5),
    }


def affordable(
    recipes: Sequence[Recipe],
    times: Callable[[Sequence[Recipe]], TimeEstimate],
    least_steps: int,
) -> tuple[tuple[Recipe, ...], TimeEstimate]:
    """Return recipes without the teaching that would take steps from the training, the last of it first; and the times.

    Args:
        times: those of some recipes.
        least_steps: that the training must keep.
    """
    rows = list(recipes)
    while taught := [row for row in rows if any(name.startswith("teaching.") for name in row.options)]:
        found = times(rows)
        if found.most_training > 0 and found.steps >= least_steps:
            return tuple(rows), found
        rows.remove(taught[-1])
    return tuple(rows), times(rows)
