"""All findings together: none where nothing is wrong, and each where something is."""

from pathlib import Path

import pytest

from seq2seq.data.examination.examination import examine, too_few_pairs
from tests.data.examination.made import Pairs, characters, examined_of, found_in, translations

TRAIN, VALIDATION = translations(300), translations(60, first=300)


def test_nothing_is_said_of_ordinary_pairs(tmp_path: Path) -> None:
    assert found_in(TRAIN, VALIDATION, tmp_path) == {}


def swapped(pairs: Pairs) -> list[tuple[str, str]]:
    return [(target, source) for source, target in pairs]


FRENCH = [("ils étaient assis devant l'église et chantaient", target) for _, target in VALIDATION]
SPOILED = {
    "header": ([("source", "target"), *TRAIN], VALIDATION),
    "same_corpus": (TRAIN, TRAIN),
    "overlap": (TRAIN, [*VALIDATION, *TRAIN[:10]]),
    "overlap_of_sources": (TRAIN, [*VALIDATION, *((source, "anders") for source, _ in TRAIN[:30])]),
    "validation_sources_like_targets": (TRAIN, swapped(VALIDATION)),
    "validation_targets_like_sources": (TRAIN, [(source, source) for source, _ in VALIDATION]),
    "validation_sources_unlike": (TRAIN, FRENCH),
    "identical_sides": ([(source, source) for source, _ in TRAIN], VALIDATION),
    "validation_longer_sources": (TRAIN, [(f"{source} {source}", target) for source, target in VALIDATION]),
    "empty_targets": ([*TRAIN, ("a", ""), ("b", ""), ("c", ""), ("d", "")], VALIDATION),
    "unknown_pieces": (TRAIN, [(source, target.replace("e", "ẽ")) for source, target in VALIDATION]),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_spoils_a_training_is_a_warning(kind: str, tmp_path: Path) -> None:
    found = found_in(*SPOILED[kind], tmp_path)
    assert found[kind].is_warning
    assert found[kind].count > 0
    assert found[kind].sentence.endswith((".", "?"))


@pytest.mark.parametrize(
    ("kind", "train", "validation"),
    [
        ("duplicates", [*TRAIN, *TRAIN[:9]], VALIDATION),
        ("overlap", TRAIN, [*VALIDATION, TRAIN[0]]),
        ("empty_targets", [*TRAIN, ("a", "")], VALIDATION),
        ("identical_sides", [*TRAIN, *((str(n), str(n)) for n in range(9))], VALIDATION),
        ("few_validation_pairs", TRAIN, VALIDATION[:49]),
    ],
)
def test_what_is_good_to_know_is_no_warning(kind: str, train: Pairs, validation: Pairs, tmp_path: Path) -> None:
    found = found_in(train, validation, tmp_path)
    assert list(found) == [kind]
    assert not found[kind].is_warning


def test_sizes_and_sample_pairs(tmp_path: Path) -> None:
    examination = examine(*examined_of(TRAIN, VALIDATION, tmp_path), characters(), [])
    assert (examination.train.pairs, examination.validation.pairs) == (300, 60)
    lengths = sorted(len(source) + 1 for source, _ in TRAIN)
    found = examination.train.source_lengths
    assert (found.median, found.most, found.longest) == (lengths[149], lengths[284], lengths[299])
    first = examination.samples[0]
    assert (first.source, first.target) == TRAIN[0]
    assert first.target_tokens == (*TRAIN[0][1].replace(" ", "▁"), "<eos>")
    assert [pair.corpus for pair in examination.samples] == ["training"] * 3 + ["validation"] * 2


def test_a_model_that_is_too_large_for_its_pairs() -> None:
    [found] = too_few_pairs(3, 20, 6_000_000)
    assert found.is_warning
    assert "3 training pairs with 20 target tokens for a model of 6,000,000 parameters" in found.sentence
    assert not list(too_few_pairs(3_600, 23_556, 1_500_000))
