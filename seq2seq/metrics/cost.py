"""Costs: any metric turned so that 0 is perfect and lower is better, for objectives that minimise a metric.

Hypotheses and one reference each enter; costs leave, of each segment or, from additive statistics, of many at once.
Scores are 1 - score / 100, error rates rate / 100 (so they can exceed 1), distances between word vectors themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.metrics import make_metric, sentence_scores
from seq2seq.metrics.base import Metric


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
    """Return the cost of a metric by its name in `metrics.METRICS`.

    Raises:
        ValueError: there is no such metric.
    """
    return Cost(make_metric(name), pooled)
