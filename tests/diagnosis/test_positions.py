"""Accuracy, entropy and survival of a model that is written out, by hand."""

import dataclasses
import random

import numpy
import pytest

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens
from seq2seq.diagnosis.positions import (
    FIRST_POSITIONS,
    bin_labels,
    means_by_position,
    position_bins,
    position_quarters,
    survival_curve,
)
from seq2seq.diagnosis.report import diagnose
from seq2seq.metrics import make_metric
from tests.diagnosis.subjects import A, B, row, subject_of
from tests.fakes import TableModel

TABLE = {
    (): row(a=0.5, b=0.25, end=0.25),  # entropy 1.5 log 2
    (A,): row(a=0.75, b=0.25),
    (A, A): row(a=0.25, end=0.75),
    (A, B): row(a=0.25, b=0.25, c=0.25, end=0.25),
}
"""Greedy search says `aa`."""
LOG2 = numpy.log(2)
UNEVEN = 2 * LOG2 - 0.75 * numpy.log(3)
"""Entropy of 3/4 and 1/4."""


def test_a_table_model_by_hand() -> None:
    subject = subject_of(TableModel({A: TABLE}, 2), ["a"], ["ab"])
    found = diagnose(subject, ["ab"], {"chrf": make_metric("chrf")}, [1], seed=1)
    first, second, third = (dataclasses.asdict(means) for means in found.by_position)
    assert first == pytest.approx(
        {
            "positions": "1",
            **{"gold_tokens": 1, "gold_accuracy": 1, "gold_entropy": 1.5 * LOG2, "gold_log_prob": -LOG2},
            **{"own_tokens": 1, "own_accuracy": 1, "own_entropy": 1.5 * LOG2, "own_log_prob": -LOG2},
        }
    )
    assert second == pytest.approx(
        {
            "positions": "2",  # the reference goes on with b, the model with a
            **{"gold_tokens": 1, "gold_accuracy": 0, "gold_entropy": UNEVEN, "gold_log_prob": -2 * LOG2},
            **{"own_tokens": 1, "own_accuracy": 0, "own_entropy": UNEVEN, "own_log_prob": numpy.log(0.75)},
        }
    )
    assert third == pytest.approx(
        {
            "positions": "3-4",  # the end: nothing is likelier behind ab, and aa ends as well
            **{"gold_tokens": 1, "gold_accuracy": 1, "gold_entropy": 2 * LOG2, "gold_log_prob": -2 * LOG2},
            **{"own_tokens": 1, "own_accuracy": 1, "own_entropy": UNEVEN, "own_log_prob": numpy.log(0.75)},
        }
    )
    assert [means.positions for means in found.by_quarter] == ["1st quarter", "2nd quarter", "3rd quarter"]
    assert (found.survival.survival, found.survival.at_risk, found.survival.accuracy) == ([1, 1, 0], [1, 1], [1, 0])
    assert (found.gap.gold_accuracy, found.gap.own_accuracy) == pytest.approx((2 / 3, 2 / 3))
    assert found.gap.entropy_growth is None, "no sequence has four tokens"


def tokens_of_length(*lengths: int) -> ForcedTokens:
    n = sum(lengths)
    ones = numpy.ones(n, dtype=numpy.float32)
    return ForcedTokens(numpy.array(lengths), -ones, ones, ones > 0, numpy.ones(n, dtype=numpy.int64))


def test_bins_and_quarters() -> None:
    tokens = tokens_of_length(71, 7)
    names = [bin_labels()[i] for i in position_bins(tokens)]
    assert names[:10] == ["1", "2", "3-4", "3-4", "5-8", "5-8", "5-8", "5-8", "9-16", "9-16"]
    assert (names[63], names[64], names[70], names[71]) == ("33-64", "65+", "65+", "1")
    assert len(bin_labels()) == len(FIRST_POSITIONS)
    assert position_quarters(tokens)[71:].tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert numpy.bincount(position_quarters(tokens)[:71]).tolist() == [18, 18, 18, 17]


def test_positions_that_one_side_alone_has() -> None:
    gold, own = tokens_of_length(2), tokens_of_length(5)
    found = means_by_position(gold, own, numpy.array([True, False]), relative=False)
    assert [(m.positions, m.gold_tokens, m.own_tokens) for m in found] == [("1", 1, 1), ("2", 1, 1), *found_rest()]
    assert found[-1].gold_accuracy is None
    assert found[-1].own_accuracy is None
    assert found[-1].own_entropy == 1


def found_rest() -> list[tuple[str, int, int]]:
    return [("3-4", 0, 2), ("5-8", 0, 1)]


def test_survival_with_references_that_end() -> None:
    # Of 4 hypotheses all say the first token; one reference ends there. Of 3 one is wrong at the second. Of 2 that are
    # left one is cut off by the length limit, and the last is wrong at the third.
    references = [[1], [5, 6, 1], [5, 6, 7, 1], [5, 6, 7, 8, 1]]
    hypotheses = [[1], [5, 9, 1], [5, 6], [5, 6, 8]]
    found = survival_curve(hypotheses, references)
    assert found.at_risk == [4, 3, 1]
    assert found.accuracy == pytest.approx([1, 2 / 3, 0])
    assert found.survival == pytest.approx([1, 1, 2 / 3, 0])


def test_survival_never_rises() -> None:
    chooser = random.Random(5)
    references = [[*chooser.choices("ab", k=chooser.randint(0, 17)), "</s>"] for _ in range(211)]
    hypotheses = [[t if chooser.random() < 0.8 else "b" for t in tokens] for tokens in references]
    curve = survival_curve(hypotheses, references).survival
    assert curve[0] == 1
    assert all(after <= before for before, after in zip(curve, curve[1:], strict=False))
    assert 0 < curve[5] < curve[1] < 1


def test_survival_of_perfect_hypotheses_is_one() -> None:
    references = [[5, 6, 1], [7, 1]]
    found = survival_curve(references, references)
    assert (found.survival, found.at_risk) == ([1, 1, 1, 1], [2, 2, 1])
