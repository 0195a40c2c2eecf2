"""What a plan says to people, and the file in which a run keeps it: `fit.json`."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.assembly.model_folder import (
    CHECKPOINTS_FOLDER,
    MODEL_FOLDER,
    PLAN_FILE,
    RUN_FILE,
    TOKENIZER_FOLDER,
)
from seq2seq.assembly.start import START_FILE
from seq2seq.data.examination.findings import Finding
from seq2seq.files import read_object, written
from seq2seq.fitting.pairs import DATA_FOLDER, PARTS, Parts
from seq2seq.fitting.plan import FitPlan
from seq2seq.fitting.probe import PROBE_FOLDER, Speed
from seq2seq.fitting.recipes import in_effect
from seq2seq.fitting.sharing import Sharing, record_of
from seq2seq.training.tracking import LOG_NAME

UNFINISHED_FILE = "fit.unfinished"
"""In a run directory whose plan is being made, or could not be made; what a plan makes there is a plan's, then."""
WHOLE_FILE = "fit.yaml"
"""The configuration of all trainings, where a plan has several, of which the last leaves its own in `config.yaml`."""
OF_PLAN = (PROBE_FOLDER, TOKENIZER_FOLDER, START_FILE, RUN_FILE, WHOLE_FILE)
"""What a plan leaves beside itself and the parts of its pairs, which the next one writes anew."""
WIDTH = 120
FEW_PAIRS = 1000
"""Fewer teach a model that begins with nothing no more than to repeat what it has seen."""


def plan_lines(plan: FitPlan, parts: Parts, minutes: float | None, own: Sequence[str]) -> Iterator[str]:
    """Yield what will be done, why, and how long it takes.

    Args:
        own: what a user has set, as OPTION=VALUE.
    """
    features, speed, estimate = plan.features, plan.speed, plan.estimate
    is_tuned = plan.config.training.initialize_from is not None
    yield ""
    yield f"Task      {plan.kind.called}"
    yield (
        f"Texts     {_length(features.source_words, features.source_characters)} to "
        f"{_length(features.target_words, features.target_characters)}, the median"
        + (f"; {features.tags} different tags in front of the sources" if features.tags else "")
    )
    sizes = parts.sizes()
    yield from _wrapped(
        "Parts     ",
        f"{sizes['train']:,} pairs to learn from, {sizes['validation']:,} to choose the best moment of the training "
        f"by, {sizes['test']:,} to test with, of which training sees nothing",
    )
    begin = (
        "the trained weights and tokenizer of " + str(plan.config.training.initialize_from) if is_tuned else "nothing"
    )
    yield f"Model     {speed.parameters / 1e6:.1f} million parameters, beginning with {begin}"
    for number, recipe in enumerate(in_effect(plan.recipes)):
        yield from _wrapped("Why       " if not number else " " * 10, f"- {recipe}", " " * 12)
    if own:
        yield from _wrapped(" " * 10, f"- but for what you set: {', '.join(own)}", " " * 12)
    yield from _wrapped("Machine   ", machine_line(plan.speed, plan.sharing, plan.disk_bytes))
    limit = f" of the {minutes:g} minutes given" if minutes is not None else ""
    yield from _wrapped(
        "Time      ",
        f"{estimate.total / 60:.1f} minutes{limit}: {estimate.training / 60:.1f} of training ({estimate.steps:,} "
        f"steps, {estimate.passes:.3g} passes over the pairs), "
        + (f"{estimate.teaching / 60:.1f} of teaching after it, " if estimate.teaching else "")
        + f"{estimate.validation / 60:.1f} of validation, "
        f"{estimate.test / 60:.1f} for test and report"
        + (f" of {estimate.tested_pairs:,} of the test pairs" if estimate.tested_pairs < parts.sizes()["test"] else ""),
    )
    yield from _wrapped("", "Ctrl-C saves and stops; the same command goes on.")
    if sizes["train"] < FEW_PAIRS and not is_tuned:
        yield ""
        yield from _wrapped(
            "! ",
            f"{sizes['train']:,} pairs are too few for a model that begins with nothing: it will learn them by heart "
            "and fail on others. Some thousands of pairs are a beginning; with fewer, begin with a pretrained model of "
            "this task (`--from NAME`, such as Helsinki-NLP/opus-mt-en-de for translation).",
            "  ",
        )
    yield ""


def machine_line(speed: Speed, sharing: Sharing, disk_bytes: int) -> str:
    """Return what a training takes of the machine, and how fast it is."""
    threads = f"{speed.threads} thread{'s' * (speed.threads != 1)}" if speed.threads else ""
    several = f"on {sharing.used} processes" if sharing.used > 1 else ""
    begin = " of ".join(filter(None, (several, threads)))
    each = " each" if several else ""
    left = (
        f"; of {sharing.devices} GPUs {sharing.used} train, since a step has too few tokens to keep more of them busy: "
        f"`--processes {sharing.devices}` takes all"
        if sharing.leaves_some
        else ""
    )
    return (
        f"{begin}{', ' if begin else ''}{speed.target_tokens_per_second:,.0f} target tokens a second, "
        f"{speed.memory_mib:,.0f} MiB of memory{each} so far, {disk_bytes / 2**20:,.0f} MiB on the disk{left}"
    )


def _length(words: float, characters: float) -> str:
    if words > 1:
        return f"{words:.0f} words"
    return f"{characters:.0f} characters"


def _wrapped(label: str, text: str, indent: str = " " * 10) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=indent, break_long_words=False)


def format_lines(reasons: Sequence[str], findings: Sequence[Finding]) -> Iterator[str]:
    """Yield how the files were read, and what is noteworthy about their pairs, warnings first."""
    for reason in reasons:
        yield from _wrapped("- ", reason, "  ")
    for finding in sorted(findings, key=lambda finding: not finding.is_warning):
        examples = [text for text in finding.examples if text not in finding.sentence]
        more = f" For example {', '.join(f'“{text}”' for text in examples[:2])}." if examples else ""
        yield from _wrapped("! " if finding.is_warning else "- ", finding.sentence + more, "  ")


def write_plan(
    folder: Path,
    asked: Mapping[str, Any],
    plan: FitPlan,
    parts: Parts,
    reasons: Sequence[str],
    findings: Sequence[Finding],
) -> None:
    """Write the plan, whole or not at all; with it the run is one that goes on."""
    facts = {
        "asked": asked,
        "read": list(reasons),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "task": plan.kind.kind,
        "features": plan.features.numbers(),
        "parts": parts.sizes(),
        "recipes": [dataclasses.asdict(recipe) for recipe in plan.recipes],
        "speed": dataclasses.asdict(plan.speed),
        "estimate": dataclasses.asdict(plan.estimate) | {"total": plan.estimate.total},
        "disk_bytes": plan.disk_bytes,
        "processes": record_of(plan.sharing, plan.config),
    }
    with written(folder / PLAN_FILE) as file:
        file.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    (folder / UNFINISHED_FILE).unlink(missing_ok=True)


def begin_plan(folder: Path) -> None:
    """Say in a run directory that its plan is being made; what one that was not finished has left there goes.

    Its tokenizer above all: for the same pairs it would be taken, whatever is asked for now.
    """
    marker = folder / UNFINISHED_FILE
    if marker.is_file():
        for path in (folder / name for name in OF_PLAN):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    marker.touch()


def asked_before(folder: Path) -> dict[str, Any] | None:
    """Return what was asked for when the plan of a run directory was made; None where there is none.

    Raises:
        ValueError: there is something else in the folder, which would be mixed with the run.
    """
    path = folder / PLAN_FILE
    if path.is_file():
        asked: dict[str, Any] = read_object(path).get("asked", {})
        return asked
    is_unfinished = (folder / UNFINISHED_FILE).is_file()
    trained = [*(folder / CHECKPOINTS_FOLDER).glob("step-*"), folder / LOG_NAME, folder / MODEL_FOLDER]
    has_config = (folder / RUN_FILE).is_file()
    if any(path.exists() for path in trained) or (has_config and not is_unfinished):
        go_on = f", or go on with it by `seq2seq train {folder / RUN_FILE}`" if has_config else ""
        raise ValueError(
            f"{folder} holds a run that `seq2seq train` has begun; give the new one another `--output`{go_on}."
        )
    others = (*OF_PLAN, *(f"{DATA_FOLDER}/{part}.jsonl" for part in PARTS))
    if not is_unfinished and (name := next((name for name in others if (folder / name).exists()), None)):
        raise ValueError(
            f"{folder} has a `{name}` already, which would be mixed with the new run or written over; give another "
            "`--output`, or remove it."
        )
    return None


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ValueError if a run directory was made for something else than what is asked for now."""
    for name, value in now.items():
        if before.get(name) != value:
            raise ValueError(
                f"{folder} holds a run for other {NAMES.get(name, name)} ({before.get(name)!r}, now {value!r}); give "
                "another `--output`, or delete that folder to begin anew."
            )


NAMES = {"files": "pairs, or they have changed since", "start": "weights to begin with"}
