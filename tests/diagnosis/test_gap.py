"""The exposure gap by hand, and of a model without one."""

import numpy
import pytest

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens
from seq2seq.diagnosis.gap import exposure_gap


def tokens(lengths: list[int], entropies: list[float], is_best: list[bool]) -> ForcedTokens:
    n = sum(lengths)
    values = (numpy.zeros(n, dtype=numpy.float32), numpy.array(entropies, dtype=numpy.float32), numpy.array(is_best))
    return ForcedTokens(numpy.array(lengths), *values, numpy.zeros(n, dtype=numpy.int64))


def test_the_gap_by_hand() -> None:
    # Quarters of one token each. Accuracy in the last quarter falls from 1 to 1/2 between gold and own prefixes, in the
    # first not at all; entropy rises by 0 behind gold prefixes, by 3 and 2 behind own ones.
    gold = tokens([4, 4], [1.0] * 8, [True] * 8)
    own = tokens([4, 4], [1, 1, 1, 4, 1, 1, 1, 3], [True] * 8)
    is_said = numpy.array([True, False, True, False, True, True, True, True])
    gap = exposure_gap(gold, own, is_said, seed=1)
    assert (gap.gold_accuracy, gap.own_accuracy) == (1, 0.75)
    assert gap.accuracy_drop.value == 0.25
    assert gap.accuracy_drop_growth.value == 0.5
    assert gap.entropy_growth.value == pytest.approx(2.5)
    # Resamples of two pairs hold either alone, or both.
    assert (gap.entropy_growth.low, gap.entropy_growth.high) == pytest.approx((2, 3))
    assert (gap.accuracy_drop.low, gap.accuracy_drop.high) == (0, 0.5)


def test_a_model_that_says_its_reference_has_none() -> None:
    chooser = numpy.random.default_rng(3)
    lengths = chooser.integers(4, 17, 41).tolist()
    n = sum(lengths)
    gold = tokens(lengths, chooser.random(n).tolist(), [True] * n)
    gap = exposure_gap(gold, gold, numpy.ones(n, dtype=bool), seed=1)
    for estimate in (gap.accuracy_drop, gap.accuracy_drop_growth, gap.entropy_growth):
        assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_the_interval_holds_the_value_and_narrows_with_more_pairs() -> None:
    def width(num_pairs: int) -> float:
        chooser = numpy.random.default_rng(num_pairs)
        gold = tokens([8] * num_pairs, chooser.random(8 * num_pairs).tolist(), [True] * 8 * num_pairs)
        own = tokens([8] * num_pairs, chooser.random(8 * num_pairs).tolist(), [True] * 8 * num_pairs)
        estimate = exposure_gap(gold, own, chooser.random(8 * num_pairs) < 0.5, seed=1).entropy_growth
        assert estimate.low < estimate.value < estimate.high
        return estimate.high - estimate.low

    # A hundred times as many pairs: a tenth of the width.
    assert width(2300) == pytest.approx(width(23) / 10, rel=0.4)


def test_the_interval_depends_on_the_seed_alone() -> None:
    chooser = numpy.random.default_rng(7)
    gold = tokens([5] * 31, chooser.random(155).tolist(), (chooser.random(155) < 0.7).tolist())
    is_said = chooser.random(155) < 0.5
    assert exposure_gap(gold, gold, is_said, seed=1) == exposure_gap(gold, gold, is_said, seed=1)
    assert exposure_gap(gold, gold, is_said, seed=1) != exposure_gap(gold, gold, is_said, seed=2)
