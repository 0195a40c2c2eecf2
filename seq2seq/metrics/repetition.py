"""How much a text repeats itself: a metric of the hypotheses alone.

References are taken, and counted for the signature, because every metric has them; what they say does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
        ngrams = list(zip(*(units[start:] for start in range(self.order)), strict=False))
        return len(ngrams) - len(set(ngrams)), len(ngrams)
