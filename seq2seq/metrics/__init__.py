"""Text metrics by name. `METRICS` is the whole list; `make_metric` is the door.

WMD and WRD (`seq2seq.metrics.transport`) are not in the list because they need embeddings.
"""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any

import numpy

from seq2seq.metrics.base import Metric, Score
from seq2seq.metrics.edits import ErrorRate, ExactMatch
from seq2seq.metrics.repetition import Repetition
from seq2seq.metrics.rouge import Rouge
from seq2seq.metrics.sacre import bleu, chrf, ter
from seq2seq.metrics.sentence import sentence_scores
from seq2seq.own_pieces import PieceKind, is_own, own_piece, was_said

__all__ = ["METRICS", "Metric", "Score", "known_metric", "make_metric", "metric_options", "sentence_scores"]

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
    if is_own(name):
        return list(signature(own_piece(name, OWN_METRIC)).parameters)
    if name not in METRICS:
        near = get_close_matches(name.lower(), METRICS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(METRICS)}, or one of your own."
        raise ValueError(f"There is no metric {name!r}; {hint}")
    return list(signature(METRICS[name]).parameters)


def make_metric(name: str, **options: Any) -> Metric:
    """Return a metric by its name in `METRICS`, or of the user's own, which is named as `package.module:Name`.

    Raises:
        ValueError: there is no such metric, or it has no such option.
    """
    known = metric_options(name)
    for option in options:
        if option not in known:
            raise ValueError(f"Metric {name!r} has no option {option!r}; it has {', '.join(known)}.")
    made: Metric = (own_piece(name, OWN_METRIC) if is_own(name) else METRICS[name])(**options)
    return made


def known_metric(name: str) -> Metric | None:
    """Return the metric of a name that stands in a log or a folder; None if it is none, or nobody has named it here."""
    return make_metric(name) if name in METRICS or (is_own(name) and was_said(name)) else None


def _problem_of_metric(piece: Any) -> str | None:
    """Return what is wrong with a metric of the user's own, found by scoring two short texts with it."""
    if not callable(piece):
        return f"is an object of the type `{type(piece).__name__}`"
    try:
        signature(piece).bind()
    except TypeError:
        return "cannot be made without arguments"
    metric = piece()
    for name in ("name", "higher_is_better", "statistics", "score"):
        if not hasattr(metric, name):
            return f"has no `{name}`"
    if inspect.isclass(metric) or not callable(metric.statistics) or not callable(metric.score):
        return "has `statistics` or `score` that are no functions"
    found = numpy.asarray(metric.statistics(["a b", "c"], [["a b"], ["d"]]))
    if found.ndim != 2 or len(found) != 2:
        return f"gives statistics of the shape {found.shape} for 2 segments; it must be (2, number of statistics)"
    score = metric.score(found.sum(axis=0))
    return None if isinstance(score, Score) else f"gives a {type(score).__name__} as its score, and not a `Score`"


OWN_METRIC = PieceKind(
    "a metric",
    "a class that is made without arguments and has `name`, `higher_is_better`, `statistics` and `score`",
    "class Mine: name = 'mine'; higher_is_better = True; def statistics(self, hypotheses, references): … (segments, "
    "numbers that add up); def score(self, summed): return Score('mine', value, signature='mine')",
    _problem_of_metric,
)
"""What a metric of a user's own must be."""
