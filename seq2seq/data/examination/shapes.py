"""Pairs that are not shaped like the others: empty, of extreme lengths, all with one target, or with other numbers.

Pairs enter; findings leave.
"""

import re
from collections.abc import Iterator

import numpy
import pyarrow
import pyarrow.compute as pc

from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs, pair_list

_NOTABLE = 0.01
_MANY = 0.05
_MOST_ROWS = 20_000
_FEWEST_ROWS = 20
_NEAR = 0.5
"""Share of the sequences of three characters that two sides of a corrected text have in common, at least."""
_RATIO, _DEVIATIONS = 3.0, 6.0
"""How many times the usual ratio of lengths, and how many deviations from it, is extreme."""
_LONG, _LONGEST_TIMES = 1_000, 20
_NUMBER = re.compile(r"\d+")
_WITH_NUMBERS, _NUMBERS_KEPT = 0.02, 0.8
"""Share of the pairs with numbers on both sides, and of these with the same ones, from which on others are notable."""
_HUNDREDS_TO_SPLIT = re.compile(r"(?<=\d)[.,\u00a0\u202f' ](?=\d)")


def one_text(pairs: RawPairs) -> Iterator[Finding]:
    """Yield that all targets, or all sources, are the same: then there is nothing to learn."""
    if pairs.num_texts < 2:
        return
    for side, said in (
        ("target", "a model would learn to say just that, whatever the source"),
        ("source", "what the targets depend on cannot be learnt"),
    ):
        if pc.count_distinct(pairs.texts(side)).as_py() == 1:
            yield Finding(
                f"one_{side}",
                f"All {pairs.num_texts:,} {pairs.name} {side}s are the same text: {said}. Is the column right?",
                pairs.num_texts,
                shown([pairs.texts(side)[0].as_py()]),
                is_warning=True,
            )


def empty_sides(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which pairs have nothing but white space on a side."""
    for side in SIDES:
        lengths = pc.utf8_length(pc.utf8_trim_whitespace(pairs.texts(side))).to_numpy()
        rows = numpy.flatnonzero(lengths == 0)
        if len(rows):
            yield Finding(
                f"empty_{side}s",
                f"{part_of(len(rows), pairs.num_texts)} {pairs.name} {side}s are empty ({pair_list(rows)}): take these "
                "pairs out, unless nothing is what they mean.",
                len(rows),
                is_warning=len(rows) >= _NOTABLE * pairs.num_texts,
            )


def several_targets(pairs: RawPairs) -> Iterator[Finding]:
    """Yield how many sources have more than one target: of those a model can be right about one at a time."""
    table = pyarrow.table({"source": pairs.sources, "target": pairs.targets})
    counts = table.group_by("source").aggregate([("target", "count_distinct")])
    numbers = counts.column("target_count_distinct").to_numpy()
    num_several = int((numbers > 1).sum())
    if num_several < max(1, _NOTABLE * len(numbers)) or len(numbers) == 1:
        return
    first = counts.column("source")[int(numbers.argmax())].as_py()
    yield Finding(
        "several_targets",
        f"{part_of(num_several, len(numbers))} {pairs.name} sources have several targets, up to "
        f"{int(numbers.max()):,}: a model that is right gives one of them, so shares of exact matches come out lower "
        "than it is good. Pairs of one source should stand in one part of the data.",
        num_several,
        shown([first]),
    )


def nearly_the_same(pairs: RawPairs) -> Iterator[Finding]:
    """Yield that targets are mostly their sources with a few changes, as in corrections and normalisations."""
    rows = pairs.spread(1_000)
    if len(rows) < _FEWEST_ROWS:
        return
    sources, targets = (pairs.sample(side, rows) for side in SIDES)
    is_near = [
        source != target and _common(source, target) >= _NEAR for source, target in zip(sources, targets, strict=True)
    ]
    is_same = [source == target for source, target in zip(sources, targets, strict=True)]
    count = sum(is_near)
    if count + sum(is_same) >= 0.5 * len(rows) and count >= 0.1 * len(rows):
        chosen = is_near.index(True)
        yield Finding(
            "nearly_the_same",
            f"{part_of(count, len(rows))} {pairs.name} targets that were looked at are their source with few changes: "
            "a task of correction, in which a copy of the source scores high already. Compare with that.",
            round(count / len(rows) * pairs.num_texts),
            shown([f"{sources[chosen]} → {targets[chosen]}"]),
        )


def _common(source: str, target: str) -> float:
    own, other = ({text[place : place + 3] for place in range(max(1, len(text) - 2))} for text in (source, target))
    return len(own & other) / len(own | other)


def extreme_lengths(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which pairs have a side that is far too long or short for the other, or texts far longer than all
    others."""
    lengths = [numpy.maximum(1, pc.utf8_length(pairs.texts(side)).to_numpy()) for side in SIDES]
    if len(lengths[0]) < _FEWEST_ROWS:
        return
    ratios = numpy.log(lengths[1] / lengths[0])
    usual = numpy.median(ratios)
    deviation = 1.4826 * numpy.median(numpy.abs(ratios - usual))
    is_long_enough = numpy.maximum(*lengths) >= 20
    is_extreme = is_long_enough & (numpy.abs(ratios - usual) > max(numpy.log(_RATIO), _DEVIATIONS * deviation))
    rows = numpy.flatnonzero(is_extreme)
    if len(rows):
        place = int(rows[0])
        source, target = pairs.sources[place].as_py(), pairs.targets[place].as_py()
        yield Finding(
            "extreme_ratios",
            f"{part_of(len(rows), len(ratios))} {pairs.name} pairs have a side that is {_RATIO:g} times as long, or as "
            f"short, as the other one lets expect ({pair_list(rows)}): perhaps a piece is missing, or is too much.",
            len(rows),
            (*shown([source]), *shown([target])),
            is_warning=len(rows) >= _MANY * len(ratios),
        )
    for side, own in zip(SIDES, lengths, strict=True):
        limit = max(_LONG, _LONGEST_TIMES * int(numpy.median(own)))
        rows = numpy.flatnonzero(own > limit)
        if len(rows):
            yield Finding(
                f"very_long_{side}s",
                f"{part_of(len(rows), len(own))} {pairs.name} {side}s have over {limit:,} characters, where half have "
                f"{int(numpy.median(own)):,} or less ({pair_list(rows)}); the longest has {int(own.max()):,}.",
                len(rows),
            )


def other_numbers(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which targets have other numbers than their sources, where these are mostly the same."""
    rows = pairs.spread(_MOST_ROWS)
    sources, targets = (pairs.sample(side, rows) for side in SIDES)
    found = [(_numbers(source), _numbers(target)) for source, target in zip(sources, targets, strict=True)]
    has_both = numpy.array([bool(own) and bool(other) for own, other in found], dtype=bool)
    is_same = numpy.array([own == other for own, other in found], dtype=bool)
    if has_both.sum() < max(_FEWEST_ROWS, _WITH_NUMBERS * len(rows)) or is_same[has_both].mean() < _NUMBERS_KEPT:
        return
    places_of = numpy.flatnonzero(has_both & ~is_same)
    if len(places_of) < _NOTABLE * has_both.sum():
        return
    first = int(places_of[0])
    yield Finding(
        "other_numbers",
        f"{part_of(len(places_of), int(has_both.sum()))} {pairs.name} pairs with numbers on both sides have other ones "
        f"on one than on the other ({pair_list(rows[places_of])}), where the rest have the same.",
        round(len(places_of) / len(rows) * pairs.num_texts),
        shown([f"{sources[first]} → {targets[first]}"]),
    )


def _numbers(text: str) -> list[str]:
    return sorted(_NUMBER.findall(_HUNDREDS_TO_SPLIT.sub("", text)))
