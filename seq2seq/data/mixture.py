"""How much of each of several corpora an epoch has: from their sizes, weights and a temperature to rows.

The corpora stand one after another in one data set. An epoch has as many rows as they have together, shared out in
proportion to weight * size^(1/T) (Arivazhagan et al. 2019, section 4.2). A corpus with fewer rows than its share is
gone through as often as that takes and, for the rest, in part; one with more is gone through in part alone. Parts
follow each other round a fixed random circle of its rows: over any number of epochs, and within each, no row of a
corpus is seen more than once more than another. So an epoch depends on its number and the seed, and on nothing before.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy

from seq2seq.data.random_keys import random_keys


@dataclass(frozen=True)
class Mixture:
    """Several corpora as one.

    Args:
        labels: what they are called.
        sizes: rows of each.
    """

    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    temperature: float


@dataclass(frozen=True)
class CorpusShare:
    """How much of a corpus an epoch has."""

    label: str
    rows: int
    """In the corpus."""
    kept: int
    """Of them, that pass the filters."""
    drawn: int
    """In an epoch."""
    share: float
    """Of all rows of an epoch."""
    times: float
    """How often an epoch has each row."""

    def numbers(self) -> dict[str, float]:
        """Return all but the label, for a log."""
        return {name: value for name, value in asdict(self).items() if name != "label"}

    def __str__(self) -> str:
        return f"{self.label}: {self.kept:,} pairs, {self.share:.1%} of an epoch, each seen {self.times:.3g} times"


class MixedRows:
    """Which rows an epoch has, of those that passed the filters.

    Args:
        rows: those that did, ascending, as numbers in the joined corpora.

    Raises:
        ValueError: of a corpus there are none; names it.
    """

    def __init__(self, mixture: Mixture, rows: numpy.ndarray, seed: int) -> None:
        self.mixture = mixture
        self.seed = seed
        self.rows = rows
        self.ends = numpy.cumsum(mixture.sizes)
        self.firsts = numpy.searchsorted(rows, self.ends - mixture.sizes)
        self.kept = numpy.diff(self.firsts, append=len(rows))
        if nothing := [label for label, kept in zip(mixture.labels, self.kept, strict=True) if not kept]:
            raise ValueError(
                f"Of the training corpus {nothing[0]} no pair is left: it has none, or all are empty or too long."
            )
        self.drawn = shared_out(len(rows), shares(self.kept, mixture.weights, mixture.temperature))

    def shares(self) -> list[CorpusShare]:
        """Return how much of each corpus an epoch has."""
        total = int(self.drawn.sum())
        columns = (self.mixture.labels, self.mixture.sizes, self.kept.tolist(), self.drawn.tolist())
        return [
            CorpusShare(label, size, kept, drawn, share=drawn / total, times=drawn / kept)
            for label, size, kept, drawn in zip(*columns, strict=True)
        ]

    def times(self, epoch: int) -> numpy.ndarray:
        """Return int64, how often the epoch has each of `rows`."""
        found = numpy.empty(len(self.rows), dtype=numpy.int64)
        for first, kept, drawn in zip(self.firsts, self.kept, self.drawn, strict=True):
            passes, rest = divmod(int(drawn), int(kept))
            times = found[first : first + kept]
            times[:] = passes
            if rest:
                circle = numpy.argsort(random_keys(self.seed, self.rows[first : first + kept]), kind="stable")
                times[circle[(epoch * rest + numpy.arange(rest)) % kept]] += 1
        return found

    def counted(self, rows: numpy.ndarray) -> dict[str, int]:
        """Return how many of these rows are of each corpus, by its label."""
        counts = numpy.bincount(numpy.searchsorted(self.ends, rows, side="right"), minlength=len(self.ends))
        return dict(zip(self.mixture.labels, counts.tolist(), strict=True))


def an_epoch(mixture: Mixture) -> numpy.ndarray:
    """Return the rows of an epoch of all rows, ascending, whatever the seed and the filters of a training."""
    rows = numpy.arange(sum(mixture.sizes))
    return numpy.repeat(rows, MixedRows(mixture, rows, seed=0).times(0))


def shares(sizes: Sequence[int] | numpy.ndarray, weights: Sequence[float], temperature: float) -> numpy.ndarray:
    """Return the shares of corpora, float64, which add up to 1; logarithms, since sizes to a high power overflow."""
    logs = numpy.log(numpy.asarray(sizes, dtype=numpy.float64)) / temperature + numpy.log(weights)
    unnormalized = numpy.exp(logs - logs.max())
    return unnormalized / unnormalized.sum()


def shared_out(number: int, shares: numpy.ndarray) -> numpy.ndarray:
    """Return so many rows shared out, int64: to each the whole part of its share and, by largest remainder, one more;
    nobody gets none, whatever that adds."""
    exact = number * shares
    found = numpy.floor(exact).astype(numpy.int64)
    missing = number - int(found.sum())
    found[numpy.argsort(found - exact, kind="stable")[: max(0, missing)]] += 1
    return numpy.maximum(found, 1)


def copy_numbers(places: numpy.ndarray) -> numpy.ndarray:
    """Return of each of ascending places how many equal ones stand before it."""
    return numpy.arange(len(places)) - numpy.searchsorted(places, places)
