"""Repeated n-grams, counted by hand."""

from typing import Any

import pytest

from seq2seq.metrics import make_metric, sentence_scores
from seq2seq.metrics.repetition import adjacent_repeats, repeated_ngrams


@pytest.mark.parametrize(
    ("hypotheses", "options", "details", "value"),
    [
        (["a b c d e"], {}, "0/2", 0.0),
        (["a b c a b c a b c"], {}, "3/6", 50.0),  # abca bcab cabc | abca bcab cabc
        (["a a a a a a"], {}, "2/3", 200 / 3),
        (["a b c", "x x x x x"], {}, "1/2", 50.0),  # the short segment has no 4-gram and says nothing
        (["a b c"], {}, "0/0", 0.0),
        (["a b a b"], {"order": 2}, "1/3", 100 / 3),
        (["abab"], {"order": 2, "unit": "character"}, "1/3", 100 / 3),
        (["a b", "a b"], {"order": 2}, "0/2", 0.0),  # other segments' n-grams do not count
    ],
)
def test_repetition_by_hand(hypotheses: list[str], options: dict[str, Any], details: str, value: float) -> None:
    metric = make_metric("repetition", **options)
    score = metric.score(metric.statistics(hypotheses, [["r"]] * len(hypotheses)).sum(0))
    assert (score.details, score.value) == (details, pytest.approx(value))
    assert not metric.higher_is_better


def test_references_do_not_matter() -> None:
    metric, texts = make_metric("repetition"), ["a a a a a", "b c d e f"]
    assert sentence_scores(metric, texts, [["x"], ["y"]]).tolist() == [50.0, 0.0]
    assert sentence_scores(metric, texts, [[text] for text in texts]).tolist() == [50.0, 0.0]


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="`order` must be at least 1, but is 0"):
        make_metric("repetition", order=0)


def test_ngrams_that_occurred_before_by_hand() -> None:
    # abcabcabc has abc bca cab abc bca cab abc: 4 of 7 trigrams again; xyz has one, and is no repeat of another text.
    assert repeated_ngrams(["abcabcabc", "xyz"], size=3) == pytest.approx(4 / 8)
    assert repeated_ngrams(["xyz", "xyz"], size=3) == 0


def test_a_loop_repeats_almost_everything_and_distinct_words_nothing() -> None:
    assert repeated_ngrams([["so"] * 103]) == pytest.approx(99 / 100)
    assert repeated_ngrams([list(range(103))]) == 0


def test_adjacent_repeats_by_hand() -> None:
    # aabbb: aa, bb, bb of 4 places; ab: none of 1.
    assert adjacent_repeats(["aabbb", "ab", ""]) == pytest.approx(3 / 5)


@pytest.mark.parametrize("sequences", [[], [""], ["a", "b"]])
def test_what_is_too_short_does_not_repeat(sequences: list[str]) -> None:
    assert repeated_ngrams(sequences) == 0
    assert adjacent_repeats(sequences) == 0
