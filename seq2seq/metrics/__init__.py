"""Text metrics by name. `METRICS` is the whole list; `make_metric` is the door.

WMD and WRD (`seq2seq.metrics.transport`) are not in the list because they need embeddings.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any

from seq2seq.metrics.base import Metric, Score
from seq2seq.metrics.edits import ErrorRate, ExactMatch
from seq2seq.metrics.repetition import Repetition
from seq2seq.metrics.rouge import Rouge
from seq2seq.metrics.sacre import bleu, chrf, ter
from seq2seq.metrics.sentence import sentence_scores

__all__ = ["METRICS", "Metric", "Score", "make_metric", "metric_options", "sentence_scores"]

METRICS: dict[str, Callable[..., Metric]] = {
    "bleu": bleu,
    "chrf": chrf,
    "chrf++": partial(chrf, 2),
    "ter": ter,
    "rouge1": partial(Rouge, "rouge1"),
    "rouge2": partial(Rouge, "rouge2"),
    "rougeL": partial(Rouge, "rougeL"),
    "rougeLsum": partial(Rouge, "rougeLsum"),
    "exact_match": partial(ExactMatch, "exact_match"),
    "sequence_error_rate": partial(ExactMatch, "sequence_error_rate"),
    "word_error_rate": partial(ErrorRate, "word_error_rate", "word"),
    "phone_error_rate": partial(ErrorRate, "phone_error_rate", "word"),
    "character_error_rate": partial(ErrorRate, "character_error_rate", "character"),
    "repetition": Repetition,
}
"""Phones are written with spaces between them, so phone and word error rate are one statistic under two names."""


def metric_options(name: str) -> list[str]:
    """Return the names of a metric's options.

    Raises:
        ValueError: there is no such metric.
    """
    if name not in METRICS:
        near = get_close_matches(name.lower(), METRICS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(METRICS)}."
        raise ValueError(f"There is no metric {name!r}; {hint}")
    return list(signature(METRICS[name]).parameters)


def make_metric(name: str, **options: Any) -> Metric:
    """Return a metric by its name in `METRICS`.

    Raises:
        ValueError: there is no such metric, or it has no such option.
    """
    known = metric_options(name)
    for option in options:
        if option not in known:
            raise ValueError(f"Metric {name!r} has no option {option!r}; it has {', '.join(known)}.")
    return METRICS[name](**options)
