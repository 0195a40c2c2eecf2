"""Results of runs that never were, for tests of what is said of them."""

from dataclasses import replace
from typing import Any

import numpy

from seq2seq.reporting.alarms import output_alarms
from seq2seq.reporting.baselines import DESCRIPTIONS, Baseline
from seq2seq.reporting.cost import RunCost
from seq2seq.reporting.curves import Course, Series
from seq2seq.reporting.decoding import Decoded
from seq2seq.reporting.results import DataFacts, RunResults
from seq2seq.reporting.scores import Difference, MeasuredScore
from seq2seq.reporting.slices import Slice
from seq2seq.reporting.task import DESCRIPTIONS as TASKS
from seq2seq.reporting.task import Kind, PairTask

COST = RunCost(1.0, 100, 1000.0, 500.0, 6000, 300, 2.0, 10.0, 100.0, None, 1, "cpu")


def task(kind: Kind = "sentences", metrics: tuple[str, ...] = ("bleu", "chrf")) -> PairTask:
    return PairTask(kind, TASKS[kind], metrics, "word")


def score(value: float, metric: str = "bleu", spread: float = 1.0) -> MeasuredScore:
    return MeasuredScore(metric, value, value - spread, value + spread, True, "")


def difference(value: float, p: float | None = 0.001, metric: str = "bleu") -> Difference:
    interval = (None, None) if p is None else (value - 1, value + 1)
    return Difference(metric, value, *interval, p, p, True)


def baseline(name: str, value: float, less: float, p: float = 0.001, metric: str = "bleu") -> Baseline:
    return Baseline(name, DESCRIPTIONS[name], (score(value, metric),), (difference(less, p, metric),), "an answer")


def part(label: str, value: float, rest: float, num_pairs: int = 100, spread: float = 1.0) -> Slice:
    return Slice("length of the source", label, f"of {label}", num_pairs, score(value, spread=spread), score(rest))


def course(*values: float, num_steps: int = 1000, trend: Any = "flat", gain: float | None = 0.0) -> Course:
    steps = tuple(num_steps * (place + 1) // len(values) for place in range(len(values)))
    series = Series("validation", "bleu", steps, tuple(float(step) for step in steps), values)
    return Course((series,), "bleu", num_steps, trend, gain, values[0], max(values), steps[-1], False)


def run(**changes: Any) -> RunResults:
    """Return a run that does well, but for the changes."""
    outputs = tuple(changes.pop("outputs", ("ein Haus",) * 200))
    base = RunResults(
        name="mine",
        path="runs/mine",
        is_finished=True,
        last_step=1000,
        max_steps=1000,
        is_tuned=False,
        num_seen=0,
        num_sampled=None,
        search={"beam.beam_width": 5},
        scores=(score(30.0), score(55.0, "chrf")),
        baselines=(baseline("copy", 1.0, 29.0), baseline("frequent", 0.5, 29.5), baseline("nearest", 8.0, 22.0)),
        slices=(),
        alarms=output_alarms(["a house"] * len(outputs), [["ein Haus"]] * len(outputs), outputs, task()),
        examples=(),
        course=None,
        exposure=None,
        cost=COST,
        notes=(),
        decoded=Decoded(outputs, ((1,),) * len(outputs), (), (), 1.0, None),
        row_scores={"bleu": numpy.zeros(len(outputs))},
    )
    return replace(base, **changes)


def data(**changes: Any) -> DataFacts:
    """Return facts of 200 test pairs and 29,000 training pairs, but for the changes."""
    return replace(DataFacts("test", "test.jsonl", 200, 0, 0, False, 29_000, 0.01, 0, 29_000), **changes)
