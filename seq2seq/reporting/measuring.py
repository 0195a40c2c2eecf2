"""One run on given pairs: everything that a report says of it.

A run directory or model folder, pairs and a judge enter; `RunResults` leave. What cannot be measured becomes a note
that says why; only a model that is not there is an error.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.corpora import open_validation
from seq2seq.assembly.decoding_defaults import DecodingDefaults
from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, read_model
from seq2seq.config.writing import dotted
from seq2seq.config.writing import plain as plain_options
from seq2seq.models.foreign_sizes import saved_shapes
from seq2seq.reporting.alarms import output_alarms
from seq2seq.reporting.attention import with_attention
from seq2seq.reporting.baselines import DESCRIPTIONS, Baseline
from seq2seq.reporting.cost import RunCost, cost_of
from seq2seq.reporting.curves import Course, course_of
from seq2seq.reporting.decoding import Decoded, decoded, reading_whole_sources
from seq2seq.reporting.examples import Example, chosen_rows, example, ranking_metric
from seq2seq.reporting.exposure import Exposure, exposure_of
from seq2seq.reporting.given import TestPairs, TrainingPairs
from seq2seq.reporting.results import RunResults
from seq2seq.reporting.scores import Judge, MeasuredScore
from seq2seq.reporting.slices import scored_slices
from seq2seq.reporting.task import PairTask
from seq2seq.training.checkpoint_folder import checkpoint_paths, step_of
from seq2seq.training.tracking import LOG_NAME, read_log

NEARLY_ALL = 0.95
"""Of the time that a training is given, when it has ended by that: the last step must fit in, too."""


@dataclass(frozen=True)
class Means:
    """How outputs are generated."""

    device: str = "auto"
    precision: str | None = None
    checkpoint: str | None = None
    processes: int = 1
    progress: bool = True
    seed: int = 1


@dataclass(frozen=True)
class RunToMeasure:
    """A run to measure."""

    name: str
    path: Path
    config: RunConfig | None
    training: TrainingPairs | None = None
    """What it was trained on itself; None where that is not known."""


def measured_run(
    subject: RunToMeasure,
    pairs: TestPairs,
    task: PairTask,
    judge: Judge,
    training: TrainingPairs | None,
    stand_ins: dict[str, list[str]],
    means: Means,
) -> RunResults:
    """Return what there is to say of one run.

    Args:
        training: of the first run, by which the pairs are parted for all runs.
        stand_ins: outputs of baselines, by name.

    Raises:
        ValueError: there is no model.
    """
    notes: list[str] = []
    generator = load(subject.path, device=means.device, precision=means.precision, checkpoint=means.checkpoint)
    sources = [generator.source_prefix + source for source in pairs.sources]
    generator = reading_whole_sources(generator)
    found = decoded(generator, sources, subject.name, processes=means.processes, progress=means.progress)
    outputs = list(found.outputs)
    baselines = [_baseline(name, texts, outputs, judge) for name, texts in stand_ins.items()]
    baselines += _before_tuning(subject, generator, sources, outputs, judge, means, notes)
    scores, row_scores = judge.measured(outputs), judge.by_row(outputs)
    exposure = _exposure(generator, sources, pairs, means, notes)
    examples = _examples(pairs, outputs, row_scores, judge, task, means.seed)
    last_step, max_steps, is_finished = _progress(subject)
    return RunResults(
        name=subject.name,
        path=str(subject.path),
        is_finished=is_finished,
        last_step=last_step,
        max_steps=max_steps,
        is_tuned=bool(subject.config and subject.config.training.initialize_from) and not _is_taught(subject),
        num_seen=subject.training.num_seen(pairs.sources) if subject.training else None,
        num_sampled=len(subject.training) if subject.training and not subject.training.is_whole else None,
        search=dotted(plain_options(DecodingDefaults(generator.search))["search"]),
        scores=scores,
        baselines=tuple(baselines),
        slices=scored_slices(judge, outputs, pairs.sources, task, training),
        alarms=output_alarms(pairs.sources, pairs.references, outputs, task, found.failed),
        examples=with_attention(examples, generator, sources, found.token_ids),
        course=_course(subject, scores, len(pairs)),
        exposure=exposure,
        cost=_cost(subject, found, generator, means),
        notes=tuple(notes),
        decoded=found,
        row_scores=row_scores,
    )


def _baseline(name: str, texts: Sequence[str], outputs: Sequence[str], judge: Judge) -> Baseline:
    differences = judge.differences(outputs, texts)
    return Baseline(name, DESCRIPTIONS[name], judge.measured(texts), differences, texts[0])


def _is_taught(subject: RunToMeasure) -> bool:
    """Return whether a run began from a training of its own, whose outputs it has learned."""
    config = subject.config
    return (
        config is not None
        and config.teaching.model is not None
        and config.training.initialize_from == config.teaching.model
    )


def _before_tuning(
    subject: RunToMeasure,
    tuned: TextGenerator,
    sources: Sequence[str],
    outputs: Sequence[str],
    judge: Judge,
    means: Means,
    notes: list[str],
) -> Iterator[Baseline]:
    """Yield the model that a tuning, or what a run learned of its own teachers, began from, if it is still there.

    It is told what the tuned one is: the same sources, cut at the same length, in the same languages.
    """
    start = subject.config.training.initialize_from if subject.config else None
    if start is None:
        return
    try:
        generator = reading_whole_sources(load(start, device=means.device, precision=means.precision))
        generator = generator.speaking(*tuned.languages)
        generator.max_source_tokens = tuned.max_source_tokens
        name = f"{subject.name}, before {'teaching' if _is_taught(subject) else 'tuning'}"
        before = decoded(generator, sources, name, processes=means.processes, progress=means.progress)
    except (ValueError, OSError) as error:
        notes.append(f"The model before tuning, {start}, is not compared with: {_said(error)}")
        return
    yield _baseline("before teaching" if _is_taught(subject) else "before", list(before.outputs), outputs, judge)


def _exposure(
    generator: TextGenerator, sources: Sequence[str], pairs: TestPairs, means: Means, notes: list[str]
) -> Exposure | None:
    try:
        return exposure_of(generator, sources, pairs.references, means.seed)
    except ValueError as error:
        notes.append(f"Whether its own mistakes lead the model astray was not measured: {_said(error)}")
        return None


def _said(error: Exception) -> str:
    return " ".join(str(error).split())


def _examples(
    pairs: TestPairs,
    outputs: Sequence[str],
    row_scores: dict[str, numpy.ndarray],
    judge: Judge,
    task: PairTask,
    seed: int,
) -> list[Example]:
    name = ranking_metric(list(row_scores))
    metric = next(own for own in judge.metrics if own.name == name)
    scores = row_scores[name]
    return [
        example(row, group, pairs.sources[row], pairs.references[row], outputs[row], float(scores[row]), name, task)
        for group, row in chosen_rows(scores, higher_is_better=metric.higher_is_better, seed=seed)
    ]


def _course(subject: RunToMeasure, scores: Sequence[MeasuredScore], num_pairs: int) -> Course | None:
    select_by = subject.config.validation.select_by if subject.config else "loss"
    same = next((own for own in scores if own.metric == select_by), None)
    noise = (same.high - same.low) / 2 if same and same.low is not None and same.high is not None else 0.0
    validated = _num_validated(subject.config) if subject.config else None
    if validated:
        noise *= math.sqrt(max(1.0, num_pairs / validated))  # a curve over fewer pairs is the rougher for it
    course = course_of(subject.path, select_by, noise)
    if course is not None and subject.config is not None and subject.config.teaching.model is not None:
        return replace(course, learns_by_heart=False)  # what teachers write is not what the loss of validation is of
    return course


def _num_validated(config: RunConfig) -> int | None:
    """Return how many pairs a validation in training is of; None where that cannot be told any more."""
    most = config.validation.max_rows
    try:
        num_pairs = len(open_validation(config.data))
    except (ValueError, OSError):
        return most or None
    return min(most or num_pairs, num_pairs)


def _progress(subject: RunToMeasure) -> tuple[int | None, int | None, bool]:
    """Return the last step, the last there will be, and whether the training has ended as far as can be told."""
    if subject.config is None:
        return None, None, True
    log = read_log(subject.path / LOG_NAME)
    steps = [entry["step"] for entry in log]
    steps += [step_of(path) for path in checkpoint_paths(subject.path / CHECKPOINTS_FOLDER)]
    training = subject.config.training
    last, most = max(steps, default=0), training.max_steps
    seconds = max((entry.get("seconds") or 0.0 for entry in log), default=0.0)
    is_out_of_time = bool(training.max_minutes) and seconds >= NEARLY_ALL * 60 * training.max_minutes
    may_end_early = training.max_epochs or subject.config.validation.patience
    return last, most, last >= most or is_out_of_time or bool(may_end_early)


def _cost(subject: RunToMeasure, found: Decoded, generator: TextGenerator, means: Means) -> RunCost:
    def size(folder: Path) -> int:
        return sum(math.prod(shape) for shape in saved_shapes(folder).values())

    parameters = read_model(subject.path, size, means.checkpoint)
    return cost_of(subject.path, found, parameters=parameters, processes=means.processes, device=generator.device)
