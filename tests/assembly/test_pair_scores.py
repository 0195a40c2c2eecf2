"""Scores of pairs: normalisation, both directions, and processes that share the work."""

import math
import os
from pathlib import Path

import numpy
import pytest
import torch

import seq2seq
from seq2seq.assembly import given_targets
from seq2seq.assembly.pair_scores import PairScorer, dual_score, perplexity, scored_pools
from seq2seq.data.tokenizer import TextTokenizer
from tests.assembly.test_generator import write_bart

PAIRS = [("abc", "abc"), ("jab", "jba"), ("", "a"), ("fghi", ""), ("cab", "cab")]


@pytest.fixture
def generator(copy_task: Path) -> seq2seq.TextGenerator:
    return seq2seq.load(copy_task / "run", device="cpu")


def test_a_score_is_the_log_probability_by_its_normalisation(generator: seq2seq.TextGenerator) -> None:
    by = {name: PairScorer(generator, normalization=name)(PAIRS) for name in ("token", "none", "character")}
    for (_, target), token, none, character in zip(PAIRS, *by.values(), strict=True):
        assert none.score == none.log_prob == pytest.approx(math.fsum(none.token_log_probs))
        assert none.num_tokens == len(target) + 1 == len(none.tokens)
        assert token.score == pytest.approx(none.score / none.num_tokens)
        assert character.score == pytest.approx(none.score / (len(target) + 1))
        assert token.perplexity == pytest.approx(math.exp(-token.score))


def test_two_directions_are_one_score(generator: seq2seq.TextGenerator) -> None:
    # |-1 - -3| + (1 + 3) / 2, with its sign turned
    assert dual_score(-1.0, -3.0) == -4.0
    assert dual_score(-2.0, -2.0) == -2.0
    forward = PairScorer(generator)(PAIRS)
    back = PairScorer(generator)([(target, source) for source, target in PAIRS])
    both = PairScorer(generator, reverse=generator)(PAIRS)
    for one, other, score in zip(forward, back, both, strict=True):
        assert score.score == pytest.approx(dual_score(one.score, other.score))
        assert (score.reverse_log_prob, score.reverse_num_tokens) == (pytest.approx(other.log_prob), other.num_tokens)
    with pytest.raises(ValueError, match="cannot be `none`"):
        PairScorer(generator, reverse=generator, normalization="none")


def test_perplexity_is_finite() -> None:
    assert perplexity(-3 * math.log(8), 3) == pytest.approx(8)
    assert math.isfinite(perplexity(-1e9, 1))


def test_an_alignment_of_copies_is_the_diagonal(generator: seq2seq.TextGenerator) -> None:
    texts = ["abc", "jabc", "hgf", "ij", "cabd"]
    scores = PairScorer(generator, alignment="tokens")([(text, text) for text in texts])
    diagonals = [" ".join(f"{i}-{i}" for i in range(len(text))) for text in texts]
    assert sum(score.alignment == diagonal for score, diagonal in zip(scores, diagonals, strict=True)) >= 4
    assert generator.align(["abc", ""], ["abc", "a"], unit="words") == [[(0, 0)], []]


def test_a_prefix_that_touches_its_source_is_no_word_of_its_own(generator: seq2seq.TextGenerator) -> None:
    generator.source_prefix = "ij"
    assert generator.align(["abc"], ["abc"], unit="words") == [[(0, 0)]]


def test_words_that_stand_before_their_characters_are_aligned_as_themselves(
    generator: seq2seq.TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"kind": "word_and_characters", "target_kind": "words", "shared": False, "vocab_size": 40}
    generator.tokenizer = TextTokenizer.train(["ab cd", "cd ab"], ["ab cd"], **options)
    weights = numpy.eye(3, 8)  # each target word attends to the own token of one word, the end to the first character
    monkeypatch.setattr(given_targets, "forced_attention", lambda *given: [weights])
    assert generator.align(["cd ab"], ["ab cd"], unit="words") == [[(0, 0), (1, 1)]]


def test_a_target_beyond_the_model_is_an_error(copy_task: Path, tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    generator = seq2seq.load(write_bart(tmp_path, tokenizer), device="cpu")
    long = "abcdefghij" * 3
    [fits, beyond, cut] = PairScorer(generator)([("a", "b"), ("a", long), (long, "a")])
    assert fits.error is None
    assert beyond.score is None
    assert beyond.error == "The target has 31 tokens, of which the model takes 16."
    assert cut.error is None


def test_pools_stay_in_order_whatever_the_number_of_processes(copy_task: Path) -> None:
    torch.set_num_threads(1)
    scorer = PairScorer(seq2seq.load(copy_task / "run", device="cpu"))
    pools = [PAIRS[:2], [], PAIRS[2:], *([pair] for pair in PAIRS)]
    alone = list(scored_pools(scorer, pools))
    shared = list(scored_pools(scorer, pools, num_processes=2))
    assert [[score.tokens for score in pool] for pool in shared] == [[s.tokens for s in pool] for pool in alone]
    for one, other in zip(alone, shared, strict=True):
        assert [score.score for score in one] == pytest.approx([score.score for score in other])


def test_a_process_that_is_gone_is_said(copy_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(PairScorer, "__call__", lambda self, pairs, first_row=0: os._exit(9))
    scorer = PairScorer(seq2seq.load(copy_task / "run", device="cpu"))
    with pytest.raises(ChildProcessError, match="has ended before its work"):
        list(scored_pools(scorer, [PAIRS], num_processes=2))
