"""Feeds a corpus that is read as a stream to the trainer.

An `IterableDataset` of texts enters, an endless stream of `Batch`es leaves, as from `TrainingLoader`. Pools of rows are
tokenised, filtered and planned one at a time; a position holds the reading state of `datasets` at its pool's start, so
a restart tokenises no earlier pool again.
"""

import copy
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Any
from weakref import ref

import numpy

from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import NO_LIMIT, plan_rest
from seq2seq.data.corpus import IterableDataset
from seq2seq.data.encoded_pairs import EncodedPairs, sample_pairs
from seq2seq.data.filters import ANY_RATIO, FilterReport, filter_pairs
from seq2seq.data.generation_order import Arranged, Arrangement
from seq2seq.data.loader import empty_lengths
from seq2seq.data.micro_batches import Part, Position, micro_batches, part_start, recounted
from seq2seq.data.sequences import Sequences
from seq2seq.data.tokenizer import TextTokenizer


class StreamingLoader:
    """The endless stream of training micro-batches over a corpus that is never held as a whole.

    Arguments are those of `TrainingLoader`, with `dataset` untokenised and `pool_rows` read at a time. `filter_report`
    grows as pools are read. Every process reads the whole stream and makes the batches that are its own.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        tokenizer: TextTokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int,
        max_length_ratio: float = ANY_RATIO,
        cut_sources: bool = False,
        batch_tokens: int,
        max_batch_rows: int = NO_LIMIT,
        pool_rows: int,
        seed: int,
        num_processes: int = 1,
        process_index: int = 0,
        arrange: Arrangement | None = None,
    ) -> None:
        if pool_rows < 1:
            raise ValueError(f"`pool_rows` must be at least 1, but is {pool_rows}.")
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.arrange = arrange or Arranged()
        self.limits = {"max_source_tokens": max_source_tokens, "max_target_tokens": max_target_tokens}
        self.max_length_ratio = max_length_ratio
        self.longest_source = max_source_tokens if cut_sources else None
        self.empty_lengths = empty_lengths(tokenizer)
        self.budget = {"batch_tokens": batch_tokens, "max_batch_rows": max_batch_rows}
        self.pool_rows = pool_rows
        self.seed = seed
        self.num_processes = num_processes
        self.process_index = process_index
        self.filter_report = FilterReport()
        self._beginning = copy.deepcopy(dataset.state_dict())
        self._latest: Callable[[], Generator[tuple[Position, Batch], None, None] | None] = lambda: None

    def micro_batches(self, position: Position | None = None) -> Generator[tuple[Position, Batch], None, None]:
        """Yield this process's micro-batches from `position` on, each with the position after its round.

        See `micro_batches.micro_batches`. A data set has one reading state, so this closes the stream begun before.

        Raises:
            ValueError: a whole epoch has no pair to train on.
        """
        if (before := self._latest()) is not None:
            before.close()
        position = recounted(position or self._epoch_start(0) | {"number": 0}, self.budget["batch_tokens"])
        stream = micro_batches(
            self._parts(position), position, num_processes=self.num_processes, process_index=self.process_index
        )
        self._latest = ref(stream)
        return stream

    def epoch_again(self, position: Position) -> Position:
        """Return the position at the beginning of this one's epoch, for pairs that are others than they were."""
        return self._epoch_start(position["epoch"]) | {"number": position["number"]}

    def _epoch_start(self, epoch: int) -> Position:
        start = {"epoch": epoch, "pool": 0, "batch": 0, "batch_tokens": self.budget["batch_tokens"]}
        return start | {"row": 0, "stream": self._beginning}

    def _parts(self, position: Position) -> Iterator[Part]:
        start = part_start(position)
        while True:
            any_batch = start["pool"] > 0
            for part in self._epoch(start):
                any_batch = any_batch or bool(part.batches)
                yield part
            if not any_batch:
                raise ValueError(f"No training pair is left: {self.filter_report}.")
            start = self._epoch_start(start["epoch"] + 1)

    def _epoch(self, start: Position) -> Iterator[Part]:
        """Yield the rest of an epoch, one part for each pool."""
        self.dataset.load_state_dict(copy.deepcopy(start["stream"]))
        rows = iter(self.dataset)
        while records := list(islice(rows, self.pool_rows)):
            end = {
                "epoch": start["epoch"],
                "pool": start["pool"] + 1,
                "batch": 0,
                "batch_tokens": self.budget["batch_tokens"],
                "row": start["row"] + len(records),
                "stream": copy.deepcopy(self.dataset.state_dict()),
            }
            yield self._part(records, start, end)
            start = end

    def _part(self, records: list[dict[str, Any]], start: Position, end: Position) -> Part:
        pairs = self._encoded(records, start["row"], start["epoch"])
        plan = plan_rest(
            pairs.source_lengths,
            self.arrange.slots(pairs.target_lengths, pairs.rows),
            earlier=start.get("earlier", ()),
            seed=self.seed,
            epoch=start["epoch"],
            pool=start["pool"],
            **self.budget,
        )
        return Part(start, end, plan.batches, pairs.batch_maker(self.tokenizer, self.arrange, start["epoch"]))

    def _encoded(self, records: list[dict[str, Any]], first_row: int, epoch: int) -> EncodedPairs:
        """Return the pairs that pass the filters."""
        sources = [record["source"] for record in records]
        targets = [record["target"] for record in records]
        rows = first_row + numpy.arange(len(records))
        ids = Sequences.of(self.tokenizer.encode_sources(sources)), Sequences.of(self.tokenizer.encode_targets(targets))
        pairs = EncodedPairs(rows, *ids, self.longest_source)
        kept, report = filter_pairs(
            pairs.source_ids.lengths,
            pairs.target_lengths,
            max_length_ratio=self.max_length_ratio,
            cut_sources=self.longest_source is not None,
            **self.limits,
            **self.empty_lengths,
        )
        self.filter_report += report
        if not self.tokenizer.sampling:
            return pairs.select(kept)
        return sample_pairs(
            self.tokenizer,
            [sources[index] for index in kept],
            [targets[index] for index in kept],
            rows[kept],
            seed=self.seed,
            epoch=epoch,
            longest_source=self.longest_source,
            copies=numpy.zeros_like(kept),
            **self.limits,
        )
