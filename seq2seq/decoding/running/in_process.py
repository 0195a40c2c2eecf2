"""This toolkit's own searches in the process that calls them; `workers.WorkerProcesses` has them in several.

Neither changes what is found, but by the rounding of a precision below float32, where it depends on how many are
searched together. A source whose search fails leaves a hypothesis that says why, and no other source with it. Where
somebody waits for each source by itself (`Audience`), results come one by one, and who has left is left out.
"""

import logging
import math
import re
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.driver import Algorithm, Audience, Sources
from seq2seq.decoding.parts.search import Search
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.hypothesis import Hypothesis, failure
from seq2seq.models.interface import SOURCE_PADDING, Seq2Seq, UnsuitableModel
from seq2seq.want import wanting

logger = logging.getLogger(__name__)


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
        """See `Searcher.search_batches`."""
        for batch in batches:
            found = dict(self.search_batch(batch))
            yield [found[place] for place in range(len(batch.rows))]

    def search_batch(
        self, batch: SourceBatch, audience: Audience | None = None
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield each source's place in the batch and its hypotheses; a batch too large to gain from its size is
        searched in parts.

        Args:
            audience: see `driver.running`; a search of several, such as rescoring, has results at its end alone.
        """
        num_parts = 1
        if self.model.rows_at_once is not None:
            num_parts = math.ceil(len(batch.rows) * self.search.width / self.model.rows_at_once)
        places = list(range(len(batch.rows)))
        for part in batch.split(num_parts):
            yield from self._found(part, places[: len(part.rows)], audience)
            del places[: len(part.rows)]

    def _found(
        self, batch: SourceBatch, places: list[int], audience: Audience | None
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield the places and hypotheses of sources; what makes a batch fail is sought in its halves.

        Raises:
            Exception: the machine lacks what every source needs.
        """
        missing = dict(enumerate(places))
        try:
            for index, hypotheses in self._searched(batch, audience and Placed(audience, places)):
                yield missing.pop(index), hypotheses
            return
        except (UnsuitableModel, torch.AcceleratorError):  # behind the latter a GPU computes nothing any more
            raise
        except Exception as error:
            reason, lacks_memory = reason_of(error), wanting(error) == "memory"
            if wanting(error) not in (None, "memory"):  # processes or files, which no source has to do with
                raise
            if not lacks_memory and not isinstance(error, ValueError | ArithmeticError):
                _log_once("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
        # Here the error is gone, and with it the tensors of all functions that it came through.
        rest = batch.of(list(missing))
        if len(rest.rows) == 1:
            if lacks_memory:
                self._search_nothing(rest)
            yield missing.popitem()[1], [failure(reason)]
            return
        if lacks_memory:
            _warn_once()
        remaining = list(missing.values())
        for half in rest.split(2):
            yield from self._found(half, remaining[: len(half.rows)], audience)
            del remaining[: len(half.rows)]

    def _search_nothing(self, batch: SourceBatch) -> None:
        """Raise what is raised if there is no memory for a source that has nothing but its end either."""
        try:
            list(self._searched(SourceBatch([batch.sources[0][-1:]], batch.rows)))
        except Exception as error:
            if wanting(error) == "memory":
                raise

    def _searched(self, batch: SourceBatch, audience: Audience | None = None) -> Iterator[tuple[int, list[Hypothesis]]]:
        input_ids, attention_mask = pad_sources(batch.sources)
        input_ids, attention_mask = input_ids.to(self.device), attention_mask.to(self.device)
        if audience is not None and isinstance(self.search, Algorithm | FromSide):
            sources = Sources(input_ids, attention_mask, batch.prefixes, batch.rows)
            return self.search.found(self.model, sources, audience)
        found = self.search.search(self.model, input_ids, attention_mask, prefixes=batch.prefixes, rows=batch.rows)
        return iter(enumerate(found))


@dataclass(frozen=True)
class Placed:
    """An `Audience` of a part of a batch, whose sources have other places in the whole.

    Args:
        places: in the whole, of each source of the part.
    """

    of: Audience
    places: list[int]

    def gone(self) -> Collection[int]:
        gone = self.of.gone()
        return [index for index, place in enumerate(self.places) if place in gone] if gone else ()

    def listening(self) -> Collection[int]:
        listening = self.of.listening()
        return [index for index, place in enumerate(self.places) if place in listening] if listening else ()

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        self.of.hear(self.places[place], tokens)


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
