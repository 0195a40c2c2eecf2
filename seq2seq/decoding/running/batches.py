"""Batches of sources on their way to a search, and where the search runs.

A batch of token ids enters, the hypotheses of each of its sources leave. `InProcess` searches where it is called;
`workers.WorkerProcesses` does on several cores. Neither changes what is found, but by the rounding of a
precision below float32, where it depends on how many are searched together.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from seq2seq.decoding.parts.search import Hypothesis, Search
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class SourceBatch:
    """Sources that are searched together."""

    sources: list[list[int]]
    """Each ends with end of sentence."""
    rows: list[int]
    """Each source's number in its corpus."""
    prefixes: list[list[int]] | None = None
    """Per source, target tokens that every hypothesis begins with."""

    def split(self, num_parts: int) -> list["SourceBatch"]:
        """Return the sources in at most so many batches of about the same size."""
        size = math.ceil(len(self.rows) / num_parts)
        return [
            SourceBatch(
                self.sources[start : start + size],
                self.rows[start : start + size],
                None if self.prefixes is None else self.prefixes[start : start + size],
            )
            for start in range(0, len(self.rows), size)
        ]


class Searcher(Protocol):
    """A search with its model, and where it runs."""

    @property
    def search(self) -> Search: ...

    @property
    def num_workers(self) -> int:
        """Batches that are searched at a time."""

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """Yield each batch's hypotheses per source, best first, in the order of the batches."""


@dataclass(frozen=True)
class InProcess:
    """Searches one batch after another."""

    model: Seq2Seq
    search: Search
    device: torch.device | str = "cpu"
    num_workers: int = 1

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """See `Searcher.search_batches`; a batch too large to gain from its size is searched in parts."""
        for batch in batches:
            num_parts = 1
            if self.model.rows_at_once is not None:
                num_parts = math.ceil(len(batch.rows) * self.search.width / self.model.rows_at_once)
            yield [hypotheses for part in batch.split(num_parts) for hypotheses in self._found(part)]

    def _found(self, batch: SourceBatch) -> list[list[Hypothesis]]:
        input_ids, attention_mask = pad_sources(batch.sources, self.model.pad_id)
        return self.search.search(
            self.model,
            input_ids.to(self.device),
            attention_mask.to(self.device),
            prefixes=batch.prefixes,
            rows=batch.rows,
        )


def pad_sources(sources: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input_ids, int64 [B, S], and attention_mask, bool [B, S]."""
    longest = max(map(len, sources))
    input_ids = torch.tensor([[*source, *[pad_id] * (longest - len(source))] for source in sources])
    lengths = torch.tensor([len(source) for source in sources])
    return input_ids, torch.arange(longest) < lengths.unsqueeze(1)
