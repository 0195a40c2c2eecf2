import random
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import numpy
import pytest
import torch

from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WorkerProcesses, can_fork
from seq2seq.generation.corpus import decode_lines
from seq2seq.generation.hypothesis import Hypothesis, failure
from seq2seq.metrics.utility import make_utility
from tests.fakes import CharTokenizer, RandomModel

TOKENIZER = CharTokenizer("abcd ")
MODEL = RandomModel(vocab_size=len(TOKENIZER.vocabulary), scale=1.5)
SAMPLES = Sampling(n_best=31, epsilon=0.02, max_length=5)
LINES = ["ab", "", "a cad", "b", "  ", "dad", "bad", "a b", "ab"]


def exact_match(texts, weights):
    return weights


def risk(utility=exact_match, samples=SAMPLES, **options):
    return MinimumBayesRisk(samples, utility, TOKENIZER.decode, **options)


def text_of(hypothesis):
    return TOKENIZER.decode(hypothesis.tokens)


def sources(*texts):
    ids = TOKENIZER.encode_sources(list(texts))
    padded = torch.tensor([[*row, *[0] * (max(map(len, ids)) - len(row))] for row in ids])
    return padded, padded > 0


@dataclass(frozen=True)
class Found:
    """A search that has found these."""

    hypotheses: list[Hypothesis]
    width: int = 7

    def search(self, model, input_ids, attention_mask, prefixes=None, rows=None):
        return [self.hypotheses]


def found(**scores):
    """Return a search that has found texts, each with the scores at which it was drawn."""
    drawn = [(tuple(TOKENIZER.encode_targets([text])[0]), score) for text, at in scores.items() for score in at]
    return Found([Hypothesis(tokens, (), score, score, True) for tokens, score in drawn])


def test_exact_match_returns_what_was_drawn_most_often():
    batch = sources("ab", "cad", "bad", "d")
    drawn = SAMPLES.search(MODEL, *batch)
    for metric in (exact_match, make_utility("exact_match")):
        best = risk(metric).search(MODEL, *batch)
        for samples, [hypothesis] in zip(drawn, best, strict=True):
            counts = Counter(map(text_of, samples))
            assert counts[text_of(hypothesis)] == max(counts.values()) > 1
    shares = [100 * max(Counter(map(text_of, samples)).values()) / 31 for samples in drawn]
    assert [found[0].normalized_score for found in best] == pytest.approx(shares)


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter", "exact_match"])
def test_one_sample_is_returned_as_it_is(name):
    one, batch = replace(SAMPLES, n_best=1), sources("ab", "cad")
    found = risk(make_utility(name), one).search(MODEL, *batch)
    for [sample], [best] in zip(one.search(MODEL, *batch), found, strict=True):
        assert replace(best, normalized_score=sample.normalized_score) == sample


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf++", "exact_match"])
@pytest.mark.parametrize("pairwise", [False, True])
def test_the_order_of_samples_changes_nothing(name, pairwise):
    [samples] = SAMPLES.search(MODEL, *sources("dab"))
    utility = make_utility(name, pairwise=pairwise)
    expected = risk(utility, Found(samples, 31), n_best=31).search(MODEL, *sources("dab"))
    for seed in range(3):
        shuffled = random.Random(seed).sample(samples, len(samples))
        assert risk(utility, Found(shuffled, 31), n_best=31).search(MODEL, *sources("dab")) == expected


def test_expected_utilities_are_means_over_all_samples():
    utility = make_utility("chrf", pairwise=True)
    batch = sources("dab", "c")
    for samples, ranked in zip(
        SAMPLES.search(MODEL, *batch), risk(utility, n_best=31).search(MODEL, *batch), strict=True
    ):
        texts = list(map(text_of, samples))
        means = dict(zip(texts, utility(texts, numpy.full(31, 1 / 31)), strict=True))
        assert {text_of(h): h.normalized_score for h in ranked} == pytest.approx(means)
        assert len(ranked) == len(set(texts))
        scores = [h.normalized_score for h in ranked]
        assert scores == sorted(scores, reverse=True)
        assert all(h.score == sum(h.token_log_probs) for h in ranked), "the model's score stays as it was"


def test_batch_mates_change_nothing():
    texts = ["dab", "c", "a bad cad", "ab"]
    search = risk(make_utility("chrf"), n_best=3)
    together = search.search(MODEL, *sources(*texts), rows=[5, 6, 7, 8])
    backwards = search.search(MODEL, *sources(*texts[::-1]), rows=[8, 7, 6, 5])
    assert together == backwards[::-1]
    assert together == [search.search(MODEL, *sources(t), rows=[5 + i])[0] for i, t in enumerate(texts)]


def test_many_samples_are_searched_in_bounded_memory():
    """61 samples of each of 7 lines, 61 rows at once: a line at a time, in sentences of 16."""
    shapes = []

    class Watched(RandomModel):
        rows_at_once = 61

        def step(self, state, token_ids):
            shapes.append(tuple(token_ids.shape))
            return super().step(state, token_ids)

    search = risk(make_utility("chrf"), replace(SAMPLES, n_best=61))
    model = Watched(vocab_size=len(TOKENIZER.vocabulary), scale=1.5)
    bounded = list(decode_lines(LINES, InProcess(model, search), TOKENIZER))
    assert max(sentences * width for sentences, width in shapes) == 4 * 16
    assert bounded == list(decode_lines(LINES, InProcess(MODEL, search), TOKENIZER))


@pytest.mark.skipif(not can_fork(), reason="processes share the weights under Linux only")
def test_workers_find_what_one_process_finds():
    search = risk(make_utility("chrf"), n_best=2)
    decoded = partial(decode_lines, LINES, tokenizer=TOKENIZER, prefixes=["a" * (len(line) % 2) for line in LINES])
    with WorkerProcesses(MODEL, search, 2) as workers:
        shared = list(decoded(searcher=workers, pool_lines=4))
    assert shared == list(decoded(searcher=InProcess(MODEL, search)))
    assert [result.text.startswith("a") for result in shared if len(result.source) % 2] == [True] * 5


def test_a_sentence_that_drawing_or_searching_fails_for_is_a_failure():
    failed, [samples] = failure("broken"), SAMPLES.search(MODEL, *sources("dab"))
    for search in (risk(samples=Found([failed])), risk(samples=Found(samples), candidates=Found([failed]))):
        assert search.search(MODEL, *sources("a")) == [[failed]]


def test_no_more_are_returned_than_there_are_to_choose_from():
    for options, most in (({}, 31), ({"candidates": BeamSearch(beam_width=4, n_best=4)}, 4)):
        risk(n_best=most, **options)
        for n_best in (0, most + 1):
            with pytest.raises(ValueError, match=rf"at most what is chosen from \({most}\), but is {n_best}"):
                risk(n_best=n_best, **options)


def test_of_equals_the_likelier_wins():
    assert text_of(risk(samples=found(a=[-3], b=[-1], c=[-2])).search(MODEL, *sources("a"))[0][0]) == "b"
    ranked = risk(samples=found(a=[-3, -3], b=[-1], c=[-2]), n_best=7).search(MODEL, *sources("a"))[0]
    assert list(map(text_of, ranked)) == ["a", "b", "c"]
    assert [h.normalized_score for h in ranked] == [0.5, 0.25, 0.25]


def test_equal_texts_are_one_by_its_likelier_tokens():
    # Token 3 is unknown and leaves no text.
    samples = [Hypothesis(tokens, (), s, s, True) for tokens, s in [((4, 2), -2), ((3, 4, 2), -1), ((5, 2), -0.5)]]
    [[best]] = risk(samples=Found(samples)).search(MODEL, *sources("a"))
    assert (best.tokens, best.score) == ((3, 4, 2), -1)
    assert best.normalized_score == pytest.approx(2 / 3)


def test_candidates_of_another_search_are_compared_with_the_samples():
    samples, candidates = found(aa=[-3, -3, -3], ab=[-4, -4]), found(ba=[-1], ab=[-2], dd=[-1.5])
    search = risk(samples=samples, candidates=replace(candidates, width=11), n_best=2)
    assert search.width == 11
    assert risk().width == 31
    ranked = search.search(MODEL, *sources("a"))[0]
    assert [(text_of(h), h.normalized_score) for h in ranked] == [("ab", 0.4), ("ba", 0.0)], "ba is likelier than dd"
    beam = BeamSearch(beam_width=4, n_best=4, max_length=5)
    texts = {text_of(h) for h in beam.search(MODEL, *sources("dab"))[0]}
    ranked = risk(make_utility("chrf"), candidates=beam, n_best=4).search(MODEL, *sources("dab"))[0]
    assert {text_of(h) for h in ranked} == texts
