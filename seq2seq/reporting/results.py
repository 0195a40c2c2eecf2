"""What a report says, as data: what `report.json` holds and the page shows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy

from seq2seq.reporting.alarms import OutputAlarm
from seq2seq.reporting.baselines import Baseline
from seq2seq.reporting.cost import RunCost
from seq2seq.reporting.curves import Course
from seq2seq.reporting.decoding import Decoded
from seq2seq.reporting.examples import Example
from seq2seq.reporting.exposure import Exposure
from seq2seq.reporting.given import TestPairs
from seq2seq.reporting.scores import Difference, MeasuredScore
from seq2seq.reporting.slices import Slice
from seq2seq.reporting.task import PairTask

NOT_WRITTEN = {"decoded", "row_scores", "pairs"}
"""What `outputs.jsonl` holds in place of `report.json`."""


@dataclass(frozen=True)
class DataFacts:
    """What was measured on, and what the first run was trained on."""

    origin: str
    """`test`, `validation` or `files`."""
    described: str
    num_pairs: int
    num_blank: int
    num_more: int
    """Sources beyond the limit, which were left out."""
    has_several_references: bool
    num_training: int | None
    """Pairs that the run was trained on; None where they are not known any more."""
    share_unseen: float | None
    """Of the words of the sources, those that training lacks."""
    num_same_sides: int
    """Of the training pairs that were looked at, those whose sides are the same text."""
    num_looked_at: int
    """Training pairs that all is counted in which is said of training: all of them, or a part."""
    note: str | None = None
    """Why the training pairs are not known, where they are not."""

    @property
    def is_whole(self) -> bool:
        """Whether all training pairs were looked at."""
        return self.num_looked_at == self.num_training


@dataclass(frozen=True)
class RunResults:
    """What there is to say of one run."""

    name: str
    path: str
    is_finished: bool
    """Whether the training has reached its end."""
    last_step: int | None
    max_steps: int | None
    is_tuned: bool
    """Whether the training began from another model."""
    num_seen: int | None
    """Of the sources, those that its own training has too; None where its training pairs are not known."""
    num_sampled: int | None
    """Training pairs among which these were counted, where that is not all of them: then there may be more."""
    search: dict[str, Any]
    """How the outputs were searched for, by option."""
    scores: tuple[MeasuredScore, ...]
    baselines: tuple[Baseline, ...]
    slices: tuple[Slice, ...]
    alarms: tuple[OutputAlarm, ...]
    examples: tuple[Example, ...]
    course: Course | None
    exposure: Exposure | None
    cost: RunCost
    notes: tuple[str, ...]
    """What could not be measured, and why."""
    decoded: Decoded
    row_scores: dict[str, numpy.ndarray]
    """Of each output alone, by metric."""


@dataclass(frozen=True)
class RunComparison:
    """A run against the first one, on the same pairs."""

    name: str
    first: str
    differences: tuple[Difference, ...]
    """The run less the first."""


@dataclass(frozen=True)
class Answers:
    """The verdict, by the question that each sentence answers."""

    state: str
    """`works`, `weak`, `fails` or `unknown`."""
    does_it_work: tuple[str, ...]
    where_it_fails: tuple[str, ...]
    what_next: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return self.does_it_work + self.where_it_fails + self.what_next


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    verdict: tuple[str, ...]
    """Plain sentences."""
    answers: Answers
    task: PairTask
    data: DataFacts
    runs: tuple[RunResults, ...]
    comparisons: tuple[RunComparison, ...]
    machine: dict[str, str | int]
    created: str
    page: Path
    """Where the page is; beside it are `report.json` and `outputs.jsonl`."""
    pairs: TestPairs


def for_json(value: Any) -> Any:
    """Return what JSON can hold of a report: no number that is none, and properties that say something."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.name not in NOT_WRITTEN]
        extra = [name for name in ("is_serious", "share", "is_too_small", "is_worse", "word") if hasattr(value, name)]
        return {name: for_json(getattr(value, name)) for name in (*names, *extra)}
    if isinstance(value, dict):
        return {str(name): for_json(own) for name, own in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if numpy.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [for_json(own) for own in value]
    return value
