"""Parts are cut so that what hangs together stays together, in the sizes that were asked for."""

import random

import numpy
import pytest

from seq2seq.data.held_out import TEST, TRAIN, VALIDATION, default_sizes, held_out_parts, joined_groups
from tests.data.examination.made import translations
from tests.data.test_similar_texts import texts_of
from tests.shared_data import shared_data

G2P = ("fre", "hin", "hun", "ice", "kor", "vie")


def parts_of(pairs: list[tuple[str, str]], validation: int, test: int, seed: int = 1) -> numpy.ndarray:
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    return held_out_parts(sources, targets, validation=validation, test=test, seed=seed)


def test_no_source_and_no_copy_of_one_crosses_over() -> None:
    texts = texts_of(600, 14)
    pairs = [(text, f"{n}") for n, text in enumerate(texts)]
    pairs += [(f"{text.upper()}!", "again") for text in texts[:300]] + [(f"{text} anew", "longer") for text in texts]
    parts = parts_of(pairs, 100, 150)
    for n in range(600):
        group = [n, 900 + n] + ([600 + n] if n < 300 else [])
        assert len({int(parts[row]) for row in group}) == 1
    assert 100 <= (parts == VALIDATION).sum() <= 103
    assert 150 <= (parts == TEST).sum() <= 153


def test_long_targets_tie_their_pairs_together_and_short_ones_do_not() -> None:
    long, short = "a target of more than forty characters, say", "kurz"
    groups = joined_groups(["a", "b", "c", "d"], [long, short, f"{long}!", short])
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_a_target_of_many_pairs_is_a_class() -> None:
    texts = texts_of(200, 5)
    groups = joined_groups(texts, ["a target of more than forty characters, say"] * 200)
    assert len(set(groups.tolist())) == 200


def test_texts_of_one_pattern_do_not_become_one_group() -> None:
    pattern = " ".join(texts_of(1, 60))
    sources = [f"{pattern} {n}" for n in range(1_000)]
    assert numpy.bincount(joined_groups(sources, [str(n) for n in range(1_000)])).max() == 1


def test_parts_depend_on_texts_and_not_on_their_order() -> None:
    pairs = translations(1_000)
    parts = dict(zip(pairs, parts_of(pairs, 50, 100).tolist(), strict=True))
    shuffled = random.Random(0).sample(pairs, len(pairs))
    assert dict(zip(shuffled, parts_of(shuffled, 50, 100).tolist(), strict=True)) == parts
    more = parts_of([*pairs, *translations(100, first=5_000)], 55, 110).tolist()
    stayed = sum(parts[pair] == part for pair, part in zip(pairs, more, strict=False))
    assert stayed > 950
    assert dict(zip(pairs, parts_of(pairs, 50, 100, seed=2).tolist(), strict=True)) != parts


def test_large_groups_are_trained_on() -> None:
    pairs = [("one source", str(n)) for n in range(500)] + [(str(n), "b") for n in range(500)]
    parts = parts_of(pairs, 50, 100)
    assert (parts[:500] == TRAIN).all()
    assert ((parts == VALIDATION).sum(), (parts == TEST).sum()) == (50, 100)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("one source", str(n)) for n in range(500)], "of such groups there is 1. Give more pairs"),
        ([(str(n), "the same target of more than forty characters") for n in range(15)], "the same long target stays"),
        ([("a", "b"), ("c", "d")], "2 pairs cannot be cut"),
        ([], "0 pairs cannot be cut"),
    ],
)
def test_what_cannot_be_cut_is_said(pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parts_of(pairs, 1, 2)


@pytest.mark.parametrize(
    ("pairs", "sizes"),
    [
        (10, (1, 1)),
        (3, (1, 1)),
        (300, (30, 30)),
        (1_000, (100, 100)),
        (3_600, (180, 180)),
        (29_000, (1_000, 1_450)),
        (300_000, (1_000, 2_000)),
    ],
)
def test_sizes_by_default(pairs: int, sizes: tuple[int, int]) -> None:
    assert default_sizes(pairs) == sizes


@pytest.mark.parametrize(
    ("name", "tag", "largest"),
    [
        *((f"g2p_sigmorphon2020/{code}_train.tsv", None, 2) for code in G2P),
        ("inflection_sigmorphon2021/ind.train.tsv", 2, 1),
        ("scan/simple.train.tsv", None, 40),
        ("arxiv_cl_title/train.tsv", None, 2),
        ("csl_title/clge.train.tsv", None, 6),
    ],
)
def test_real_pairs_do_not_collapse_into_few_groups(name: str, tag: int | None, largest: int) -> None:
    with shared_data(name).open(encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in list(file)]
    sources = [row[0] if tag is None else f"<{row[tag]}> {row[0]}" for row in rows]
    groups = joined_groups(sources, [row[1] for row in rows])
    assert numpy.bincount(groups).max() <= largest
