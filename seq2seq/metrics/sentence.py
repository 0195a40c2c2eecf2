"""Scores of single segments under any metric, for reranking, minimum Bayes risk and inspection."""

from collections.abc import Sequence

import numpy

from seq2seq.metrics.base import Metric
from seq2seq.metrics.sacre import SacreMetric


def sentence_scores(metric: Metric, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> numpy.ndarray:
    """Return each segment's own score, float64 [segments].

    BLEU is taken with effective order, as sacreBLEU advises for sentences. The mean of these is not the corpus score,
    except for metrics that are means (ROUGE, exact match).
    """
    if not isinstance(metric, SacreMetric):
        return numpy.array([metric.score(segment).value for segment in metric.statistics(hypotheses, references)])
    metric = metric.sentence_level
    return numpy.array([metric.value(segment) for segment in metric.statistics(hypotheses, references)])
