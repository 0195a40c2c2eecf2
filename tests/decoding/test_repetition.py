import pytest

from seq2seq.decoding.repetition import adjacent_repeats, repeated_ngrams


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
