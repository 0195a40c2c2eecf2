"""Where in a file sources and targets have come apart: line n of one belongs to line n + k of the other.

Pairs enter; findings leave. Which words of sources go with which of targets is learnt from one half of the pairs, as
the covariance of hashed words, and tried on the other half with each target and its neighbours. Where a neighbour fits
better over many pairs in a row, that run is found as the one of the largest sum, which also says where it begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
import pyarrow
import pyarrow.compute as pc

from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs
from seq2seq.data.similar_texts import hashed, plain_texts, word_lists

_SHIFTS = tuple(range(-5, 6))
_OWN = _SHIFTS.index(0)
_COLUMNS = 512
_MOST_ROWS = 30_000
_WINDOW = 100
"""Rows in a row, of a corpus too large to take all."""
_FOLD_ROWS = 500
_FEWEST_ROWS = 100
_SHORT_TEXT = 3
"""Words of a text; shorter ones are compared by their characters."""
_RAREST = 1e-4
_MOST_OF_A_WORD = 3
_CERTAIN = 6.0
"""Standard deviations of chance by which a run of shifted pairs must stand out. Runs of ten pairs or more reach 3 in
our own corpora, a hundred shifted pairs among thousands 7 to 19."""
_SHORTEST_RUN = 15
_MOST_RUNS = 4
_WEAK, _TRIED_ROWS = 1.0, 4_000
"""How far apart, in standard deviations, scores of pairs and of others are below which all shifts are tried. Phonemes
have 1.8, titles 3, translations 4; where half a file is shifted it is half."""
_UNRELATED, _FEWEST_TO_RELATE = 4.0, 1_000
"""Standard deviations of the mean below which nothing speaks for the pairs being pairs; our own corpora have over
100."""


@dataclass(frozen=True)
class _Run:
    """Rows in a row whose targets stand elsewhere."""

    first: int
    end: int
    shift: int


def shifted_lines(pairs: RawPairs) -> Iterator[Finding]:
    """Yield from which pair on the targets are not those of their sources but of neighbours."""
    rows = _looked_at(pairs.num_texts)
    if len(rows) < _FEWEST_ROWS:
        return
    runs, separation = _found_runs(pairs, rows)
    if runs and len(rows) < pairs.num_texts:
        runs, separation = _found_runs(pairs, _with_gaps(rows, runs))
    if runs:
        yield _finding(pairs, runs)
    elif (
        len(rows) >= _FEWEST_TO_RELATE
        and separation * len(rows) ** 0.5 < _UNRELATED
        and len(set(pairs.sample("target", rows))) > len(rows) // 2
    ):
        yield Finding(
            "unrelated_sides",
            f"Nothing connects the {pairs.name} sources with their targets: words of one say nothing of words of the "
            "other, nor of its neighbours. Has one side been sorted or shuffled without the other?",
            pairs.num_texts,
            is_warning=True,
        )


def _found_runs(pairs: RawPairs, rows: numpy.ndarray) -> tuple[list[_Run], float]:
    """Return the runs of shifted pairs, and how far pairs are apart from others as far as could be learnt."""
    sources, targets = (_vectors(pairs.sample(side, rows)) for side in SIDES)
    own = _scores(sources, targets, rows, 0)
    learnt_from, separation = _learnt_shift(sources, targets, rows, own)
    scores = own if learnt_from == 0 else _scores(sources, targets, rows, learnt_from)
    return _runs(scores, rows), separation


def _with_gaps(rows: numpy.ndarray, runs: list[_Run]) -> numpy.ndarray:
    """Return also the rows between windows where a run begins or ends, so that the place is found."""
    found = [rows]
    for edge in (edge for run in runs for edge in (run.first, run.end)):
        place = int(numpy.searchsorted(rows, edge))
        near = rows[max(0, place - _WINDOW - 1) : place + _WINDOW + 1]
        found.append(numpy.arange(near[0], near[-1] + 1))
    return numpy.unique(numpy.concatenate(found))


def _finding(pairs: RawPairs, runs: list[_Run]) -> Finding:
    first, count = runs[0], sum(run.end - run.first for run in runs)
    size = abs(first.shift)
    where = "earlier" if first.shift < 0 else "later"
    missing, superfluous = SIDES[::-1] if first.shift < 0 else SIDES
    to = "the end" if first.end >= pairs.num_texts - size else f"about pair {first.end:,}"
    begins = (
        "All through the file"
        if first.first <= size and to == "the end"
        else f"From about pair {first.first + 1:,} to {to}"
    )
    more = f", and {len(runs) - 1} more such runs follow" if len(runs) > 1 else ""
    lines = f"{size} line{'s' * (size > 1)}"
    place = numpy.array([min(first.first + 1 + size, pairs.num_texts - 1 - size)])
    source, target = pairs.sample("source", place)[0], pairs.sample("target", place + first.shift)[0]
    return Finding(
        "shifted_lines",
        f"{begins} the {pairs.name} targets are shifted: what belongs to a source stands {lines} {where}{more}; "
        f"{part_of(count, pairs.num_texts)} pairs are wrong so. {lines[:1].upper()}{lines[1:]} of the {missing}s "
        f"{'is' if size == 1 else 'are'} missing just before, or of the {superfluous}s too many: mend the file there.",
        count,
        shown([f"{source} → {target}"]),
        is_warning=True,
    )


def _looked_at(number: int) -> numpy.ndarray:
    """Return all rows, or windows of rows spread evenly."""
    if number <= _MOST_ROWS:
        return numpy.arange(number)
    firsts = numpy.linspace(0, number - _WINDOW, _MOST_ROWS // _WINDOW).astype(numpy.int64)
    return numpy.unique((firsts[:, None] + numpy.arange(_WINDOW)).ravel())


def _vectors(texts: list[str]) -> numpy.ndarray:
    """Return what words are in each text as vectors of length 1, rare words large."""
    array = pyarrow.array(texts, pyarrow.string())
    words = word_lists(array)
    is_short = numpy.median(numpy.diff(words.offsets.to_numpy())) <= _SHORT_TEXT
    if is_short:
        words = pc.utf8_split_whitespace(pc.replace_substring_regex(plain_texts(array), "(.)", r"\1 "))
    encoded = words.flatten().dictionary_encode()
    values = hashed(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    lengths = numpy.diff(words.offsets.to_numpy())
    owners = numpy.repeat(numpy.arange(len(texts)), lengths)
    if is_short:
        is_same = owners[1:] == owners[:-1]
        both = values[:-1] * numpy.uint64(0x9E3779B97F4A7C15) + values[1:]
        both ^= both >> numpy.uint64(29)
        values, owners = numpy.append(values, both[is_same]), numpy.append(owners, owners[1:][is_same])
    cells = owners * _COLUMNS + (values % numpy.uint64(_COLUMNS)).astype(numpy.int64)
    found = numpy.bincount(cells, minlength=len(texts) * _COLUMNS).reshape(-1, _COLUMNS).astype(numpy.float32)
    numpy.minimum(found, _MOST_OF_A_WORD, out=found)
    found *= -numpy.log(numpy.maximum((found > 0).mean(axis=0), _RAREST)).astype(numpy.float32)
    found -= found.mean(axis=0)
    found /= numpy.maximum(1e-6, numpy.linalg.norm(found, axis=1, keepdims=True))
    return found


def _scores(sources: numpy.ndarray, targets: numpy.ndarray, rows: numpy.ndarray, learnt_shift: int) -> numpy.ndarray:
    """Return how well the target at each shift fits each source, `[rows, shifts]`; NaN where there is none beside it.

    Args:
        learnt_shift: where the target of a source is supposed to stand when it is learnt what goes together.
    """
    number = len(rows)
    fold = numpy.arange(number) // _FOLD_ROWS % 2 if number > 2 * _FOLD_ROWS else numpy.arange(number) * 2 // number
    places, is_there = _neighbours(rows, learnt_shift)
    found = numpy.full((number, len(_SHIFTS)), numpy.nan, dtype=numpy.float32)
    for own in (0, 1):
        known, judged = numpy.flatnonzero(is_there & (fold != own)), numpy.flatnonzero(fold == own)
        expected = sources[judged] @ (sources[known].T @ targets[places[known]])
        for column, shift in enumerate(_SHIFTS):
            at, is_beside = _neighbours(rows, shift)
            kept = judged[is_beside[judged]]
            found[kept, column] = numpy.einsum("ij,ij->i", expected[is_beside[judged]], targets[at[kept]])
    return found


def _neighbours(rows: numpy.ndarray, shift: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return where among the rows that are looked at the neighbour of each stands, and whether it does."""
    places = numpy.clip(numpy.arange(len(rows)) + shift, 0, len(rows) - 1)
    return places, rows[places] == rows + shift


def _separation(scores: numpy.ndarray, column: int) -> float:
    others = numpy.delete(scores, [column - 1, column, column + 1] if 0 < column < len(_SHIFTS) - 1 else column, axis=1)
    deviation = float(numpy.nanstd(others))
    return float((numpy.nanmean(scores[:, column]) - numpy.nanmean(others)) / deviation) if deviation else 0.0


def _learnt_shift(
    sources: numpy.ndarray, targets: numpy.ndarray, rows: numpy.ndarray, own: numpy.ndarray
) -> tuple[int, float]:
    """Return at which shift most can be learnt, and how far apart its scores are; 0 unless another is much better."""
    best = 0, _separation(own, _OWN)
    if best[1] >= _WEAK:
        return best
    tried = slice(max(0, len(rows) - _TRIED_ROWS), None)
    for column, shift in enumerate(_SHIFTS):
        if shift:
            found = _scores(sources[tried], targets[tried], rows[tried], shift)
            separation = _separation(found, column)
            if separation > 2 * best[1] and separation * len(found) ** 0.5 > _CERTAIN:
                best = shift, separation
    return best


def _runs(scores: numpy.ndarray, rows: numpy.ndarray) -> list[_Run]:
    """Return the runs of rows in which another target than its own fits each source better, in their order."""
    gains = numpy.nan_to_num(scores - scores[:, [_OWN]])
    deviations = numpy.maximum(1e-9, gains.std(axis=0))
    found: list[_Run] = []
    for _ in range(_MOST_RUNS):
        best = max(
            ((*largest_run(gains[:, column]), column) for column in range(len(_SHIFTS)) if column != _OWN),
            key=lambda run: (
                run[2] / deviations[run[3]] / max(1, run[1] - run[0]) ** 0.5 * (run[1] - run[0] >= _SHORTEST_RUN)
            ),
        )
        first, end, total, column = best
        is_certain = total >= _CERTAIN * deviations[column] * (end - first) ** 0.5
        if end - first < _SHORTEST_RUN or not is_certain:
            break
        found.append(_Run(int(rows[first]), int(rows[end - 1]) + 1, _SHIFTS[column]))
        gains[first:end] = -deviations[column] * 10
    return sorted(found, key=lambda run: run.first)


def largest_run(gains: numpy.ndarray) -> tuple[int, int, float]:
    """Return first, end and sum of the run of the largest sum."""
    sums = numpy.append(0.0, numpy.cumsum(gains, dtype=numpy.float64))
    rises = sums - numpy.minimum.accumulate(sums)
    end = int(rises.argmax())
    return int(sums[: end + 1].argmin()), end, float(rises[end])
