"""What limits cost, on pairs whose lengths are counted by hand: a text of n letters has n + 1 tokens."""

from pathlib import Path
from typing import Any

from seq2seq.data.examination.findings import Finding
from seq2seq.data.examination.limits import PairLimits, costs, validation_lengths
from tests.data.examination.made import examined_of

PAIRS = [*[("a" * 7, "b" * 7)] * 196, ("a" * 30, "b" * 7), ("a" * 40, "b" * 9), ("a" * 7, "b" * 50), ("a", "")]


def cost(folder: Path, **options: Any) -> dict[str, Finding]:
    limits: dict[str, Any] = {"max_source_tokens": 100, "max_target_tokens": 100, "batch_tokens": 1000} | options
    return {finding.kind: finding for finding in costs(examined_of(PAIRS, PAIRS, folder)[0], PairLimits(**limits))}


def test_each_limit_names_the_value_that_keeps_its_pairs(tmp_path: Path) -> None:
    found = cost(tmp_path, max_source_tokens=20)
    assert list(found) == ["empty_targets", "long_sources"]
    assert found["long_sources"].sentence == (
        "`data.max_source_tokens` (20) drops 2 of 200 (1 %) training pairs; 41 keeps all, and `data.long_sources: cut` "
        "keeps the beginning of each."
    )
    assert found["long_sources"].is_warning
    found = cost(tmp_path, max_target_tokens=7)
    assert found["long_targets"].sentence == (
        "`data.max_target_tokens` (7) drops 199 of 200 (99.5 %) training pairs; 8 keeps 99 %, 51 keeps all."
    )
    found = cost(tmp_path, max_length_ratio=4.0)
    assert found["length_ratio"].sentence == (
        "`data.max_length_ratio` (4) drops 2 of 200 (1 %) training pairs; 6.4 keeps all, 0 switches it off."
    ), "41 to 10 is 4.1, 51 to 8 is 6.375, 31 to 8 is 3.875, 2 to 1 is 2"
    found = cost(tmp_path, batch_tokens=50)
    assert (found["oversized"].count, "59 holds the longest" in found["oversized"].sentence) == (2, True)


def test_a_limit_that_few_break_is_no_warning(tmp_path: Path) -> None:
    found = cost(tmp_path, max_source_tokens=40)
    assert (found["long_sources"].count, found["long_sources"].is_warning) == (1, False)


def test_sources_that_are_cut_are_counted(tmp_path: Path) -> None:
    found = cost(tmp_path, max_source_tokens=20, cut_sources=True, max_length_ratio=3.0)
    assert found["cut_sources"].sentence == (
        "`data.max_source_tokens` (20) cuts the sources of 2 of 200 (1 %) training pairs; 41 keeps all."
    )
    assert not found["cut_sources"].is_warning
    assert found["length_ratio"].count == 1, "20 to 10 and 20 to 8 are within, 51 to 8 is not"


def test_empty_sides_are_named_by_their_place(tmp_path: Path) -> None:
    [found] = cost(tmp_path).values()
    assert found.sentence == (
        "1 of 200 (0.5 %) training pairs has an empty target and is dropped: pair 200, counted from 1."
    )


def test_validation_that_is_longer_than_what_is_learnt(tmp_path: Path) -> None:
    train, validation = examined_of(PAIRS, [("a" * 13, "b" * 7)] * 9 + [("a" * 20, "b")], tmp_path)
    found = {finding.kind: finding for finding in validation_lengths(train, validation, PairLimits(20, 100))}
    assert list(found) == ["validation_long_sources", "validation_longer_sources"]
    assert "half have 14 tokens or more, there 8" in found["validation_longer_sources"].sentence
    assert found["validation_long_sources"].count == 1
    cut = PairLimits(20, 100, cut_sources=True)
    found = {finding.kind: finding for finding in validation_lengths(train, validation, cut)}
    assert list(found) == ["validation_cut_sources", "validation_longer_sources"]
    assert "(20) cuts the sources of 1 of 10 (10 %) validation pairs." in found["validation_cut_sources"].sentence
