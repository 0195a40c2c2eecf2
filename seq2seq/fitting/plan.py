"""A plan: what pairs are, what is trained on them and why, and how long it takes here; before anything is trained.

Parts of a corpus enter; a `FitPlan` leaves, with the configuration that `train` runs. The time is shared out: what is
left of it beside validations, test and report is for training, whose rate comes down as that ends.
"""

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import PARSER, RunConfig
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.stages import stages
from seq2seq.assembly.start import with_start
from seq2seq.config.nodes import tree_of
from seq2seq.data.table_format import leading_tags
from seq2seq.fitting.features import Features, features_of
from seq2seq.fitting.pairs import Parts
from seq2seq.fitting.probe import Speed, measured
from seq2seq.fitting.recipes import Kind, Recipe, recipe_options, recipe_table, recipes_for, task_kind
from seq2seq.fitting.sharing import SHARED, Sharing, of_one_process, sharing_of

VALIDATIONS = ((6, 500), (4, 300), (3, 150), (2, 100))
"""Validations of a training and pairs that each decodes; the first that fit into their share of the time."""
SHARE = 0.15
"""Of the time given, for validations, and for test and report."""
LEAST_TESTED = 100
"""Test pairs below which a score says little."""
STRETCH = 2.0
"""Most steps for each that a recipe has, where the time allows them: what more would bring was not measured."""
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
LONG_WORD = 15
"""Characters between spaces beyond which a script has none, and a piece is hardly more than one of them."""
LONGEST = 1000
"""Characters or words of a side that are taken; of subwords fewer."""
CONTRADICTED = {
    "tokenizer.path": "tokenizer.",
    "tokenizer.from_run": "tokenizer.",
    "tokenizer.kind": "tokenizer.min_frequency",
    "validation.metrics": "validation.select_by",
    "model.generation_order": "teaching.",
    "model.interaction": "teaching.",
    "companions.model": "teaching.",
    "teaching.model": "teaching.",
}
"""Options that a user may set, and what of a recipe would then mean nothing: its beginning."""
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


@dataclass(frozen=True)
class FitPlan:
    """All that was decided."""

    kind: Kind
    features: Features
    recipes: tuple[Recipe, ...]
    tags: tuple[str, ...]
    """In front of the sources."""
    speed: Speed
    estimate: TimeEstimate
    config: RunConfig
    disk_bytes: int
    """What checkpoints and model take."""
    sharing: Sharing


def plan_of(
    parts: Parts,
    files: Mapping[str, Path],
    folder: Path,
    *,
    minutes: float | None,
    started: float,
    start: str | None,
    overrides: Sequence[tuple[str, str]],
    seed: int,
    processes: int | None = None,
) -> FitPlan:
    """Return the plan; the tokenizer and the tokenised pairs are in the run directory then.

    Args:
        files: those of the parts.
        minutes: all that there is, from `started` on; None = what the recipe needs.
        start: a trained model to begin with.
        overrides: options that a user has set, which count most.
        processes: that a user wants to train on; None = one for each GPU, as long as a step feeds them.

    Raises:
        ValueError: an option makes no sense, or there is too little time, memory or disk.
    """
    tags = () if start else leading_tags(parts.train.sources)
    features = features_of(parts.train.sources, parts.train.targets, tags, seed)
    kind = task_kind(features.numbers())
    recipes = recipes_for(kind, features.numbers(), is_pretrained=start is not None)
    places = {
        "run_directory": str(folder),
        "data.train.path": str(files["train"]),
        "data.validation.path": str(files["validation"]),
        "training.seed": seed,
        "training.initialize_from": start,
    }
    found = places | recipe_options(recipes) | {"tokenizer.special_tokens": list(tags) or None}
    found = without_contradicted(found, overrides)
    found = lengths(parts, parsed(found, overrides)) | found
    asked = trainable(parsed(found, overrides))
    most = asked.training.max_steps * (1.0 if "training.max_steps" in dict(overrides) else STRETCH)
    sharing = sharing_of(asked, processes)
    of_one = of_one_process(asked, sharing.used)
    speed, spent = measured(of_one, folder, sharing.used), time.time() - started
    estimate = estimated(asked, parts, speed, minutes, spent, int(most))
    if minutes is not None:
        numbers = features.numbers() | {
            "passes": estimate.passes,
            "spare": spare_time(asked, speed, estimate, minutes, spent),
        }
        recipes = recipes_for(kind, numbers, is_pretrained=start is not None)

        def with_teaching(rows: Sequence[Recipe]) -> TimeEstimate | None:
            config = parsed(without_contradicted(found | recipe_options(rows), overrides), overrides)
            shared = _shared_out(config, parts, speed, minutes, spent, int(most))
            is_enough = _is_enough(shared, minutes, spent) and shared.steps >= asked.training.max_steps
            return shared if is_enough else None

        recipes, estimate = affordable(recipes, estimate, with_teaching)
    found |= recipe_options(recipes) | budget(int(most), speed, estimate, minutes)
    if sharing.used > 1 or speed.accumulation > 1:  # what was asked for is of all processes, or more than memory holds
        overrides = [(name, value) for name, value in overrides if name not in SHARED]
        found["data.max_batch_rows"] = of_one.data.max_batch_rows
    config = parsed(without_contradicted(found, overrides), overrides)
    if minutes is not None and config.teaching.model == "self" and not config.teaching.max_minutes:
        found["teaching.max_minutes"] = round(config.teaching.steps * speed.seconds_per_step / 60, 2)
        config = parsed(without_contradicted(found, overrides), overrides)
    trainable(config)
    disk = len(stages(config)) * disk_bytes_of(config, speed)
    check_disk(folder, disk)
    return FitPlan(kind, features, recipes, tuple(tags), speed, estimate, config, disk, sharing)


def affordable(
    recipes: Sequence[Recipe], estimate: TimeEstimate, with_teaching: Callable[[Sequence[Recipe]], TimeEstimate | None]
) -> tuple[tuple[Recipe, ...], TimeEstimate]:
    """Return recipes without the teaching that would take steps from the training, the last of it first; and the times.

    Args:
        estimate: without any teaching.
        with_teaching: the times of some recipes, None where too little is left for the training.
    """
    rows = list(recipes)
    while taught := [row for row in rows if any(name.startswith("teaching.") for name in row.options)]:
        if (found := with_teaching(rows)) is not None:
            return tuple(rows), found
        rows.remove(taught[-1])
    return tuple(rows), estimate


def parsed(options: Mapping[str, Any], overrides: Sequence[tuple[str, str]] = ()) -> RunConfig:
    """Return the configuration of options by dotted names."""
    tree: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        *sections, last = name.split(".")
        section = tree
        for part in sections:
            section = section.setdefault(part, {})
        section[last] = value
    config: RunConfig = PARSER.parse(tree_of(tree, "the recipe"), list(overrides))
    return config


def check_said(overrides: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError for what a user sets that makes no sense, whichever recipe comes to stand beside it."""
    kinds, recipes, _ = recipe_table()
    chosen = [row for row in recipes if "spare" not in row.when]  # which count only once the machine is timed
    tables = [recipe_options([row for row in chosen if not row.kinds or own.kind in row.kinds]) for own in kinds]
    problems = []
    for options in ({}, *tables):
        try:
            parsed(without_contradicted({"run_directory": "runs/new"} | options, overrides), overrides)
            return
        except ValueError as error:
            problems.append(error)
    raise problems[0]


def without_contradicted(options: Mapping[str, Any], overrides: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what a recipe says; where it and what a user has set do not go together, without what has to give way."""
    try:
        parsed(options, overrides)
        return dict(options)
    except ValueError:  # which is said if nothing gives way
        said = [name for name, _ in overrides]
    left_out = [unfit for name, unfit in CONTRADICTED.items() if name in said]
    return {name: value for name, value in options.items() if not name.startswith(tuple(left_out))}


def trainable(config: RunConfig) -> RunConfig:
    """Return a configuration; raise ValueError if any training of it would be refused."""
    for stage in stages(with_precision(with_start(config))):
        check_config(stage)
    return config


def lengths(parts: Parts, config: RunConfig) -> dict[str, Any]:
    """Return the longest sides that are trained on, so that nothing usual is dropped."""
    kinds = config.tokenizer.kind, config.tokenizer.target_kind
    found: dict[str, Any] = {"decoding.beam.max_length": 256}
    for side, kind in (("source", kinds[0]), ("target", kinds[1] or kinds[0])):
        texts = getattr(parts.train, f"{side}s")
        if kind == "words":
            longest = max(len(text.split()) for text in texts) + 2
        elif kind in ("characters", "word_and_characters"):
            longest = max(len(text) + len(text.split()) for text in texts) + 2
        else:
            characters_a_word = sum(map(len, texts)) / max(1, sum(len(text.split()) for text in texts))
            has_spaces = characters_a_word < LONG_WORD
            longest = max(256, _usual(texts) // (2 if has_spaces else 1))
        found[f"data.max_{side}_tokens"] = min(longest, LONGEST)
    return found


def _usual(texts: Sequence[str]) -> int:
    """Return a length in characters that 98 of 100 texts have at most."""
    lengths = sorted(map(len, texts))
    return lengths[int(0.98 * (len(lengths) - 1))]


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
        return _shared_out(config, parts, speed, None, spent, config.training.max_steps)
    found = _shared_out(config, parts, speed, minutes, spent, most_steps)
    if _is_enough(found, minutes, spent):
        return found
    enough = math.ceil(minutes)
    while not _is_enough(_shared_out(config, parts, speed, enough, spent, most_steps), enough, spent):
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


def _shared_out(
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


def budget(most_steps: int, speed: Speed, estimate: TimeEstimate, minutes: float | None) -> dict[str, Any]:
    """Return the options that the machine and the time decide.

    Args:
        most_steps: where the time is given, which ends the training and not their number, since a machine may be faster
            or slower than it was for the seconds in which it was timed.
    """
    every = max(1, estimate.steps // estimate.num_validations)
    a_while = max(1, int(CHECKPOINT_SECONDS / speed.seconds_per_step))
    return {
        "training.max_steps": estimate.steps if minutes is None else most_steps,
        "training.max_minutes": round(max(estimate.training, estimate.most_training) / 60, 2)
        if minutes is not None
        else 0.0,
        "training.threads": speed.threads,
        "training.gradient_accumulation": speed.accumulation,
        "training.checkpoint_every": min(every, a_while),
        "training.log_every": max(1, min(every, int(LOG_SECONDS / speed.seconds_per_step))),
        "data.batch_tokens": speed.batch_tokens,
        "validation.every": every,
        "validation.max_rows": estimate.validated_pairs,
        "decoding.beam.max_length": max(16, int(1.25 * speed.longest_target) + 5),
    }


def disk_bytes_of(config: RunConfig, speed: Speed) -> int:
    """Return what checkpoints take, of weights, their average and two moments each, and the exported model."""
    copies = config.training.keep_checkpoints + 2  # the best one besides, and one that is being written
    of_one = 4 * speed.parameters * (3 + bool(config.optimizer.ema_decay))
    return copies * of_one + 8 * speed.parameters


def check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"{folder}: the run will need some {needed / 2**20:,.0f} MiB on the disk, of which {free / 2**20:,.0f} are "
            "free; make room, or give an `--output` on another disk."
        )
