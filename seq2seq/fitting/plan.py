"""A plan: what pairs are, what is trained on them and why, and how long it takes here; before anything is trained.

Parts of a corpus enter; a `FitPlan` leaves, with the configuration that `train` runs.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
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
from seq2seq.fitting.recipes import Kind, Recipe, for_optimizer, recipe_options, recipe_table, recipes_for, task_kind
from seq2seq.fitting.sharing import SHARED, Sharing, of_one_process, sharing_of
from seq2seq.fitting.times import TimeEstimate, affordable, budget, divided, estimated, spare_time

STRETCH = 2.0
"""Most steps for each that a recipe has, where the time allows them: what more would bring was not measured."""
FEW_PASSES = 4.0
"""Over the pairs, that a training may take of the time whatever its recipe's steps: of very many pairs it has seen most
once by then, or not at all."""
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
    numbers = features.numbers() | ({"without_minutes": 1.0} if minutes is None else {})
    optimizer = dict(overrides).get("optimizer.name")
    recipes = for_optimizer(recipes_for(kind, numbers, is_pretrained=start is not None), optimizer)
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
    sharing = sharing_of(asked, processes)
    of_one = of_one_process(asked, sharing.used)
    speed, spent = measured(of_one, folder, sharing.used), time.time() - started
    most = steps_at_most(asked, parts, speed, overrides)
    estimate = estimated(asked, parts, speed, minutes, spent, most)
    if minutes is not None:
        numbers = features.numbers() | {
            "passes": estimate.passes,
            "spare": spare_time(asked, speed, estimate, minutes, spent),
        }
        if sharing.used == speed.accumulation == 1:  # a step of several batches is as large as memory and GPUs want it
            numbers["steps"] = estimate.most_training / speed.seconds_per_step
        recipes = recipes_for(kind, numbers, is_pretrained=start is not None)
        recipes = for_optimizer(recipes, optimizer)

        def with_rows(rows: Sequence[Recipe]) -> RunConfig:
            return parsed(without_contradicted(found | recipe_options(rows), overrides), overrides)

        def times(rows: Sequence[Recipe]) -> TimeEstimate:
            return divided(with_rows(rows), parts, speed, minutes, spent, most)

        chosen = with_rows(recipes)
        tokens = min(chosen.data.batch_tokens, speed.batch_tokens) if "steps" in numbers else speed.batch_tokens
        speed = speed.with_changes(tokens, chosen.optimizer.name)
        most = steps_at_most(asked, parts, speed, overrides)
        recipes, estimate = affordable(recipes, times, asked.training.max_steps)
    found |= recipe_options(recipes)
    teaching = parsed(without_contradicted(found, overrides), overrides).teaching
    found |= budget(most, speed, estimate, minutes, teaching)
    if sharing.used > 1 or speed.accumulation > 1:  # what was asked for is of all processes, or more than memory holds
        overrides = [(name, value) for name, value in overrides if name not in SHARED]
        found["data.max_batch_rows"] = of_one.data.max_batch_rows
    config = trainable(parsed(without_contradicted(found, overrides), overrides))
    disk = len(stages(config)) * disk_bytes_of(config, speed)
    check_disk(folder, disk)
    return FitPlan(kind, features, recipes, tuple(tags), speed, estimate, config, disk, sharing)


def steps_at_most(config: RunConfig, parts: Parts, speed: Speed, overrides: Sequence[tuple[str, str]]) -> int:
    """Return the steps beyond which a training does not go on, however much time it is given."""
    of_recipe = config.training.max_steps
    if "training.max_steps" in dict(overrides):
        return of_recipe
    return int(max(STRETCH * of_recipe, FEW_PASSES * len(parts.train) / speed.pairs_per_step))


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
    chosen = [row for row in recipes if not {"spare", "steps"} & row.when.keys()]  # known once the machine is timed
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
