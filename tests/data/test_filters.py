from typing import Any

import numpy
import pytest

from seq2seq.data.filters import FilterReport, filter_pairs

PAIRS = [(1, 5), (5, 1), (1, 1), (12, 3), (3, 14), (12, 14), (2, 9), (9, 2), (3, 9), (11, 13), (7, 7)]


def filtered(max_length_ratio: float) -> tuple[list[int], FilterReport]:
    source, target = numpy.array(PAIRS).T
    kept, report = filter_pairs(
        source, target, max_source_tokens=11, max_target_tokens=13, max_length_ratio=max_length_ratio
    )
    return kept.tolist(), report


def test_each_pair_is_dropped_for_its_first_reason() -> None:
    kept, report = filtered(max_length_ratio=3.0)
    assert kept == [8, 9, 10]
    assert report.as_dict() == {
        "rows": 11,
        "kept": 3,
        "empty_source": 2,
        "empty_target": 1,
        "long_source": 2,
        "long_target": 1,
        "length_ratio": 2,
        "cut_source": 0,
    }
    assert str(report) == (
        "kept 3 of 11 pairs; dropped 8: 2 empty source, 1 empty target, 2 long source, 1 long target, 2 length ratio"
    )


def test_sources_that_are_cut_are_kept_and_counted() -> None:
    """By the lengths that they have then: (12, 3) and (12, 14) become (6, 3) and (6, 14)."""
    source, target = numpy.array(PAIRS).T
    limits: dict[str, Any] = {"max_source_tokens": 6, "max_target_tokens": 13, "max_length_ratio": 2.0}
    kept, report = filter_pairs(source, target, cut_sources=True, **limits)
    assert [PAIRS[row] for row in kept] == [(12, 3), (7, 7)]
    assert (report.long_source, report.cut_source) == (0, 2)
    assert str(report).endswith("; cut 2 sources")
    assert report.dropped() == {
        "empty_source": 2,
        "empty_target": 1,
        "long_source": 0,
        "long_target": 2,
        "length_ratio": 4,
    }


def test_ratio_zero_is_off() -> None:
    assert filtered(max_length_ratio=0.0)[0] == [6, 7, 8, 9, 10]


def test_reports_add_up() -> None:
    source, target = numpy.array(PAIRS).T
    limits: dict[str, Any] = {"max_source_tokens": 11, "max_target_tokens": 13, "max_length_ratio": 3.0}
    parts = [filter_pairs(source[part], target[part], **limits)[1] for part in (slice(0, 5), slice(5, None))]
    assert parts[0] + parts[1] == filtered(max_length_ratio=3.0)[1]


def test_nothing_dropped_reads_plainly() -> None:
    _, report = filter_pairs(numpy.array([3]), numpy.array([4]), max_source_tokens=9, max_target_tokens=9)
    assert str(report) == "kept 1 of 1 pairs"
    assert (
        filter_pairs(numpy.array([], int), numpy.array([], int), max_source_tokens=9, max_target_tokens=9)[1]
        == FilterReport()
    )


@pytest.mark.parametrize(("length", "kept"), [(2, []), (3, [0])])
def test_a_longer_frame_of_empty_texts(length: int, kept: list[int]) -> None:
    lengths = numpy.array([length])
    limits = {"max_source_tokens": 9, "max_target_tokens": 9}
    assert filter_pairs(lengths, lengths, empty_source_length=2, **limits)[0].tolist() == kept
