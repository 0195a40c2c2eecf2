"""What each limit costs: how many pairs are dropped or cut for it, and which value would keep them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy

from seq2seq.data.examination.examined import SIDES, Examined, Lengths
from seq2seq.data.examination.findings import Finding, part_of, percent

_NOTABLE = 0.01
"""Share of the pairs beyond which a limit is worth a warning."""
_LONGER = 1.5
"""How many times as long half of the validation must be as half of the training, to be longer."""
_FEWEST = 20
"""Training pairs without which their lengths say nothing."""


@dataclass(frozen=True)
class PairLimits:
    """What pairs must keep to in training; see `DataOptions`."""

    max_source_tokens: int
    max_target_tokens: int
    max_length_ratio: float = 0.0
    batch_tokens: int = 4096
    cut_sources: bool = False
    empty_source_length: int = 1
    empty_target_length: int = 1

    def longest(self, side: str) -> int:
        return self.max_source_tokens if side == "source" else self.max_target_tokens

    def empty(self, side: str) -> int:
        return self.empty_source_length if side == "source" else self.empty_target_length


def costs(corpus: Examined, limits: PairLimits) -> Iterator[Finding]:
    """Yield what each limit does to the training pairs; a pair counts with each limit that it breaks."""
    total = len(corpus)
    yield from _empty_sides(corpus, limits)
    for side in SIDES:
        lengths, limit = corpus.lengths(side), limits.longest(side)
        if count := int((lengths > limit).sum()):
            is_cut = side == "source" and limits.cut_sources
            does = "cuts the sources of" if is_cut else "drops"
            enough = f"{_enough(lengths, 0.99, limit)}{lengths.max():,} keeps all"
            cut = (
                ", and `data.long_sources: cut` keeps the beginning of each" if side == "source" and not is_cut else ""
            )
            yield Finding(
                f"{'cut' if is_cut else 'long'}_{side}s",
                f"`data.max_{side}_tokens` ({limit:,}) {does} {part_of(count, total)} {corpus.name} pairs; "
                f"{enough}{cut}.",
                count,
                is_warning=not is_cut and count >= _NOTABLE * total,
            )
    source_lengths = (
        numpy.minimum(corpus.lengths("source"), limits.max_source_tokens)
        if limits.cut_sources
        else corpus.lengths("source")
    )
    target_lengths = corpus.lengths("target")
    if limits.max_length_ratio:
        yield from _uneven(corpus, source_lengths, target_lengths, limits.max_length_ratio)
    kept = (source_lengths <= limits.max_source_tokens) & (target_lengths <= limits.max_target_tokens)
    sums = (source_lengths + target_lengths)[kept]
    if count := int((sums > limits.batch_tokens).sum()):
        yield Finding(
            "oversized",
            f"{part_of(count, total)} {corpus.name} pairs exceed `data.batch_tokens` alone ({limits.batch_tokens:,}) "
            f"and get a micro-batch each; {int(sums.max()):,} holds the longest.",
            count,
        )


def validation_lengths(train: Examined, validation: Examined, limits: PairLimits) -> Iterator[Finding]:
    """Yield how the lengths of the validation differ from what is learnt."""
    total = len(validation)
    yield from _empty_sides(validation, limits)
    for side in SIDES:
        lengths, limit = validation.lengths(side), limits.longest(side)
        count = int((lengths > limit).sum())
        if count and side == "source" and limits.cut_sources:
            yield Finding(
                "validation_cut_sources",
                f"`data.max_source_tokens` ({limit:,}) cuts the sources of {part_of(count, total)} validation pairs.",
                count,
            )
        elif count:
            yield Finding(
                f"validation_long_{side}s",
                f"{part_of(count, total)} validation {side}s are longer than `data.max_{side}_tokens` ({limit:,}), and "
                f"so than any that is learnt from; the longest has {int(lengths.max()):,} tokens.",
                count,
                is_warning=count >= _NOTABLE * total,
            )
        of_training, own = Lengths.of(train.lengths(side)), Lengths.of(lengths)
        if len(train) >= _FEWEST and own.median >= _LONGER * of_training.median + 1:
            yield Finding(
                f"validation_longer_{side}s",
                f"Validation {side}s are longer than those of the training: half have {own.median:,} tokens or more, "
                f"there {of_training.median:,}. What is longer than what was learnt from comes out badly.",
                total,
                is_warning=True,
            )


def _enough(lengths: numpy.ndarray, share: float, limit: int) -> str:
    """Return the beginning of a sentence: which limit keeps most, where that is between the limit and the longest."""
    value = int(numpy.percentile(lengths, 100 * share, method="inverted_cdf"))
    return f"{value:,} keeps {percent(share)}, " if limit < value < lengths.max() else ""


def _empty_sides(corpus: Examined, limits: PairLimits) -> Iterator[Finding]:
    for side in SIDES:
        rows = numpy.flatnonzero(corpus.lengths(side) <= limits.empty(side))
        if len(rows):
            places = ", ".join(f"{row + 1:,}" for row in rows[:5]) + (", …" if len(rows) > 5 else "")
            is_one = len(rows) == 1
            dropped = "dropped" if corpus.name == "training" else "kept"
            yield Finding(
                f"empty_{side}s",
                f"{part_of(len(rows), len(corpus))} {corpus.name} pairs {'has' if is_one else 'have'} an empty {side} "
                f"and {'is' if is_one else 'are'} {dropped}: {'pair' if is_one else 'pairs'} {places}, counted from 1.",
                len(rows),
                is_warning=len(rows) >= _NOTABLE * len(corpus) and not is_one,
            )


def _uneven(
    corpus: Examined, source_lengths: numpy.ndarray, target_lengths: numpy.ndarray, limit: float
) -> Iterator[Finding]:
    ratios = numpy.maximum(source_lengths, target_lengths) / numpy.maximum(
        1, numpy.minimum(source_lengths, target_lengths)
    )
    if count := int((ratios > limit).sum()):
        yield Finding(
            "length_ratio",
            f"`data.max_length_ratio` ({limit:g}) drops {part_of(count, len(corpus))} {corpus.name} pairs; "
            f"{math.ceil(10 * ratios.max()) / 10:g} keeps all, 0 switches it off.",
            count,
            is_warning=count >= _NOTABLE * len(corpus),
        )
