"""Feeds pairs that fit into memory-mapped files to the trainer and to validation, as batches.

A tokenised corpus enters, `Batch`es leave. Training is one endless stream of numbered micro-batches over all epochs;
process r of n takes numbers r, r+n, ..., and a small JSON object says where in the stream one is, so any number of
processes, and any restart, sees the same micro-batches.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import numpy

from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import Plan, cut_batches, plan_batches
from seq2seq.data.collate import collate
from seq2seq.data.corpus import Dataset
from seq2seq.data.filters import filter_pairs
from seq2seq.data.prefetch import prefetch
from seq2seq.data.random_keys import random_keys
from seq2seq.data.tokenizer import TextTokenizer

PREFETCHED_BATCHES = 8
_CACHE_VERSION = 1
"""Raise it when the same texts would be stored as other columns than before."""
_MAPPED_ROWS = 1000

Position = dict[str, Any]
Item = TypeVar("Item")


def tokenize_corpus(dataset: Dataset, tokenizer: TextTokenizer, *, num_workers: int = 0) -> Dataset:
    """Return the corpus with `source_ids`, `target_ids`, `source_length` and `target_length` beside its texts.

    The result is kept beside the corpus under a name that depends on both corpus and tokenizer.

    Args:
        num_workers: processes; 0 uses this process, where the tokenizer may have threads of its own.
    """
    key = f"{_CACHE_VERSION} {dataset._fingerprint} {tokenizer.fingerprint()}"
    with _tokenizer_threads(num_workers == 0):
        return dataset.map(
            _token_columns,
            fn_kwargs={"tokenizer": tokenizer},
            batched=True,
            batch_size=_MAPPED_ROWS,
            num_proc=num_workers or None,
            new_fingerprint=hashlib.sha256(key.encode()).hexdigest()[:32],
            desc="Tokenising",
        )


def _token_columns(texts: dict[str, list[str]], tokenizer: TextTokenizer) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for side, encode in (("source", tokenizer.encode_sources), ("target", tokenizer.encode_targets)):
        ids = [numpy.array(sequence, dtype=numpy.int32) for sequence in encode(texts[side])]
        columns |= {f"{side}_ids": ids, f"{side}_length": [len(sequence) for sequence in ids]}
    return columns


@contextmanager
def _tokenizer_threads(allowed: bool) -> Iterator[None]:
    """Keep the threads of `tokenizers` out of forked processes, where they would wait for each other for ever."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    if not allowed:
        os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def take_turns(
    stream: Iterator[tuple[Position, Item]], num_processes: int, process_index: int
) -> Iterator[tuple[Position, Item]]:
    """Yield this process's item of each round of `num_processes`, with the position after the whole round."""
    while len(turns := list(islice(stream, num_processes))) == num_processes:
        yield turns[-1][0], turns[process_index][1]


def make_batch(
    tokenizer: TextTokenizer, source_ids: Sequence[Sequence[int]], target_ids: Sequence[Sequence[int]], rows: Any
) -> Batch:
    return collate(
        source_ids,
        target_ids,
        rows,
        source_pad_id=tokenizer.source_pad_id,
        target_pad_id=tokenizer.pad_id,
        decoder_start_id=tokenizer.decoder_start_id,
    )


def sampled_batch(
    tokenizer: TextTokenizer,
    sources: Sequence[str],
    targets: Sequence[str],
    rows: numpy.ndarray,
    *,
    seed: int,
    epoch: int,
) -> Batch:
    """Return the batch of these texts with their subwords sampled from (seed, epoch, row)."""
    source_ids = tokenizer.encode_sources(sources, random_keys(seed, epoch, 2 * rows).tolist())
    target_ids = tokenizer.encode_targets(targets, random_keys(seed, epoch, 2 * rows + 1).tolist())
    return make_batch(tokenizer, source_ids, target_ids, rows)


class TrainingLoader:
    """The endless stream of training micro-batches.

    With `tokenizer.sampling` the pairs are encoded anew in each epoch; the plan then goes by their lengths without
    sampling, so micro-batches may exceed the budget by what sampling lengthens them.

    Args:
        dataset: what `tokenize_corpus` returns.

    Raises:
        ValueError: no pair is left to train on.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: TextTokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int,
        max_length_ratio: float = 0.0,
        batch_tokens: int,
        max_batch_rows: int = 0,
        seed: int,
        num_processes: int = 1,
        process_index: int = 0,
    ) -> None:
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.batch_tokens = batch_tokens
        self.max_batch_rows = max_batch_rows
        self.seed = seed
        self.num_processes = num_processes
        self.process_index = process_index
        source_lengths, target_lengths = corpus_lengths(dataset)
        self.rows, self.filter_report = filter_pairs(
            source_lengths,
            target_lengths,
            max_source_tokens=max_source_tokens,
            max_target_tokens=max_target_tokens,
            max_length_ratio=max_length_ratio,
            **empty_lengths(tokenizer),
        )
        if not len(self.rows):
            raise ValueError(f"No training pair is left: {self.filter_report}.")
        self.source_lengths = source_lengths[self.rows]
        self.target_lengths = target_lengths[self.rows]

    def plan(self, epoch: int) -> Plan:
        """Return the batches of one epoch; their numbers index `rows`."""
        return plan_batches(
            self.source_lengths,
            self.target_lengths,
            batch_tokens=self.batch_tokens,
            max_batch_rows=self.max_batch_rows,
            seed=self.seed,
            epoch=epoch,
        )

    def micro_batches(self, position: Position | None = None) -> Iterator[tuple[Position, Batch]]:
        """Yield this process's micro-batches from `position` on, each with the position after its round.

        A round is one micro-batch for every process, so the position is the same in all of them. Its `number` is that
        of the next round's first micro-batch in the endless stream; this process's own is `number` - num_processes +
        process_index. None starts at the beginning.
        """
        start = position or {"epoch": 0, "batch": 0, "number": 0}
        turns = take_turns(self._stream(start), self.num_processes, self.process_index)
        batches = ((after, self._batch(epoch, rows)) for after, (epoch, rows) in turns)
        return prefetch(batches, PREFETCHED_BATCHES)

    def _stream(self, position: Position) -> Iterator[tuple[Position, tuple[int, numpy.ndarray]]]:
        """Yield epoch and rows of every process's micro-batches, with the position after each."""
        epoch, first, number = position["epoch"], position["batch"], position["number"]
        while True:
            batches = self.plan(epoch).batches
            for batch in range(first, len(batches)):
                number += 1
                ends_epoch = batch + 1 == len(batches)
                after = {"epoch": epoch + ends_epoch, "batch": 0 if ends_epoch else batch + 1, "number": number}
                yield after, (epoch, self.rows[batches[batch]])
            epoch, first = epoch + 1, 0

    def _batch(self, epoch: int, rows: numpy.ndarray) -> Batch:
        records = self.dataset[rows]
        if not self.tokenizer.sampling:
            return make_batch(self.tokenizer, records["source_ids"], records["target_ids"], rows)
        return sampled_batch(self.tokenizer, records["source"], records["target"], rows, seed=self.seed, epoch=epoch)


class ValidationLoader:
    """Every pair exactly once, longest first, each process its own batches; it may be iterated again and again.

    Args:
        dataset: what `tokenize_corpus` returns.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: TextTokenizer,
        *,
        batch_tokens: int,
        max_batch_rows: int = 0,
        num_processes: int = 1,
        process_index: int = 0,
    ) -> None:
        self.dataset = dataset
        self.tokenizer = tokenizer
        source_lengths, target_lengths = corpus_lengths(dataset)
        order = numpy.lexsort((-target_lengths, -source_lengths))
        plan = cut_batches(
            order, source_lengths, target_lengths, batch_tokens=batch_tokens, max_batch_rows=max_batch_rows
        )
        self.batches = plan.batches[process_index::num_processes]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(map(self._batch, self.batches), PREFETCHED_BATCHES)

    def _batch(self, rows: numpy.ndarray) -> Batch:
        records = self.dataset[rows]
        return make_batch(self.tokenizer, records["source_ids"], records["target_ids"], rows)


def corpus_lengths(dataset: Dataset) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the lengths of all sources and of all targets, in tokens."""
    columns = dataset.select_columns(["source_length", "target_length"]).with_format("numpy")[:]
    return columns["source_length"], columns["target_length"]


def empty_lengths(tokenizer: TextTokenizer) -> dict[str, int]:
    """Return how many tokens an empty source and an empty target have."""
    return {
        "empty_source_length": len(tokenizer.encode_sources([""])[0]),
        "empty_target_length": len(tokenizer.encode_targets([""])[0]),
    }
