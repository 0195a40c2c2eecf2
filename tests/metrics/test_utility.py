"""Expected utilities: pairs equal sacreBLEU's sentence scores, mean n-gram counts by hand and where both must agree."""

import math
import random

import numpy
import pytest
from sacrebleu.metrics import BLEU, CHRF

from seq2seq.metrics import METRICS, make_metric, sentence_scores
from seq2seq.metrics.utility import make_utility
from tests.metrics.texts import HYPOTHESES, REFERENCES, random_corpus

TOLERANCE = 1e-9
SACRE = {"bleu": BLEU(effective_order=True), "chrf": CHRF(), "chrf++": CHRF(word_order=2)}
SAME_LENGTH = ["abcdefg", "hbcdefi", "abcdjkl", "mnopqrs", "gfedcba"]
"""No character is twice in a text, so that no count is clipped, and all totals are the same."""

both_forms = pytest.mark.parametrize("pairwise", [False, True], ids=["mean counts", "pairs"])


def awkward_texts() -> list[str]:
    """Return texts with repeated n-grams, of few words, in other scripts, of nothing but spaces, with punctuation."""
    texts = [*HYPOTHESES, *(text for references in REFERENCES for text in references), *random_corpus(5, 3)[0]]
    return [*texts, "a a a a b a a", "(hi) there, you!", " ", "...", "aaaaaaa", "<s> &amp; 3.5%"]


def uniform(texts: list[str]) -> numpy.ndarray:
    return numpy.full(len(texts), 1 / len(texts))


@pytest.mark.parametrize("name", SACRE)
def test_pairs_equal_sacrebleu(name: str) -> None:
    texts = awkward_texts()
    utility = make_utility(name, pairwise=True)
    for number, reference in enumerate(texts):
        found = utility(texts, numpy.eye(len(texts))[number])
        expected = [SACRE[name].sentence_score(text, [reference]).score for text in texts]
        numpy.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", SACRE)
def test_a_mean_of_one_reference_is_that_reference(name: str) -> None:
    texts = awkward_texts()
    for weights in numpy.eye(len(texts)):
        one, pair = (make_utility(name, pairwise=pairwise)(texts, weights) for pairwise in (False, True))
        numpy.testing.assert_allclose(one, pair, atol=TOLERANCE, rtol=0)


COMPARING = [name for name in METRICS if name not in ("bleu", "repetition") and not name.startswith("chrf")]
"""Metrics without mean counts that look at the reference."""


@pytest.mark.parametrize("name", COMPARING)
def test_any_metric_is_compared_by_pairs(name: str) -> None:
    texts = ["the cat sat", "a dog", "the dog sat", "cat"]
    weights = numpy.array([0.5, 0.25, 0.25, 0.0])
    metric = make_metric(name)
    matrix = numpy.array([sentence_scores(metric, [text] * 4, [[reference] for reference in texts]) for text in texts])
    sign = 1 if metric.higher_is_better else -1
    utilities = make_utility(name)(texts, weights)
    assert utilities == pytest.approx(sign * matrix @ weights, abs=TOLERANCE)
    assert utilities[0] > utilities[3], "higher is better, also of an error rate"


def test_chrf_of_mean_counts_by_hand() -> None:
    # Mean counts: a 1.5, b 1 | aa 0.5, ab 1 | aab 0.5. The pairs' mean would be another number for either text.
    # aab: precisions 2.5/3, 1.5/2, 0.5/1, mean 25/36; recalls 1; F2 = 5 P R / (4 P + R) = 125/136.
    # ab: precisions 1, 1; recalls 2/2.5, 1/1.5, mean 11/15; F2 = 55/71.
    found = make_utility("chrf")(["aab", "ab"], numpy.array([0.5, 0.5]))
    assert found == pytest.approx([100 * 125 / 136, 100 * 55 / 71], abs=TOLERANCE)
    assert found != pytest.approx(make_utility("chrf", pairwise=True)(["aab", "ab"], numpy.array([0.5, 0.5])))


def test_bleu_of_mean_counts_by_hand() -> None:
    # Mean counts: a 1, b 0.5, c 0.5 | ab 0.5, bc 0.5 | abc 0.5; mean length 2.
    # "a b c": precisions 2/3, 1/2, 1/2 and long enough. "a": precision 1, brevity penalty exp(1 - 2/1).
    found = make_utility("bleu")(["a b c", "a"], numpy.array([0.5, 0.5]))
    assert found == pytest.approx([100 * (1 / 6) ** (1 / 3), 100 * math.exp(-1)], abs=TOLERANCE)


@pytest.mark.parametrize(("name", "texts"), [("chrf", SAME_LENGTH), ("bleu", ["a", "b", "c", "d", "e"])])
def test_both_forms_are_one_where_the_utility_is_linear_in_counts(name: str, texts: list[str]) -> None:
    weights = numpy.array([0.3, 0.1, 0.2, 0.1, 0.3])
    mean, pairs = (make_utility(name, pairwise=pairwise)(texts, weights) for pairwise in (False, True))
    assert mean == pytest.approx(pairs, abs=TOLERANCE)
    assert len(set(mean.round(6))) > 2


@both_forms
@pytest.mark.parametrize("name", [*SACRE, "ter", "rougeL", "exact_match"])
def test_a_count_is_as_good_as_a_repetition(name: str, pairwise: bool) -> None:
    texts = ["the cat sat", "the dog sat", "a cat"]
    repeated = [texts[0]] * 3 + [texts[1]] + [texts[2]] * 2
    utility = make_utility(name, pairwise=pairwise)
    once = utility(texts, numpy.array([3, 1, 2]) / 6)
    assert utility(repeated, uniform(repeated)) == pytest.approx(once[[0, 0, 0, 1, 2, 2]], abs=TOLERANCE)


@both_forms
@pytest.mark.parametrize("name", SACRE)
def test_the_order_of_texts_changes_nothing(name: str, pairwise: bool) -> None:
    texts = awkward_texts()
    order = random.Random(5).sample(range(len(texts)), len(texts))
    weights = numpy.random.default_rng(5).dirichlet(numpy.ones(len(texts)))
    utility = make_utility(name, pairwise=pairwise)
    shuffled = utility([texts[i] for i in order], weights[order])
    numpy.testing.assert_allclose(shuffled, utility(texts, weights)[order], atol=TOLERANCE, rtol=0)


@both_forms
@pytest.mark.parametrize("name", SACRE)
def test_texts_of_nothing(name: str, pairwise: bool) -> None:
    assert make_utility(name, pairwise=pairwise)(["", " "], numpy.array([0.5, 0.5])).tolist() == [0, 0]


def test_an_unknown_metric() -> None:
    with pytest.raises(ValueError, match="no metric 'chr'; did you mean 'chrf'"):
        make_utility("chr")


@pytest.mark.parametrize("name", METRICS)
def test_its_text_names_it_and_nothing_of_this_process(name: str) -> None:
    assert repr(make_utility(name)) == repr(make_utility(name))
    assert name in repr(make_utility(name))
    assert repr(make_utility("chrf")) != repr(make_utility("chrf", pairwise=True))
