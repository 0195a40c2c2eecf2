"""Pairs that are there more than once: in training and validation, twice in one of them, or the same on both sides."""

from collections.abc import Iterator

import numpy
import pyarrow
import pyarrow.compute as pc

from seq2seq.data.examination.examined import Examined
from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import RawPairs
from seq2seq.data.similar_texts import near_copies, text_keys

_MUCH_OVERLAP = 0.05
"""Share of the validation pairs that a training may have seen before its validation says too much."""
_MANY_SOURCES = 0.2
_COMPARED_ROWS = 200_000
"""Training sources, spread evenly, of which copies are looked for."""
_MOSTLY = 0.9
_NOTABLE = 0.01


def shared_pairs(train: Examined, validation: Examined) -> list[int]:
    """Return how many pairs of each of the corpora that the training consists of are validated on, too."""
    rows = numpy.flatnonzero(pc.is_in(train.sources, value_set=validation.sources).to_numpy())
    known = set(zip(validation.sources.to_pylist(), validation.targets.to_pylist(), strict=True))
    found = zip(train.sample("source", rows), train.sample("target", rows), strict=True)
    same = rows[numpy.fromiter((pair in known for pair in found), dtype=bool, count=len(rows))]
    places = numpy.searchsorted(list(train.firsts.values()), same, side="right") - 1
    return numpy.bincount(places, minlength=len(train.firsts)).tolist()


def overlap(train: Examined, validation: Examined) -> Iterator[Finding]:
    """Yield what training and validation have in common; a model is praised for having learnt it by heart."""
    in_validation = pc.is_in(train.sources, value_set=validation.sources)
    rows = numpy.flatnonzero(in_validation.to_numpy())
    if not len(rows):
        return
    sources, targets = train.sample("source", rows), train.sample("target", rows)
    known, known_sources = set(zip(sources, targets, strict=True)), set(sources)
    pairs = list(zip(validation.sources.to_pylist(), validation.targets.to_pylist(), strict=True))
    same = [pair for pair in pairs if pair in known]
    total = len(pairs)
    if len(same) == total and len(known) == len(
        {*zip(train.sources.to_pylist(), train.targets.to_pylist(), strict=True)}
    ):
        yield Finding(
            "same_corpus",
            f"All {total:,} validation pairs are the training pairs: scores would say how well these are learnt by "
            "heart. Name other pairs in `data.validation`, or leave it out and set `data.num_folds: 20`.",
            total,
            is_warning=True,
        )
        return
    if same:
        yield Finding(
            "overlap",
            f"{part_of(len(same), total)} validation pairs are training pairs too"
            + (
                ": scores would praise what was learnt by heart; take them out of one."
                if len(same) >= _MUCH_OVERLAP * total
                else "."
            ),
            len(same),
            shown([source for source, _ in same[:3]]),
            is_warning=len(same) >= _MUCH_OVERLAP * total,
        )
    others = [source for source, target in pairs if source in known_sources and (source, target) not in known]
    if others:
        yield Finding(
            "overlap_of_sources",
            f"{part_of(len(others), total)} validation sources are in the training with another target.",
            len(others),
            shown(others[:3]),
            is_warning=len(others) >= _MANY_SOURCES * total,
        )


def near_overlap(train: RawPairs, others: RawPairs) -> Iterator[Finding]:
    """Yield which sources of other pairs are copies of training sources, but not to the letter, or near-copies."""
    rows = train.spread(_COMPARED_ROWS)
    texts = train.sources if len(rows) == train.num_texts else train.sources.take(pyarrow.array(rows))
    found = near_copies(texts, others.sources)
    own, originals = others.sample("source", found.rows), texts.take(pyarrow.array(found.originals)).to_pylist()
    keys = zip(text_keys(own).tolist(), text_keys(originals).tolist(), strict=True)
    pairs = [
        (one, other, key == other_key)
        for one, other, (key, other_key) in zip(own, originals, keys, strict=True)
        if one != other
    ]
    for is_copy, kind, said in (
        (True, "overlap_but_for_punctuation", "are training sources but for case, spaces and punctuation"),
        (False, "overlap_of_near_copies", "have nearly the words of a training source"),
    ):
        chosen = [(one, other) for one, other, same in pairs if same is is_copy]
        if chosen:
            is_warning = is_copy and len(chosen) >= _MUCH_OVERLAP * others.num_texts
            yield Finding(
                kind,
                f"{part_of(len(chosen), others.num_texts)} {others.name} sources {said}"
                + (": scores would praise what was learnt by heart; take them out of one." if is_warning else "."),
                len(chosen),
                shown(chosen[0]),
                is_warning,
            )


def duplicates(corpus: RawPairs) -> Iterator[Finding]:
    """Yield how many pairs are there again."""
    joined = pc.binary_join_element_wise(corpus.sources, corpus.targets, "\t")
    again = len(joined) - pc.count_distinct(joined).as_py()
    if again >= max(1, _NOTABLE * len(joined)):
        counts = pc.value_counts(joined)
        most = counts.take(pc.array_sort_indices(counts.field("counts"), "descending")[:3]).field("values").to_pylist()
        yield Finding(
            "duplicates",
            f"{part_of(again, len(joined))} {corpus.name} pairs repeat an earlier one.",
            again,
            shown([text.replace("\t", " → ") for text in most]),
        )


def identical_sides(corpus: RawPairs) -> Iterator[Finding]:
    """Yield how many pairs have the same text on both sides: so it is for corrections, but not for translations."""
    is_same = pc.equal(corpus.sources, corpus.targets)
    count = pc.sum(is_same).as_py() or 0
    total = len(corpus.sources)
    if count >= max(1, _NOTABLE * total):
        yield Finding(
            "identical_sides",
            f"{part_of(count, total)} {corpus.name} pairs have the same text on both sides"
            + (
                f"; are `{corpus.option}.source_column` and `.target_column` meant?"
                if count >= _MOSTLY * total
                else "."
            ),
            count,
            shown(pc.filter(corpus.sources, is_same)[:3].to_pylist()),
            is_warning=count >= _MOSTLY * total,
        )
