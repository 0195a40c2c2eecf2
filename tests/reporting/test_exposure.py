"""What a gap means, in words."""

import pytest

from seq2seq.diagnosis.gap import Estimate, ExposureGap
from seq2seq.reporting.exposure import sentence_of


@pytest.mark.parametrize(
    ("drop", "growth", "words"),
    [
        ((0.1, 0.08, 0.12), (0.05, 0.02, 0.08), "by 5 points of a hundred: its own mistakes lead it further astray"),
        ((0.1, 0.08, 0.12), (0.01, -0.02, 0.04), "its own mistakes do not lead it further astray"),
        ((0.0, -0.02, 0.02), (0.01, -0.02, 0.04), "So its own mistakes do not lead it astray"),
        ((-0.1, -0.12, -0.08), (0.0, -0.02, 0.02), "So its own mistakes do not lead it astray"),
        ((0.1, 0.08, 0.12), None, "too short to tell"),
    ],
)
def test_sentences(drop: tuple[float, ...], growth: tuple[float, ...] | None, words: str) -> None:
    gap = ExposureGap(0.7, 0.6, Estimate(*drop), Estimate(*growth) if growth else None, None)
    assert words in sentence_of(gap)
    assert "gives 70 % of the pieces" in sentence_of(gap)
