"""How much a text repeats itself: a metric of the hypotheses alone.

References are taken, and counted for the signature, because every metric has them; what they say does not matter.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy

from seq2seq.metrics.base import Score
from seq2seq.metrics.references import NUM_COUNTS, present_references, reference_counts, references_signature


@dataclass(frozen=True)
class Repetition:
    """Percent of n-grams that the same segment has had before: 1 - unique / all (Welleck et al. 2020).

    The paper averages over segments. Here a corpus's n-grams are added, so that segments shorter than n, which have
    none, do not count as free of repetition.
    """

    order: int = 4
    unit: Literal["word", "character"] = "word"

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"`order` must be at least 1, but is {self.order}.")

    @property
    def name(self) -> str:
        return "repetition"

    @property
    def higher_is_better(self) -> bool:
        return False

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + 2]: after the counts, repeated n-grams and all n-grams."""
        counts = reference_counts(present_references(hypotheses, references))
        return numpy.hstack([counts, numpy.array([self._repeated(text) for text in hypotheses], dtype=numpy.float64)])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the percentage of summed statistics, [statistics]; without any n-gram it is 0."""
        repeated, total = statistics[NUM_COUNTS:]
        value = float(100 * repeated / total) if total else 0.0
        signature = f"{references_signature(statistics)}|order:{self.order}|unit:{self.unit}"
        return Score(self.name, value, signature, f"{repeated:.0f}/{total:.0f}")

    def _repeated(self, text: str) -> tuple[int, int]:
        units = text.split() if self.unit == "word" else list(text)
        return count_repeats(units, self.order)


def count_repeats(units: Sequence[Hashable], size: int) -> tuple[int, int]:
    """Return how many n-grams of this size a sequence has had before, and how many it has."""
    ngrams = [tuple(units[start : start + size]) for start in range(len(units) - size + 1)]
    return len(ngrams) - len(set(ngrams)), len(ngrams)


def repeated_ngrams(sequences: Sequence[Sequence[Hashable]], size: int = 4) -> float:
    """Return the share of n-grams that occurred before in their own sequence, 0 without any; pooled as above."""
    counts = [count_repeats(units, size) for units in sequences]
    total = sum(count for _, count in counts)
    return sum(repeated for repeated, _ in counts) / total if total else 0.0


def adjacent_repeats(sequences: Sequence[Sequence[Hashable]]) -> float:
    """Return the share of units, the first of each sequence left out, that equal the unit before; 0 without any."""
    repeats = [before == after for units in sequences for before, after in pairwise(units)]
    return sum(repeats) / len(repeats) if repeats else 0.0
