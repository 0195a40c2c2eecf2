"""Costs against sacreBLEU's own sentence scores, worked examples, and their additive form."""

import numpy
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from seq2seq.metrics import METRICS, make_metric
from seq2seq.metrics.cost import make_cost
from tests.metrics.texts import random_corpus

FEW_ERRORS, MANY_ERRORS, LISTED = random_corpus(13, seed=7)
REFERENCES = [segment[0] for segment in LISTED]
HYPOTHESES = ["", "the cat", *FEW_ERRORS, *MANY_ERRORS]
TARGETS = ["a cat", "the cat", *REFERENCES, *REFERENCES]


@pytest.mark.parametrize(("name", "scorer"), [("bleu", BLEU(effective_order=True)), ("chrf", CHRF())])
def test_costs_are_one_minus_the_library_s_sentence_scores(name: str, scorer: BLEU | CHRF) -> None:
    pairs = zip(HYPOTHESES, TARGETS, strict=True)
    expected = [1 - scorer.sentence_score(hypothesis, [target]).score / 100 for hypothesis, target in pairs]
    numpy.testing.assert_allclose(make_cost(name).per_segment(HYPOTHESES, TARGETS), expected, rtol=0, atol=1e-12)


def test_an_error_rate_is_its_own_cost_and_may_exceed_one() -> None:
    costs = make_cost("word_error_rate").per_segment(["a b c", "a x", "a"], ["a", "a b", "a"])
    assert costs.tolist() == [2.0, 0.5, 0.0]


@pytest.mark.parametrize("name", METRICS)
def test_pairs_that_repeat_cost_the_same_in_any_order(name: str) -> None:
    cost = make_cost(name)
    costs = cost.per_segment(HYPOTHESES, TARGETS)
    backwards = cost.per_segment([*reversed(HYPOTHESES), *HYPOTHESES], [*reversed(TARGETS), *TARGETS])
    assert costs.dtype == numpy.float64
    assert backwards.tolist() == [*reversed(costs.tolist()), *costs.tolist()]


@pytest.mark.parametrize("name", METRICS)
def test_statistics_add_to_the_corpus_score_or_to_the_mean_of_segments(name: str) -> None:
    metric, (mean, pooled) = make_metric(name), (make_cost(name), make_cost(name, pooled=True))
    parts = [slice(0, 5), slice(5, 11), slice(11, None)]
    for cost in (mean, pooled):
        summed = sum(cost.statistics(HYPOTHESES[part], TARGETS[part]).sum(0) for part in parts)
        whole = cost.statistics(HYPOTHESES, TARGETS)
        assert whole.shape == (len(HYPOTHESES), len(summed))
        assert cost.value(summed) == pytest.approx(cost.value(whole.sum(0)), abs=1e-15)
    score = metric.score(metric.statistics(HYPOTHESES, [[target] for target in TARGETS]).sum(0)).value / 100
    expected = 1 - score if metric.higher_is_better else score
    assert pooled.value(pooled.statistics(HYPOTHESES, TARGETS).sum(0)) == pytest.approx(expected, abs=1e-15)
    expected = mean.per_segment(HYPOTHESES, TARGETS).mean()
    assert mean.value(mean.statistics(HYPOTHESES, TARGETS).sum(0)) == pytest.approx(expected, abs=1e-15)


def test_nothing_costs_nothing_and_unequal_numbers_are_refused() -> None:
    assert make_cost("bleu").per_segment([], []).shape == (0,)
    with pytest.raises(ValueError, match="2 hypotheses cannot be scored against 1 references"):
        make_cost("bleu").per_segment(["a", "b"], ["a"])
