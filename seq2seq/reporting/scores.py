"""Scores with their uncertainty: of one system, of a part of the pairs, and of one system against another.

Outputs enter, one for each pair; what leaves has a 95 % interval by bootstrap over pairs, and differences the p-values
of two paired tests. Statistics are counted once for each system and metric, and added for whatever part is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.assembly.scoring import make_metrics
from seq2seq.metrics import Metric, known_metric, sentence_scores
from seq2seq.metrics.significance import TIE, bootstrap_interval, paired_bootstrap, paired_randomization

LEVEL = 0.05
"""A difference with a smaller p-value is not taken for chance."""
LEAST_FOR_INTERVAL = 10
"""Of fewer pairs a bootstrap says nothing."""


@dataclass(frozen=True)
class MeasuredScore:
    """A score by one metric."""

    metric: str
    value: float
    low: float | None
    """Of the 95 % interval; None where there are too few pairs for one."""
    high: float | None
    higher_is_better: bool
    signature: str
    """What is needed to get the same number again."""


@dataclass(frozen=True)
class Difference:
    """A system less another on the same pairs, by one metric."""

    metric: str
    difference: float
    low: float | None
    high: float | None
    p_bootstrap: float | None
    """Two-sided, by paired bootstrap; None where there are too few pairs."""
    p_randomization: float | None
    """Two-sided, by paired approximate randomisation."""
    higher_is_better: bool

    @property
    def is_certain(self) -> bool:
        """Whether chance alone would hardly ever make such a difference, by both tests."""
        values = (self.p_bootstrap, self.p_randomization)
        return all(p is not None and p < LEVEL for p in values)

    @property
    def is_better(self) -> bool:
        """Whether the system is better, whatever the tests say."""
        return abs(self.difference) > TIE and (self.difference > 0) == self.higher_is_better

    @property
    def word(self) -> str:
        """`better`, `worse`, or `no different` where that may be chance."""
        if not self.is_certain:
            return "no different"
        return "better" if self.is_better else "worse"


class Judge:
    """Scores systems on N pairs by the same metrics.

    Args:
        names: of metrics, see `seq2seq.metrics.METRICS`.
        options: of those metrics that have them.
        seed: of all resamples.
    """

    def __init__(
        self, names: Sequence[str], references: Sequence[Sequence[str]], seed: int, **options: str | bool
    ) -> None:
        self.metrics: list[Metric] = make_metrics(names, **options)
        self.references = references
        self.seed = seed
        self._statistics: dict[tuple[str, int], tuple[Sequence[str], numpy.ndarray]] = {}

    def statistics(self, metric: Metric, outputs: Sequence[str]) -> numpy.ndarray:
        """Return a system's statistics, [pairs, statistics]; the same list of outputs is looked at once."""
        key = (metric.name, id(outputs))
        if key not in self._statistics:
            self._statistics[key] = outputs, metric.statistics(outputs, self.references)
        return self._statistics[key][1]

    def measured(self, outputs: Sequence[str], rows: numpy.ndarray | None = None) -> tuple[MeasuredScore, ...]:
        """Return a system's score by each metric, of all pairs or of those in some rows."""
        return tuple(self.measured_by(metric, outputs, rows) for metric in self.metrics)

    def measured_by(self, metric: Metric, outputs: Sequence[str], rows: numpy.ndarray | None = None) -> MeasuredScore:
        statistics = self.statistics(metric, outputs)
        statistics = statistics if rows is None else statistics[rows]
        score = metric.score(statistics.sum(axis=0))
        low, high = None, None
        if len(statistics) >= LEAST_FOR_INTERVAL:
            low, high = bootstrap_interval(metric, statistics, seed=self.seed)
        return MeasuredScore(metric.name, score.value, low, high, metric.higher_is_better, score.signature)

    def differences(self, outputs: Sequence[str], others: Sequence[str]) -> tuple[Difference, ...]:
        """Return by each metric how a system differs from another."""
        return tuple(self._difference(metric, outputs, others) for metric in self.metrics)

    def _difference(self, metric: Metric, outputs: Sequence[str], others: Sequence[str]) -> Difference:
        ours, theirs = self.statistics(metric, outputs), self.statistics(metric, others)
        better = metric.higher_is_better
        if len(ours) < LEAST_FOR_INTERVAL:
            values = [metric.score(statistics.sum(axis=0)).value for statistics in (ours, theirs)]
            return Difference(metric.name, values[0] - values[1], None, None, None, None, better)
        resampled = paired_bootstrap(metric, ours, theirs, seed=self.seed)
        exchanged = paired_randomization(metric, ours, theirs, seed=self.seed)
        assert resampled.interval is not None, "a bootstrap has an interval"
        low, high = resampled.interval
        difference = resampled.difference
        return Difference(metric.name, difference, low, high, resampled.p_value, exchanged.p_value, better)

    def by_row(self, outputs: Sequence[str]) -> dict[str, numpy.ndarray]:
        """Return each pair's own score by each metric."""
        return {metric.name: sentence_scores(metric, outputs, self.references) for metric in self.metrics}


def known_metrics(names: Sequence[str]) -> list[str]:
    """Return those of the names that are metrics of texts alone, once each, the user's own among them."""
    return [name for name in dict.fromkeys(names) if known_metric(name) is not None]
