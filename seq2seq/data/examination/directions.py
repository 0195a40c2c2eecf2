"""Pairs whose sides stand the other way round than in the others.

Pairs enter; findings leave. The sides are told apart by sequences of three characters. Which pairs are reversed is
found by turns: what sources look like is learnt from the pairs as they are taken to stand, and each pair is turned the
way that fits better. Nothing is said where the sides are too alike, as in corrections.
"""

from collections.abc import Iterator

import numpy

from seq2seq.data.examination.alignment import largest_run
from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs, pair_list
from seq2seq.data.examination.trigrams import log_odds, trigram_counts

_MOST_ROWS = 5_000
_FEWEST_ROWS = 30
_TURNS = 12
_FIRST = 0.1
"""Share of the pairs that are taken to stand right in the beginning, should the others not."""
_CLEAR = 0.95
"""Share of the pairs of which both sides must be told apart before anything is said."""
_MARGIN = 0.25
"""How much a sequence must speak on average for the other side, in a pair that is called reversed."""
_FEWEST_REVERSED, _FEWEST_IN_A_RUN = 3, 20
_MOST = 0.6
"""Share of the pairs that says which way is the right one; where there are fewer it is that of the first pairs."""
_NOTABLE = 0.01


def reversed_pairs(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which pairs have their target as source and their source as target."""
    rows = pairs.spread(_MOST_ROWS)
    if len(rows) < _FEWEST_ROWS:
        return
    texts = [pairs.sample(side, rows) for side in SIDES]
    counts = [trigram_counts(found, with_shape=True) for found in texts]
    is_reversed = _reversed(*counts)
    if is_reversed is None or is_reversed.sum() < _FEWEST_REVERSED:
        return
    count, total = int(is_reversed.sum()), len(rows)
    found = rows[is_reversed]
    first, end, _ = largest_run(numpy.where(is_reversed, 1.0, -1.0))
    is_run = is_reversed[first:end].sum() >= _CLEAR * max(count, end - first) and _FEWEST_IN_A_RUN <= count < total
    to = "the end" if end == total else f"about pair {rows[end - 1] + 1:,}"
    where = f"from about pair {rows[first] + 1:,} to {to}" if is_run else f"such as {pair_list(found)}"
    of = f"{part_of(count, total)} {pairs.name} pairs" + ("" if total == pairs.num_texts else " that were looked at")
    place = int(numpy.flatnonzero(is_reversed)[0])
    yield Finding(
        "reversed_pairs",
        f"{of} stand the other way round than the others, {where}: their sources look like targets, and their targets "
        "like sources. Exchange the sides of these pairs.",
        round(count / total * pairs.num_texts),
        shown([f"{texts[0][place]} → {texts[1][place]}"]),
        is_warning=count >= _NOTABLE * total,
    )


def _reversed(sources: numpy.ndarray, targets: numpy.ndarray) -> numpy.ndarray | None:
    """Return which pairs are reversed, if sides can be told apart: of several beginnings the one that tells best."""
    number = len(sources)
    firsts = numpy.arange(number) < max(_FEWEST_ROWS // 2, _FIRST * number)
    best: numpy.ndarray | None = None
    most_clear = 0.0
    for known in (numpy.ones(number, bool), firsts):
        found, share = _turned(sources, targets, known)
        if share > most_clear + 0.01:
            best, most_clear = found, share
    if best is None or most_clear < _CLEAR:
        return None
    is_most = best.mean() > _MOST if abs(best.mean() - 0.5) > _MOST - 0.5 else best[firsts].mean() > 0.5
    return ~best if is_most else best


def _turned(sources: numpy.ndarray, targets: numpy.ndarray, known: numpy.ndarray) -> tuple[numpy.ndarray, float]:
    """Return which pairs are reversed, and of which share of all both sides say clearly that they are or are not."""
    number = len(sources)
    everyone = numpy.ones(number, dtype=bool)
    lengths = [numpy.maximum(1.0, side.sum(axis=1)) for side in (sources, targets)]
    is_reversed = numpy.zeros(number, dtype=bool)

    def judged(rows: numpy.ndarray, known: numpy.ndarray) -> list[numpy.ndarray]:
        """Return how much each side of the rows looks like a source, as known pairs are taken to stand."""
        kept, turned = known & ~is_reversed, known & is_reversed
        weights = log_odds(
            sources[kept].sum(axis=0) + targets[turned].sum(axis=0),
            targets[kept].sum(axis=0) + sources[turned].sum(axis=0),
        )
        sides = zip((sources, targets), lengths, strict=True)
        return [counts[rows] @ weights / lengths_of[rows] for counts, lengths_of in sides]

    for _ in range(_TURNS):
        before, (of_source, of_target) = is_reversed, judged(everyone, known)
        known, is_reversed = everyone, of_source < of_target
        if (before == is_reversed).all():
            break
    of_sides = numpy.zeros((2, number), dtype=numpy.float32)
    fold = numpy.arange(number) % 2
    for own in (0, 1):  # each by the others alone
        of_sides[:, fold == own] = judged(fold == own, fold != own)
    is_reversed = of_sides[0] < of_sides[1]
    is_clear = numpy.where(
        is_reversed,
        (of_sides[0] < -_MARGIN) & (of_sides[1] > _MARGIN),
        (of_sides[0] > 0) & (of_sides[1] < 0),
    )
    return is_reversed & is_clear, float(is_clear.mean())
