import math

import pytest
import torch

from seq2seq.decoding.parts.scoring import LEAST_COVERAGE, can_improve, coverage_penalty, length_divisor, start_coverage


@pytest.mark.parametrize(
    ("length", "length_penalty", "normalization", "expected"),
    [
        (7, 0.0, "average", 1.0),
        (7, 1.0, "average", 7.0),
        (9, 0.5, "average", 3.0),
        (4, -0.5, "average", 0.5),
        (7, 0.0, "gnmt", 1.0),
        (1, 3.0, "gnmt", 1.0),
        (7, 1.0, "gnmt", 2.0),
        (19, 0.5, "gnmt", 2.0),
    ],
)
def test_length_divisor_by_hand(length, length_penalty, normalization, expected):
    assert length_divisor(length, length_penalty, normalization) == pytest.approx(expected)


def test_coverage_penalty_by_hand():
    # Two hypotheses over three source tokens and a padded place; attention beyond 1 is not rewarded.
    coverage = start_coverage(torch.tensor([[True, True, True, False]])) + torch.tensor(
        [[[0.5, 0.25, 2.0, 0.0], [1.0, 1.5, 0.0, 0.0]]]
    )
    expected = [[0.2 * math.log(0.5 * 0.25), 0.2 * math.log(LEAST_COVERAGE)]]
    torch.testing.assert_close(coverage_penalty(coverage, 0.2), torch.tensor(expected))


def test_can_improve_compares_normalized_scores():
    running = torch.tensor([-4.0, -6.0, -4.0, -torch.inf])
    finished = torch.tensor([-2.5, -2.5, -torch.inf, -torch.inf])
    assert can_improve(running, finished, 2.0).tolist() == [True, False, True, False]
