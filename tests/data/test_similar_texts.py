"""Copies and near-copies are found among texts, and nothing else is."""

import random
from collections.abc import Sequence

import numpy
import pyarrow
import pytest

from seq2seq.data.similar_texts import common_share, near_copies, near_pairs, num_words, text_keys
from tests.data.examination.made import ENGLISH

WORDS = sorted({word for text in ENGLISH for word in text.split()})


def texts_of(number: int, length: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(length)) for _ in range(number)]


def pairs_of(texts: Sequence[str]) -> set[tuple[str, str]]:
    found = near_pairs(texts, text_keys(texts))
    return {tuple(sorted((texts[a], texts[b]))) for a, b in found}  # type: ignore[misc]


def oracle(text: str, other: str) -> float:
    sets = [
        {tuple(words[start : start + 3]) for start in range(len(words) - 2)} for words in (text.split(), other.split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A man, a plan.", "a man a plan"),
        ("Don’t stop!", "dont stop"),
        ("\u201c\ufb01ve\u201d\u00a0cats", "FIVE CATS"),
        ("भाषा।", "भाषा"),
        ("8.510,5", "8 510.5"),
    ],
)
def test_texts_that_read_the_same_have_one_key(one: str, other: str) -> None:
    keys = text_keys([one, other])
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("8.510", "8.511"),
        ("8.510", "8510"),
        ("1.2.3", "12.3"),
        ("...", "!"),
        ("€5", "$5"),
        ("भाषा", "भष"),
        ("a", "ä"),
        ("5", "-5 %x"),
    ],
)
def test_others_have_two(one: str, other: str) -> None:
    keys = text_keys([one, other])
    assert keys[0] != keys[1]


def test_what_texts_have_in_common_is_what_an_oracle_says() -> None:
    texts, others = texts_of(50, 12), []
    draw = random.Random(1)
    for text in texts:
        words = text.split()
        words[draw.randrange(12)] = draw.choice(WORDS)
        others.append(" ".join(words[: draw.randrange(8, 13)]))
    expected = [oracle(text, other) for text, other in zip(texts, others, strict=True)]
    assert common_share(texts, others).tolist() == pytest.approx(expected)


def test_near_copies_are_found_among_many_texts() -> None:
    texts = texts_of(400, 30)
    copies = [f"{text} anew" for text in texts[:100]]  # 28 of 29 sequences
    found = pairs_of([*texts, *copies])
    expected = {tuple(sorted(pair)) for pair in zip(texts[:100], copies, strict=True)}
    assert found <= expected
    assert len(found) >= 98


def test_short_texts_and_different_ones_are_no_near_copies() -> None:
    texts = texts_of(300, 12)
    halves = [" ".join(text.split()[:6] + other.split()[6:]) for text, other in zip(texts, texts[1:], strict=False)]
    assert pairs_of([*texts, *halves]) == set()
    assert pairs_of(["one two three four five six seven", "one two three four five six"]) == set()


def test_characters_are_words_where_there_are_no_spaces() -> None:
    texts = ["为了解决辅助决策系统中模型知识和数据的选择问题", "为了解决辅助决策系统中模型知识和数据的选择问题等"]
    assert num_words(texts).tolist() == [23, 24]
    assert len(pairs_of(texts)) == 1


def test_the_order_of_texts_changes_nothing() -> None:
    texts = texts_of(200, 20)
    texts += [f"{text} again and again" for text in texts] + [f"so {text}" for text in texts]
    shuffled = random.Random(3).sample(texts, len(texts))
    assert pairs_of(shuffled) == pairs_of(texts)


def test_copies_of_other_texts() -> None:
    texts = texts_of(200, 30)
    others = [*texts_of(50, 30, seed=9), texts[7].upper(), f"{texts[8]} anew", "a b"]
    found = near_copies(pyarrow.chunked_array([texts]), others)
    assert found.rows.tolist() == [50, 51]
    assert found.originals.tolist() == [7, 8]


@pytest.mark.parametrize("texts", [[], ["", " ", "a"]])
def test_nothing_is_found_in_nothing(texts: list[str]) -> None:
    assert near_copies(texts, ["b"]).rows.tolist() == []
    assert near_copies(["b"], []).rows.tolist() == []
    assert near_pairs(texts, text_keys(texts)).shape == (0, 2)
    assert num_words(texts).dtype == numpy.int32
