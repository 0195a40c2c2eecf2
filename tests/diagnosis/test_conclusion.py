"""Sentences against the numbers that they are made of."""

import pytest

from seq2seq.diagnosis.conclusion import comparison, conclusion, conclusions
from seq2seq.diagnosis.gap import Estimate
from tests.diagnosis.diagnoses import diagnosis_of

COST = Estimate(0.031, 0.021, 0.044)
COSTS = "its own prefixes cost it 3.1 points (2.1 to 4.4) of accuracy"


@pytest.mark.parametrize(
    ("drop", "growth", "expected"),
    [
        (
            COST,
            Estimate(0.05, 0.01, 0.09),
            f"{COSTS}; from the first quarter of the sequences to the last this grows by 5.0 points (1.0 to 9.0), as "
            "it does under exposure bias: it is visible here.",
        ),
        (
            COST,
            Estimate(0.05, -0.01, 0.09),
            f"{COSTS}; from the first quarter of the sequences to the last this grows by 5.0 points (-1.0 to 9.0), "
            "which may be chance: exposure bias is not visible on these 101 pairs.",
        ),
        (
            COST,
            Estimate(-0.05, -0.09, -0.01),
            f"{COSTS}; from the first quarter of the sequences to the last this falls by 5.0 points (1.0 to 9.0): "
            "exposure bias is not visible on these 101 pairs.",
        ),
        (COST, None, f"{COSTS}; the sequences are too short to show whether that grows, so nothing is said of exposure "
         "bias."),
        (
            Estimate(0.0, 0.0, 0.0),
            Estimate(0.0, 0.0, 0.0),
            "behind its own prefixes it says about as much of the references as behind gold ones: 0.0 points (0.0 to "
            "0.0) less; from the first quarter of the sequences to the last this does not change: exposure bias is not "
            "visible on these 101 pairs.",
        ),
        (
            Estimate(-0.02, -0.03, -0.01),
            None,
            "its own prefixes gain it 2.0 points (1.0 to 3.0) of accuracy; the sequences are too short to show whether "
            "that grows, so nothing is said of exposure bias.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_intervals_do(drop: Estimate, growth: Estimate | None, expected: str) -> None:
    assert conclusion(diagnosis_of(drop, growth)) == expected


def test_models_are_told_apart_only_by_intervals_that_lie_apart() -> None:
    high, low = (diagnosis_of(Estimate(v, v - 0.01, v + 0.01)) for v in (0.05, 0.02))
    near = diagnosis_of(Estimate(0.035, 0.025, 0.045))
    said = "b loses less by its own prefixes than a: the intervals of their drops lie apart."
    assert comparison("a", high, "b", low) == comparison("b", low, "a", high) == said
    for one, other in ((high, near), (near, high), (low, near), (high, high)):
        assert "overlap, so neither is shown" in comparison("a", one, "b", other)


def test_each_model_has_a_sentence_and_each_but_the_first_a_comparison() -> None:
    models = {name: diagnosis_of() for name in ("a", "b", "c")}
    found = conclusions(models, comparable=True)
    assert [line.split()[0] for line in found] == ["a:", "b:", "c:", "a", "a"]
    assert len(conclusions(models, comparable=False)) == 3
