from pathlib import Path

import numpy

from seq2seq.data.examination.examined import Lengths
from tests.data.examination.made import examined_of, translations


def test_a_prefix_is_no_part_of_the_text_but_a_tag_is(tmp_path: Path) -> None:
    pairs = [("<de> say: one", "eins"), ("<en> say: one", "one"), ("say: two", "zwei"), ("I say: three", "drei")]
    train, _ = examined_of(pairs, pairs, tmp_path, prefixes=["say: "])
    assert train.sources.to_pylist() == ["<de> one", "<en> one", "two", "I say: three"]


def test_rows_that_are_spread_hold_first_and_last(tmp_path: Path) -> None:
    train, _ = examined_of(translations(17), translations(3), tmp_path)
    assert train.spread(3).tolist() == [0, 8, 16]
    assert train.spread(100).tolist() == list(range(17))
    assert train.sample("target", numpy.array([16])) == [translations(17)[16][1]]


def test_lengths_of_nothing() -> None:
    assert Lengths.of(numpy.array([], dtype=int)) == Lengths(0, 0, 0)
    assert Lengths.of(numpy.arange(1, 101)) == Lengths(50, 95, 100)
