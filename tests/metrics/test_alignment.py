"""The alignment against its recursive definition, and by hand."""

import random
from collections.abc import Sequence
from functools import cache

import pytest

from seq2seq.metrics.alignment import matched_units
from seq2seq.metrics.edits import edit_distance


def best_alignment(said: Sequence[int], wanted: Sequence[int]) -> tuple[int, int]:
    """Return the fewest edits and, with a minus, the most matches of an alignment that has no more."""

    @cache
    def best(i: int, j: int) -> tuple[int, int]:
        if i == 0 or j == 0:
            return i + j, 0
        (edits, matches), is_equal = best(i - 1, j - 1), said[i - 1] == wanted[j - 1]
        options = [(edits + (not is_equal), matches - is_equal)]
        options += [(edits + 1, matches) for edits, matches in (best(i - 1, j), best(i, j - 1))]
        return min(options)

    return best(len(said), len(wanted))


def ids(text: str) -> list[int]:
    return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("said", "wanted", "expected"),
    [
        ("abc", "abc", "abc"),
        ("xabcd", "abcd", "abcd"),  # a word too many at first, and all that follows is right
        ("bcd", "abcd", ".bcd"),
        ("abxd", "abcd", "ab.d"),
        ("", "ab", ".."),
        ("ab", "", ""),
        ("ba", "ab", ".b"),  # two edits either way: with a match rather than without
        ("a", "aa", ".a"),  # as late as possible
    ],
)
def test_matches_by_hand(said: str, wanted: str, expected: str) -> None:
    matched = matched_units(ids(said), ids(wanted))
    assert "".join(letter if m else "." for letter, m in zip(wanted, matched, strict=True)) == expected


def test_the_alignment_is_best_by_its_definition() -> None:
    chooser = random.Random(7)
    for _ in range(200):
        said, wanted = (chooser.choices(range(chooser.choice((2, 5))), k=chooser.randint(0, 13)) for _ in range(2))
        edits, matches = best_alignment(said, wanted)
        matched = matched_units(said, wanted)
        assert edits == edit_distance(list(map(str, said)), list(map(str, wanted)))
        assert matched.sum() == -matches
        rest = iter(said)
        assert all(unit in rest for unit, m in zip(wanted, matched, strict=True) if m), "matches stand in one order"
