"""Batches of sources on their way to a search, and where the search runs.

A batch of token ids enters, the hypotheses of each of its sources leave. `InProcess` searches where it is called;
`workers.WorkerProcesses` does on several cores. Neither changes what is found, but by the rounding of a
precision below float32, where it depends on how many are searched together. A source whose search fails leaves a
hypothesis that says why, and no other source with it.
"""

import logging
import math
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from seq2seq.decoding.parts.search import Hypothesis, Search, failure
from seq2seq.models.interface import SOURCE_PADDING, Seq2Seq, UnsuitableModel
from seq2seq.want import wanting

BATCH_TOKENS = 8192
"""Budget of one batch: source tokens, padding included, times the hypotheses that run at a time, such as `beam_width`,
or in minimum Bayes risk decoding the samples."""

logger = logging.getLogger(__name__)


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

    @property
    def max_source_tokens(self) -> int | None:
        """Most tokens of a source that the model takes, see `Seq2Seq`."""

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """Yield each batch's hypotheses per source, best first, in the order of the batches.

        Of a source whose search fails it is one without tokens that has an `error`.

        Raises:
            UnsuitableModel: the model cannot do what the search asks of it, whatever the source.
        """


@dataclass(frozen=True)
class InProcess:
    """Searches one batch after another."""

    model: Seq2Seq
    search: Search
    device: torch.device | str = "cpu"
    num_workers: int = 1

    @property
    def max_source_tokens(self) -> int | None:
        return self.model.max_source_tokens

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """See `Searcher.search_batches`; a batch too large to gain from its size is searched in parts."""
        for batch in batches:
            num_parts = 1
            if self.model.rows_at_once is not None:
                num_parts = math.ceil(len(batch.rows) * self.search.width / self.model.rows_at_once)
            yield [hypotheses for part in batch.split(num_parts) for hypotheses in self._found(part)]

    def _found(self, batch: SourceBatch) -> list[list[Hypothesis]]:
        """Return the hypotheses of each source; what makes a batch fail is sought in its halves.

        Raises:
            Exception: the machine lacks what every source needs.
        """
        try:
            return self._searched(batch)
        except (UnsuitableModel, torch.AcceleratorError):  # behind the latter a GPU computes nothing any more
            raise
        except Exception as error:
            reason, lacks_memory = reason_of(error), wanting(error) == "memory"
            if wanting(error) not in (None, "memory"):  # processes or files, which no source has to do with
                raise
            if not lacks_memory and not isinstance(error, ValueError | ArithmeticError):
                _log_once("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
        # Here the error is gone, and with it the tensors of all functions that it came through.
        if len(batch.rows) == 1:
            if lacks_memory:
                self._search_nothing(batch)
            return [[failure(reason)]]
        if lacks_memory:
            _warn_once()
        return [hypotheses for half in batch.split(2) for hypotheses in self._found(half)]

    def _search_nothing(self, batch: SourceBatch) -> None:
        """Raise what is raised if there is no memory for a source that has nothing but its end either."""
        try:
            self._searched(SourceBatch([batch.sources[0][-1:]], batch.rows))
        except Exception as error:
            if wanting(error) == "memory":
                raise

    def _searched(self, batch: SourceBatch) -> list[list[Hypothesis]]:
        input_ids, attention_mask = pad_sources(batch.sources)
        return self.search.search(
            self.model,
            input_ids.to(self.device),
            attention_mask.to(self.device),
            prefixes=batch.prefixes,
            rows=batch.rows,
        )


def reason_of(error: Exception) -> str:
    """Return what an error says in one line, behind its type where that is not for people."""
    message, kind = re.sub(r"\s*\n\s*", " ", str(error)).strip(), type(error).__name__
    if not message:
        return kind
    return message if isinstance(error, ValueError | ArithmeticError) else f"{kind}: {message}"


@lru_cache(maxsize=64)
def _log_once(trace: str) -> None:
    """Put a traceback, without what the error says, into the log, unless it is there: it may be that of every line."""
    logger.error("A search failed, at:\n%s", trace)


@lru_cache(maxsize=1)
def _warn_once() -> None:
    logger.warning("Not enough memory for a whole batch; trying parts of it. Lower `--batch-tokens` to save time.")


def pad_sources(sources: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input_ids, int64 [B, S], and attention_mask, bool [B, S]."""
    longest = max(map(len, sources))
    input_ids = torch.tensor([[*source, *[SOURCE_PADDING] * (longest - len(source))] for source in sources])
    lengths = torch.tensor([len(source) for source in sources])
    return input_ids, torch.arange(longest) < lengths.unsqueeze(1)
