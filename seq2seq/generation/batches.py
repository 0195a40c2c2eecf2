"""Batches of sources on their way to an engine: token ids enter, the hypotheses of each source leave.

Where and by what they are searched is a `Searcher`: this toolkit's own in this process or in several
(`decoding/running`), or another library's (`engines`). What is above knows neither.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from seq2seq.generation.hypothesis import Hypothesis

BATCH_TOKENS = 8192
"""Budget of one batch: source tokens, padding included, times the hypotheses that run at a time, such as `beam_width`,
or in minimum Bayes risk decoding the samples."""


@dataclass(frozen=True)
class SourceBatch:
    """Sources that are searched together."""

    sources: list[list[int]]
    """Each ends with end of sentence."""
    rows: list[int]
    """Each source's number in its corpus."""
    prefixes: list[list[int]] | None = None
    """Per source, target tokens that every hypothesis begins with."""

    def of(self, places: Sequence[int]) -> "SourceBatch":
        """Return the sources at these places as a batch."""
        prefixes = None if self.prefixes is None else [self.prefixes[place] for place in places]
        return SourceBatch([self.sources[place] for place in places], [self.rows[place] for place in places], prefixes)

    def split(self, num_parts: int) -> list["SourceBatch"]:
        """Return the sources in at most so many batches of about the same size."""
        places = range(len(self.rows))
        size = math.ceil(len(places) / num_parts)
        return [self.of(places[start : start + size]) for start in places[::size]]


class Method(Protocol):
    """How hypotheses are sought; its `repr` tells its options."""

    @property
    def width(self) -> int:
        """Hypotheses per source that run at the same time: what a batch is charged for."""


class Searcher(Protocol):
    """A search with its model, and where it runs."""

    @property
    def search(self) -> Method: ...

    @property
    def num_workers(self) -> int:
        """Batches that are searched at a time."""

    @property
    def max_source_tokens(self) -> int | None:
        """Most tokens of a source that the model takes, see `Seq2Seq`."""

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """Yield each batch's hypotheses per source, best first, in the order of the batches.

        Of a source whose search fails it is one without tokens that has an `error`.

        Raises:
            UnsuitableModel: the model cannot do what the search asks of it, whatever the source.
        """
