"""Error rates by edit distance, and exact match.

What enters is text as it is: nothing is normalised, stripped or (unless asked) lower-cased. What is notable: the
name "word error rate" has two senses. Here, `word_error_rate` is that of speech recognition, edits per reference
word. What the SIGMORPHON shared tasks on graphemes and phonemes call word error rate is `sequence_error_rate`: the
share of segments that are not exactly right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy

from seq2seq.metrics.base import Score
from seq2seq.metrics.references import NUM_COUNTS, present_references, reference_counts, references_signature


def edit_distance(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and substitutions between two sequences (Levenshtein).

    A whole column of the dynamic programme is held in two integers: bit i says whether the cell of reference position
    i is one more (`up`) or one less (`down`) than the cell before it. One column then costs a dozen operations on
    integers of any length (Myers 1999, in the form of Hyyrö 2003, figure 9).
    """
    if hypothesis == reference:
        return 0
    if not hypothesis or not reference:
        return len(hypothesis) + len(reference)
    occurrences: dict[str, int] = {}
    for position, unit in enumerate(reference):
        occurrences[unit] = occurrences.get(unit, 0) | 1 << position
    all_bits, last_bit = (1 << len(reference)) - 1, 1 << (len(reference) - 1)
    distance, up, down = len(reference), all_bits, 0
    for unit in hypothesis:
        matches = occurrences.get(unit, 0)
        diagonal = ((((matches & up) + up) ^ up) | matches | down) & all_bits
        right_up = down | (all_bits & ~(diagonal | up))
        right_down = diagonal & up
        distance += bool(right_up & last_bit) - bool(right_down & last_bit)
        right_up = (right_up << 1 | 1) & all_bits  # the first row counts insertions, so it always rises
        right_down = (right_down << 1) & all_bits
        up = right_down | (all_bits & ~(diagonal | right_up))
        down = right_up & diagonal
    return distance


@dataclass(frozen=True)
class ErrorRate:
    """Edits per 100 reference units; of several references the closest counts, and among those the longest."""

    name: str
    unit: Literal["word", "character"]
    lowercase: bool = False

    @property
    def higher_is_better(self) -> bool:
        return False

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + 2]: after the counts, edits and reference units."""
        present = present_references(hypotheses, references)
        edits = [self._edits(*segment) for segment in zip(hypotheses, present, strict=True)]
        return numpy.hstack([reference_counts(present), numpy.array(edits, dtype=numpy.float64)])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the rate of summed statistics, [statistics]; against nothing but empty references it is 0 or 100."""
        edits, num_units = statistics[NUM_COUNTS:]
        rate = edits / num_units if num_units else float(edits > 0)
        signature = f"{references_signature(statistics)}|case:{'lc' if self.lowercase else 'mixed'}|unit:{self.unit}"
        return Score(self.name, float(100 * rate), signature, f"edits = {edits:.0f} ref_len = {num_units:.0f}")

    def _edits(self, hypothesis: str, references: list[str]) -> tuple[int, int]:
        """Return the edits to the closest reference and its length."""
        units = self._split(hypothesis)
        candidates = [(edit_distance(units, reference), len(reference)) for reference in map(self._split, references)]
        return min(candidates, key=lambda candidate: (candidate[0], -candidate[1]))

    def _split(self, text: str) -> list[str]:
        text = text.lower() if self.lowercase else text
        return text.split() if self.unit == "word" else list(text)


@dataclass(frozen=True)
class ExactMatch:
    """Percent of segments equal to one of their references, or, as `sequence_error_rate`, of those that are not."""

    name: Literal["exact_match", "sequence_error_rate"] = "exact_match"
    lowercase: bool = False

    @property
    def higher_is_better(self) -> bool:
        return self.name == "exact_match"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + 1]: after the counts, 1 where the segment matches."""
        present = present_references(hypotheses, references)
        matches = [
            self._fold(hypothesis) in map(self._fold, segment)
            for hypothesis, segment in zip(hypotheses, present, strict=True)
        ]
        return numpy.hstack([reference_counts(present), numpy.array(matches, dtype=numpy.float64)[:, None]])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the percentage of summed statistics, [statistics]."""
        num_segments, num_matches = statistics[0], statistics[NUM_COUNTS]
        counted = num_matches if self.higher_is_better else num_segments - num_matches
        signature = f"{references_signature(statistics)}|case:{'lc' if self.lowercase else 'mixed'}"
        return Score(self.name, float(100 * counted / num_segments), signature, f"{counted:.0f}/{num_segments:.0f}")

    def _fold(self, text: str) -> str:
        return text.lower() if self.lowercase else text
