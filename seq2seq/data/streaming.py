"""Feeds a corpus that is read as a stream to the trainer.

An `IterableDataset` of texts enters, an endless stream of `Batch`es leaves, as from `TrainingLoader`. Pools of rows are
tokenised, filtered and planned one at a time; a position holds the reading state of `datasets` at its pool's start, so
a restart tokenises no earlier pool again.
"""

import copy
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from weakref import ref

import numpy

from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import plan_batches
from seq2seq.data.corpus import IterableDataset
from seq2seq.data.filters import FilterReport, filter_pairs
from seq2seq.data.loader import PREFETCHED_BATCHES, Position, empty_lengths, make_batch, sampled_batch, take_turns
from seq2seq.data.prefetch import prefetch
from seq2seq.data.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Pool:
    """Rows held in memory; `first_row` is the number of the first of them in its epoch."""

    epoch: int
    first_row: int
    sources: list[str]
    targets: list[str]
    source_ids: list[list[int]]
    target_ids: list[list[int]]


class StreamingLoader:
    """The endless stream of training micro-batches over a corpus that is never held as a whole.

    Arguments are those of `TrainingLoader`, with `dataset` untokenised and `pool_rows` read at a time. `filter_report`
    grows as pools are read.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        tokenizer: TextTokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int,
        max_length_ratio: float = 0.0,
        batch_tokens: int,
        max_batch_rows: int = 0,
        pool_rows: int,
        seed: int,
        num_processes: int = 1,
        process_index: int = 0,
    ) -> None:
        if pool_rows < 1:
            raise ValueError(f"`pool_rows` must be at least 1, but is {pool_rows}.")
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.filters: dict[str, Any] = {
            "max_source_tokens": max_source_tokens,
            "max_target_tokens": max_target_tokens,
            "max_length_ratio": max_length_ratio,
            **empty_lengths(tokenizer),
        }
        self.batch_tokens = batch_tokens
        self.max_batch_rows = max_batch_rows
        self.pool_rows = pool_rows
        self.seed = seed
        self.num_processes = num_processes
        self.process_index = process_index
        self.filter_report = FilterReport()
        self.beginning = copy.deepcopy(dataset.state_dict())
        self._latest: Callable[[], Generator[tuple[Position, Batch], None, None] | None] = lambda: None

    def micro_batches(self, position: Position | None = None) -> Iterator[tuple[Position, Batch]]:
        """Yield this process's micro-batches from `position` on, each with the position after its round.

        See `TrainingLoader.micro_batches`. A data set has one reading state, so this closes the stream begun before.

        Raises:
            ValueError: a whole epoch has no pair to train on.
        """
        if (before := self._latest()) is not None:
            before.close()
        start = position or {**self._epoch_start(0), "number": 0}
        turns = take_turns(self._stream(start), self.num_processes, self.process_index)
        batches = ((after, self._batch(pool, rows)) for after, (pool, rows) in turns)
        stream = prefetch(batches, PREFETCHED_BATCHES)
        self._latest = ref(stream)
        return stream

    def _epoch_start(self, epoch: int) -> Position:
        return {"epoch": epoch, "pool": 0, "row": 0, "batch": 0, "stream": self.beginning}

    def _stream(self, position: Position) -> Iterator[tuple[Position, tuple[Pool, numpy.ndarray]]]:
        """Yield pool and rows of every process's micro-batches, with the position after each."""
        number = position["number"]
        while True:
            whole_epoch = position["pool"] == position["batch"] == 0
            first_number = number
            for here, after_pool, pool, batches in self._pools(position):
                for batch in range(here["batch"], len(batches)):
                    number += 1
                    ends_pool = batch + 1 == len(batches)
                    after = after_pool if ends_pool else {**here, "batch": batch + 1}
                    yield {**after, "number": number}, (pool, batches[batch])
            if whole_epoch and number == first_number:
                raise ValueError(f"No training pair is left: {self.filter_report}.")
            position = self._epoch_start(position["epoch"] + 1)

    def _pools(self, position: Position) -> Iterator[tuple[Position, Position, Pool, list[numpy.ndarray]]]:
        """Yield the rest of an epoch's pools: the positions at and after each, the pool, and its batches."""
        self.dataset.load_state_dict(copy.deepcopy(position["stream"]))
        rows = iter(self.dataset)
        while records := list(islice(rows, self.pool_rows)):
            after = {
                "epoch": position["epoch"],
                "pool": position["pool"] + 1,
                "row": position["row"] + len(records),
                "batch": 0,
                "stream": copy.deepcopy(self.dataset.state_dict()),
            }
            pool = self._tokenized(records, position)
            yield position, after, pool, self._batches(pool, position)
            position = after

    def _tokenized(self, records: list[dict[str, str]], position: Position) -> Pool:
        sources = [record["source"] for record in records]
        targets = [record["target"] for record in records]
        return Pool(
            position["epoch"],
            position["row"],
            sources,
            targets,
            self.tokenizer.encode_sources(sources),
            self.tokenizer.encode_targets(targets),
        )

    def _batches(self, pool: Pool, position: Position) -> list[numpy.ndarray]:
        source_lengths = numpy.array([len(ids) for ids in pool.source_ids])
        target_lengths = numpy.array([len(ids) for ids in pool.target_ids])
        kept, report = filter_pairs(source_lengths, target_lengths, **self.filters)
        self.filter_report += report
        plan = plan_batches(
            source_lengths[kept],
            target_lengths[kept],
            batch_tokens=self.batch_tokens,
            max_batch_rows=self.max_batch_rows,
            seed=self.seed,
            epoch=position["epoch"],
            pool=position["pool"],
        )
        return [kept[batch] for batch in plan.batches]

    def _batch(self, pool: Pool, indices: numpy.ndarray) -> Batch:
        rows = pool.first_row + indices
        if not self.tokenizer.sampling:
            source_ids = [pool.source_ids[index] for index in indices]
            target_ids = [pool.target_ids[index] for index in indices]
            return make_batch(self.tokenizer, source_ids, target_ids, rows)
        sources = [pool.sources[index] for index in indices]
        targets = [pool.targets[index] for index in indices]
        return sampled_batch(self.tokenizer, sources, targets, rows, seed=self.seed, epoch=pool.epoch)
