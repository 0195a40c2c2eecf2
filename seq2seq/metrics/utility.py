"""Utilities for minimum Bayes risk decoding: how good a text is expected to be, under any metric.

Enter texts, each with its weight as a reference; leaves each text's expected score, negated where lower is better.
Comparing all pairs takes time quadratic in the number of texts. BLEU and chrF take linear time instead where one
reference of mean n-gram counts stands for all (DeNero, Chiang and Knight 2009; Vamvas and Sennrich 2024): matches are
min(count, mean count), and the expectation is inside of the score, not around it. Where we differ: chrF is sacreBLEU's,
the F-score of mean precision and mean recall.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy

from seq2seq.metrics import make_metric
from seq2seq.metrics.base import Metric
from seq2seq.metrics.sacre import SacreMetric
from seq2seq.metrics.sentence import sentence_scores

BETA = 2
"""Recall counts so many times as much as precision in chrF, by default of sacreBLEU."""


def make_utility(name: str, *, pairwise: bool = False) -> "NgramUtility | MetricUtility":
    """Return the utility of a metric, by its name in `METRICS`.

    Args:
        pairwise: compare all pairs of texts also where mean counts would do; other metrics always do.

    Raises:
        ValueError: there is no such metric.
    """
    metric = make_metric(name)
    if name in NGRAM_SCORES:
        assert isinstance(metric, SacreMetric), "n-grams are counted as sacreBLEU counts them"
        return NgramUtility(name, pairwise, metric)
    return MetricUtility(name, metric)


@dataclass(frozen=True)
class MetricUtility:
    """Mean sentence score against each reference."""

    name: str
    metric: Metric = field(repr=False)

    def __call__(self, texts: Sequence[str], weights: numpy.ndarray) -> numpy.ndarray:
        """Return each text's utility, float64 [T], for weights that sum to 1, float64 [T]."""
        utilities = numpy.zeros(len(texts))
        for reference in weights.nonzero()[0].tolist():
            scores = sentence_scores(self.metric, texts, [[texts[reference]]] * len(texts))
            utilities += weights[reference] * scores
        return utilities if self.metric.higher_is_better else -utilities


@dataclass(frozen=True)
class NgramUtility:
    """BLEU, chrF or chrF++ against the mean n-gram counts of all references; `pairwise`, the mean against each.

    The n-grams of a text are counted once, however many texts it is compared with.
    """

    name: str
    pairwise: bool
    metric: SacreMetric = field(repr=False)

    def __call__(self, texts: Sequence[str], weights: numpy.ndarray) -> numpy.ndarray:
        """Return each text's utility, float64 [T], for weights that sum to 1, float64 [T]."""
        table = NgramTable.create([self.metric.ngrams(text) for text in texts])
        if not self.pairwise:
            return self._scores(table, weights)
        utilities = numpy.zeros(len(texts))
        for reference in weights.nonzero()[0]:
            utilities += weights[reference] * self._scores(table, numpy.arange(len(texts)) == reference)
        return utilities

    def _scores(self, table: "NgramTable", weights: numpy.ndarray) -> numpy.ndarray:
        return NGRAM_SCORES[self.name](table.matches(table.mean(weights)), table.totals, weights @ table.totals)


@dataclass(frozen=True)
class NgramTable:
    """The n-grams of T texts in N orders, V different ones: entry e says how often one is in one text."""

    num_texts: int
    num_orders: int
    places: numpy.ndarray
    """int64 [E], text * N + order of each entry"""
    ids: numpy.ndarray
    """int64 [E], its n-gram, below V"""
    counts: numpy.ndarray
    """float64 [E]"""

    @classmethod
    def create(cls, texts: Sequence[Sequence[Mapping[object, int]]]) -> "NgramTable":
        """Return the table of each text's counts by order."""
        num_orders = len(texts[0])
        numbers: dict[object, int] = {}
        places, ids, counts = [], [], []
        for place, ngrams in enumerate(order for text in texts for order in text):
            for ngram, count in ngrams.items():
                places.append(place)
                ids.append(numbers.setdefault((place % num_orders, ngram), len(numbers)))
                counts.append(count)
        integer, real = numpy.int64, numpy.float64
        columns = numpy.array(places, integer), numpy.array(ids, integer), numpy.array(counts, real)
        return cls(len(texts), num_orders, *columns)

    @cached_property
    def totals(self) -> numpy.ndarray:
        """float64 [T, N], n-grams of each text and order"""
        return self._summed(self.counts)

    def mean(self, weights: numpy.ndarray) -> numpy.ndarray:
        """Return the count of each n-gram in the mean of the texts, float64 [V]; weights [T]."""
        return numpy.bincount(self.ids, weights[self.places // self.num_orders] * self.counts)

    def matches(self, reference: numpy.ndarray) -> numpy.ndarray:
        """Return the counts of each text clipped to those of a reference, [V], float64 [T, N]."""
        return self._summed(numpy.minimum(self.counts, reference[self.ids]))

    def _summed(self, values: numpy.ndarray) -> numpy.ndarray:
        size = self.num_texts * self.num_orders
        return numpy.bincount(self.places, values, minlength=size).reshape(self.num_texts, self.num_orders)


def chrf_scores(matches: numpy.ndarray, totals: numpy.ndarray, reference_totals: numpy.ndarray) -> numpy.ndarray:
    """Return chrF, float64 [T]: the F-score of precision and recall, which are means over the orders that both have.

    Args:
        matches: [T, N].
        totals: [T, N], of the candidates.
        reference_totals: [N].
    """
    is_counted = (totals > 0) & (reference_totals > 0)
    num_counted = numpy.maximum(is_counted.sum(1), 1)
    precision = (matches * is_counted / numpy.maximum(totals, 1)).sum(1) / num_counted
    divisor = numpy.where(reference_totals > 0, reference_totals, 1)
    recall = (matches * is_counted / divisor).sum(1) / num_counted
    weighted = BETA**2 * precision + recall
    return 100 * (1 + BETA**2) * precision * recall / numpy.where(weighted > 0, weighted, 1)


def bleu_scores(matches: numpy.ndarray, totals: numpy.ndarray, reference_totals: numpy.ndarray) -> numpy.ndarray:
    """Return sentence BLEU, float64 [T], of effective order and with exponential smoothing; arguments as `chrf_scores`.

    An order without a match counts 1/2 of one, the next such 1/4, and so on (sacreBLEU's `exp`).
    """
    is_missing = matches == 0
    smoothed = numpy.where(is_missing, 0.5 ** is_missing.cumsum(1), matches)
    logs = numpy.where(totals > 0, numpy.log(smoothed / numpy.maximum(totals, 1)), 0)
    effective_order = numpy.maximum((totals > 0).sum(1), 1)
    length = numpy.maximum(totals[:, 0], 1)  # one of no words has no matches either, so it gets 0
    brevity = numpy.minimum(1 - reference_totals[0] / length, 0)
    return numpy.where(is_missing.all(1), 0.0, 100 * numpy.exp(brevity + logs.sum(1) / effective_order))


NGRAM_SCORES: dict[str, Callable[[numpy.ndarray, numpy.ndarray, numpy.ndarray], numpy.ndarray]] = {
    "bleu": bleu_scores,
    "chrf": chrf_scores,
    "chrf++": chrf_scores,
}
