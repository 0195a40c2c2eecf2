"""Paired tests: symmetric, calibrated under the null hypothesis, and in agreement with sacreBLEU's."""

import time
from collections.abc import Sequence
from typing import Any

import numpy
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from seq2seq.metrics import Score, make_metric
from seq2seq.metrics.significance import (
    TESTS,
    bootstrap_differences,
    paired_bootstrap,
    paired_randomization,
    randomized_differences,
    untested_difference,
)
from tests.metrics.texts import paired, random_corpus, total, wmt22

NAMES = ["bleu", "chrf", "ter", "rougeL", "exact_match", "word_error_rate"]
PAIRED_TESTS = [paired_bootstrap, paired_randomization]


class Mean:
    """The mean of numbers, whose tests can be worked out by hand."""

    name = "mean"
    higher_is_better = True

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> numpy.ndarray:
        return numpy.array([[1.0, float(hypothesis)] for hypothesis in hypotheses])

    def score(self, statistics: numpy.ndarray) -> Score:
        return Score("mean", statistics[1] / statistics[0], "")


def column(values: Sequence[float] | numpy.ndarray) -> numpy.ndarray:
    return numpy.stack([numpy.ones(len(values)), numpy.asarray(values, dtype=float)], axis=1)


@pytest.mark.parametrize("test", PAIRED_TESTS)
@pytest.mark.parametrize("name", NAMES)
def test_exchanging_the_systems_changes_only_the_sign(test, name: str) -> None:
    metric = make_metric(name)
    better, worse, references = random_corpus(37, seed=2)
    statistics = [metric.statistics(texts, references) for texts in (better, worse)]
    there, back = (test(metric, *ordered, num_samples=211, seed=3) for ordered in (statistics, statistics[::-1]))
    assert there.p_value == back.p_value
    assert there.difference == -back.difference != 0
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert {there.verdict, back.verdict} == {"better", "worse"}
    assert (there.verdict == "better") == ((there.difference > 0) == metric.higher_is_better)


@pytest.mark.parametrize("test", PAIRED_TESTS)
def test_a_system_does_not_differ_from_itself(test) -> None:
    metric = make_metric("bleu")
    texts, _, references = random_corpus(17, seed=4)
    statistics = metric.statistics(texts, references)
    comparison = test(metric, statistics, statistics, num_samples=101)
    assert (comparison.difference, comparison.p_value, comparison.interval) == (0.0, 1.0, (0.0, 0.0))
    assert comparison.verdict == "equal"


@pytest.mark.parametrize("test", PAIRED_TESTS)
def test_seeds_repeat_and_differ(test) -> None:
    generator = numpy.random.default_rng(5)
    statistics, baseline = (column(generator.normal(size=29)) for _ in range(2))
    first, again, other = (test(Mean(), statistics, baseline, num_samples=499, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.p_value != other.p_value


@pytest.mark.parametrize("test", PAIRED_TESTS)
def test_p_values_are_uniform_between_equal_systems(test) -> None:
    generator = numpy.random.default_rng(6)
    p_values = [
        test(Mean(), *(column(generator.normal(size=61)) for _ in range(2)), num_samples=199, seed=trial).p_value
        for trial in range(300)
    ]
    # Each quantile estimate has a standard error of at most sqrt(0.25 / 300) = 0.029.
    for level in (0.05, 0.2, 0.5, 0.8):
        assert numpy.mean(numpy.array(p_values) <= level) == pytest.approx(level, abs=0.09 if level > 0.1 else 0.045)


def test_randomization_of_three_segments_by_hand() -> None:
    # Gains of 1, 2 and 4: of the 8 exchanges only none and all give a mean difference of 7/3, so p is near 1/4.
    comparison = paired_randomization(Mean(), column([1, 2, 4]), column([0, 0, 0]), num_samples=9999)
    assert comparison.difference == pytest.approx(7 / 3)
    assert comparison.p_value == pytest.approx(0.25, abs=0.02)
    differences = randomized_differences(Mean(), column([1, 2, 4]), column([0, 0, 0]), 997, seed=1)
    assert set(numpy.round(3 * differences)) == {-7, -5, -3, -1, 1, 3, 5, 7}


def test_bootstrap_interval_equals_the_normal_one() -> None:
    gains = numpy.random.default_rng(7).normal(loc=0.3, size=401)
    comparison = paired_bootstrap(Mean(), column(gains), column(numpy.zeros(401)), num_samples=4000)
    half_width = 1.96 * gains.std() / 401**0.5
    assert comparison.interval == pytest.approx((gains.mean() - half_width, gains.mean() + half_width), abs=0.01)
    assert comparison.test == "bootstrap:4000|seed:1"


def test_blocks_do_not_change_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.metrics.significance.BLOCK_CELLS", 50)
    statistics, baseline = column(range(13)), column([3.0] * 13)
    assert bootstrap_differences(Mean(), statistics, baseline, 101, seed=1).shape == (101,)
    assert randomized_differences(Mean(), statistics, baseline, 101, seed=1).shape == (101,)
    assert bootstrap_differences(Mean(), statistics, baseline, 1009, seed=1).mean() == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize("systems", [("Online-B", "Online-W"), ("Online-Y", "Online-A"), ("JDExploreAcademy", "PROMT")])
@pytest.mark.parametrize(("name", "library"), [("bleu", BLEU()), ("chrf", CHRF())])
def test_agreement_with_sacrebleu(systems: tuple[str, str], name: str, library) -> None:
    num_segments, num_samples = 150, 1000
    hypotheses = [wmt22(f"en-de/hyp.{system}")[:num_segments] for system in systems]
    reference = wmt22("en-de/ref.A")[:num_segments]
    metric = make_metric(name)
    system, baseline = (metric.statistics(texts, paired(reference)) for texts in hypotheses)

    def theirs(test_type: str) -> float:
        named: list[tuple[str, Sequence[str]]] = [("baseline", hypotheses[1]), ("system", hypotheses[0])]
        _, scores = PairedTest(named, {name: library}, [reference], test_type, num_samples)()
        results: Any = next(values for key, values in scores.items() if key != "System")
        return results[1].p_value

    ours = paired_randomization(metric, system, baseline, num_samples)
    error = 4 * (0.5 / num_samples) ** 0.5  # of the difference of two estimated probabilities, at most
    assert ours.p_value == pytest.approx(theirs("ar"), abs=error)
    # sacreBLEU's bootstrap p folds differences before it centres them. Folding ours too must give its value.
    differences = numpy.abs(bootstrap_differences(metric, system, baseline, num_samples, seed=1))
    folded = numpy.mean(differences - differences.mean() > abs(ours.difference))
    assert folded == pytest.approx(theirs("bs"), abs=error)
    bootstrap = paired_bootstrap(metric, system, baseline, num_samples)
    assert bootstrap.p_value == pytest.approx(ours.p_value, abs=0.1)
    p_values = numpy.array([bootstrap.p_value, ours.p_value, theirs("ar"), theirs("bs")])
    assert len(set(p_values < 0.05)) == 1


def test_a_thousand_resamples_of_two_thousand_segments_take_seconds() -> None:
    metric = make_metric("bleu")
    better, worse, references = random_corpus(2003, seed=8)
    statistics, baseline = (metric.statistics(texts, references) for texts in (better, worse))
    start = time.perf_counter()
    comparison = paired_bootstrap(metric, statistics, baseline)
    assert time.perf_counter() - start < 5
    assert comparison.p_value == pytest.approx(1 / 1001)
    assert comparison.interval is not None
    assert comparison.interval[0] < comparison.difference < comparison.interval[1]


def test_no_test_gives_plain_scores() -> None:
    comparison = untested_difference(Mean(), column([1, 2]), column([3, 5]))
    assert (comparison.difference, comparison.p_value, comparison.interval) == (-2.5, None, None)
    assert total(column([1, 2])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("test", TESTS.values())
def test_wrong_input_is_explained(test) -> None:
    with pytest.raises(ValueError, match=r"same segments, but these are \(3, 2\) and \(2, 2\)"):
        test(Mean(), column([1, 2, 3]), column([1, 2]))
    with pytest.raises(ValueError, match="`num_samples` must be at least 1, but is 0"):
        test(Mean(), column([1]), column([1]), num_samples=0)
