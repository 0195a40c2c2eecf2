"""Costs: any metric turned so that 0 is perfect and lower is better, for objectives that minimise a metric.

Hypotheses and one reference each enter; costs leave, of each segment or, from additive statistics, of many at once.
Scores are 1 - score / 100, error rates rate / 100 (so they can exceed 1), distances between word vectors themselves.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from seq2seq.metrics import OWN_METRIC, make_metric, sentence_scores
from seq2seq.metrics.base import Metric, Score
from seq2seq.own_pieces import PieceKind, is_own, own_piece


@dataclass(frozen=True)
class Cost:
    """The cost that a metric stands for.

    With `pooled` the cost of many segments is that of their summed statistics (one corpus BLEU); otherwise it is the
    mean of the segments' own.
    """

    metric: Metric
    pooled: bool = False
    unit: float = 100.0
    """The metric's score that is a cost of 1 (higher is better: of 0)."""

    @property
    def name(self) -> str:
        return self.metric.name

    def per_segment(self, hypotheses: Sequence[str], references: Sequence[str]) -> numpy.ndarray:
        """Return each segment's own cost, float64 [segments]; BLEU is taken with effective order.

        Pairs that occur more than once, as candidates of one source do, are scored once.

        Raises:
            ValueError: the numbers of hypotheses and references differ.
        """
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references.")
        pairs = list(zip(hypotheses, references, strict=True))
        if not pairs:
            return numpy.zeros(0)
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        scores = sentence_scores(self.metric, [text for text, _ in places], [[reference] for _, reference in places])
        return self._of_scores(scores)[[places[pair] for pair in pairs]]

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> numpy.ndarray:
        """Return float64 [segments, statistics], which add over segments, batches and processes."""
        if self.pooled:
            return self.metric.statistics(hypotheses, [[reference] for reference in references])
        costs = self.per_segment(hypotheses, references)
        return numpy.stack([numpy.ones_like(costs), costs], axis=1)

    def value(self, summed: numpy.ndarray) -> float:
        """Return the cost of summed statistics, [statistics]."""
        if self.pooled:
            return float(self._of_scores(numpy.array(self.metric.score(summed).value)))
        num_segments, total = summed
        return float(total / num_segments)

    def _of_scores(self, scores: numpy.ndarray) -> numpy.ndarray:
        return 1.0 - scores / self.unit if self.metric.higher_is_better else scores / self.unit


def make_cost(name: str, pooled: bool = False) -> Cost:
    """Return the cost of a metric by its name in `metrics.METRICS`, or one of the user's own.

    That is a metric, or a function of hypotheses and references that returns the cost of each segment, 0 for a perfect
    one.

    Raises:
        ValueError: there is no such metric.
    """
    if is_own(name) and inspect.isfunction(piece := own_piece(name, OWN_COST)) and _problem_of_function(piece) is None:
        return Cost(MeanCost(name, piece), pooled, unit=1.0)
    return Cost(make_metric(name), pooled)


@dataclass(frozen=True)
class MeanCost:
    """A function of segments as a metric: its mean."""

    name: str
    function: Callable[[list[str], list[str]], Any]
    higher_is_better: bool = False

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> numpy.ndarray:
        costs = numpy.asarray(self.function(list(hypotheses), [first for first, *_ in references]), dtype=numpy.float64)
        if costs.shape != (len(hypotheses),) or not numpy.isfinite(costs).all():
            raise ValueError(f"`{self.name}` must give a finite cost for each of {len(hypotheses)} segments: {costs}.")
        return numpy.stack([numpy.ones_like(costs), costs], axis=1)

    def score(self, statistics: numpy.ndarray) -> Score:
        num_segments, total = statistics
        return Score(self.name, float(total / num_segments), self.name)


def _problem_of_function(piece: Any) -> str | None:
    try:
        inspect.signature(piece).bind(["a"], ["b"])
    except TypeError:
        return "is not called with (hypotheses, references)"
    MeanCost(piece.__name__, piece).statistics(["a b", "c"], [["a b"], ["d"]])
    return None


def _problem_of_cost(piece: Any) -> str | None:
    takes_nothing = True
    if inspect.isfunction(piece):
        try:
            inspect.signature(piece).bind()
        except TypeError:
            takes_nothing = False
    return OWN_METRIC.problem(piece) if takes_nothing else _problem_of_function(piece)


OWN_COST = PieceKind(
    "a cost",
    "a metric, or a function of hypotheses and references that returns a cost for each segment",
    "def mine(hypotheses, references): return [abs(len(h) - len(r)) for h, r in zip(hypotheses, references)]",
    _problem_of_cost,
)
"""What a cost of a user's own must be."""
