"""A metric is additive statistics per segment and a function from their sum to a score.

Significance tests and distributed scoring only ever add statistics, so they know nothing of any metric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy


@dataclass(frozen=True)
class Score:
    """A corpus score with what is needed to reproduce it."""

    name: str
    value: float
    signature: str
    details: str = ""
    """Human-readable parts, for example BLEU's precisions and brevity penalty."""


class Metric(Protocol):
    """A corpus metric. `references[i]` holds the references of segment i, one or more."""

    @property
    def name(self) -> str: ...

    @property
    def higher_is_better(self) -> bool: ...

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> numpy.ndarray:
        """Return float64 [segments, statistics]; a corpus's statistics are the sum over its segments."""

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the score of summed statistics, [statistics]."""
