"""Feeds pairs that fit into memory-mapped files to the trainer and to validation, as batches.

A tokenised corpus enters, `Batch`es leave. Training is one endless stream of numbered micro-batches over all epochs;
process r of n takes numbers r, r+n, ..., and a small JSON object says where in the stream one is, so any number of
processes, and any restart, sees the same micro-batches.
"""

import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import multiprocess  # what `datasets` starts its workers with
import numpy
import pyarrow

from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import NO_LIMIT, EarlierPlans, Plan, cut_batches, plan_rest
from seq2seq.data.corpus import Dataset
from seq2seq.data.corpus_options import LANGUAGES
from seq2seq.data.encoded_pairs import EncodedPairs, sample_pairs
from seq2seq.data.filters import ANY_RATIO, filter_pairs
from seq2seq.data.fingerprints import corpus_fingerprint
from seq2seq.data.generation_order import Arranged, Arrangement
from seq2seq.data.kept_files import keep_record, remove_unless_whole
from seq2seq.data.micro_batches import (
    PREFETCHED_BATCHES,
    Part,
    Position,
    counts_of,
    micro_batches,
    part_start,
    recounted,
)
from seq2seq.data.mixture import MixedRows, Mixture, copy_numbers
from seq2seq.data.prefetch import prefetch
from seq2seq.data.random_keys import keys_of_copies
from seq2seq.data.sequences import Sequences
from seq2seq.data.tokenizer import TextTokenizer

SAMPLED_POOL_ROWS = 10_000
"""Pairs encoded and planned at a time with subword sampling. On Multi30k 6% of all positions are then padding, with
4000 pairs 12%, with 20,000 only 4%; but the first batch waits for a whole pool, which takes seconds."""
_CACHE_VERSION = 2
"""Raise it when the same texts would be stored as other columns than before."""
_MAPPED_ROWS = 1000
Languages: TypeAlias = tuple[str | None, str | None]
"""Of a source and of its target."""


def tokenize_corpus(
    dataset: Dataset,
    tokenizer: TextTokenizer,
    *,
    num_workers: int = 0,
    parts: Sequence[tuple[int, TextTokenizer]] = (),
) -> Dataset:
    """Return the corpus with the columns `source_ids` and `target_ids` beside its texts. Rows that say their languages
    are read in these.

    The result is kept beside the corpus under a name that depends on both corpus and tokenizer.

    Args:
        num_workers: processes; 0 uses this process, where the tokenizer may have threads of its own.
        parts: where rows of different languages follow each other, the row behind the last of each, and its tokenizer.
    """
    parts = parts or [(len(dataset), tokenizer)]
    spoken = " ".join(part.fingerprint() for _, part in parts)
    ends = f" {[end for end, _ in parts]}" if len(parts) > 1 else ""
    key = f"{_CACHE_VERSION} {corpus_fingerprint(dataset)} {spoken}{ends}"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    for folder in {Path(file["filename"]).parent for file in dataset.cache_files}:
        for file in folder.glob(f"*{name}*.arrow"):
            remove_unless_whole(file)
    with _single_threaded_workers(num_workers):
        tokenized = dataset.with_format("arrow").map(
            _with_token_columns,
            fn_kwargs={"parts": list(parts)},
            with_indices=True,
            batched=True,
            batch_size=_MAPPED_ROWS,
            num_proc=num_workers or None,
            new_fingerprint=name,
            desc="Tokenising",
        )
    for file in tokenized.cache_files:
        if name in file["filename"]:
            keep_record(Path(file["filename"]))
    return tokenized.with_format(None)


def _with_token_columns(
    texts: pyarrow.Table, indices: list[int], parts: Sequence[tuple[int, TextTokenizer]]
) -> pyarrow.Table:
    """Return the rows with their ids; as whole columns, because row by row `datasets` takes a third of all time.

    Args:
        indices: of the rows, ascending.
        parts: as for `tokenize_corpus`.
    """
    borders = [0, *numpy.searchsorted(indices, [end for end, _ in parts]).tolist()]
    sides: dict[str, list[list[int]]] = {"source": [], "target": []}
    for (start, end), (_, tokenizer) in zip(pairwise(borders), parts, strict=True):
        for side, ids in zip(sides.values(), _encoded(texts.slice(start, end - start), tokenizer), strict=True):
            side += ids
    for name, side in sides.items():
        texts = texts.append_column(f"{name}_ids", Sequences.of(side).to_arrow())
    return texts


def _encoded(texts: pyarrow.Table, tokenizer: TextTokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """Return the ids of sources and of targets; rows of the same languages are encoded together."""
    sources, targets = (texts[name].to_pylist() for name in ("source", "target"))
    languages = said_languages(texts)
    if not languages:
        return tokenizer.encode_sources(sources), tokenizer.encode_targets(targets)
    found: tuple[list[list[int]], list[list[int]]] = ([[]] * len(sources), [[]] * len(targets))
    for spoken, places in rows_by_languages(languages).items():
        speaker = tokenizer.speaking(*spoken)
        encoded = (
            speaker.encode_sources([sources[place] for place in places]),
            speaker.encode_targets([targets[place] for place in places]),
        )
        for side, ids in zip(found, encoded, strict=True):
            for place, own in zip(places, ids, strict=True):
                side[place] = own
    return found


def said_languages(texts: pyarrow.Table) -> list[Languages]:
    """Return the languages that each row says, None for a side of which it says nothing; none if no row says any."""
    if not any(name in texts.column_names for name in LANGUAGES):
        return []
    sides = (texts[name].to_pylist() if name in texts.column_names else [None] * len(texts) for name in LANGUAGES)
    return list(zip(*sides, strict=True))


def rows_by_languages(languages: Sequence[Languages]) -> dict[Languages, list[int]]:
    """Return the places of the rows of each pair of languages, in the order in which these come."""
    found: dict[Languages, list[int]] = {}
    for place, spoken in enumerate(languages):
        found.setdefault(spoken, []).append(place)
    return found


@contextmanager
def _single_threaded_workers(num_workers: int) -> Iterator[None]:
    """Let worker processes start afresh and leave threads to this process.

    A forked process inherits the locks of threads that it does not have (torch's, pyarrow's, those of `tokenizers`) and
    now and then waits for one for ever.
    """
    name = "TOKENIZERS_PARALLELISM"
    threads, start = os.environ.get(name), multiprocess.get_start_method(allow_none=True)
    if num_workers:
        os.environ[name] = "false"
        multiprocess.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocess.set_start_method(start, force=True)
        if threads is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = threads


class TrainingLoader:
    """The endless stream of training micro-batches.

    Without subword sampling an epoch is planned as a whole, from lengths alone. With `tokenizer.sampling` the ids, and
    so the lengths, are new in each epoch: it is shuffled, cut into pools, and each pool encoded and then planned.

    Args:
        dataset: what `tokenize_corpus` returns.
        arrange: how targets become rows, by default from the left.
        cut_sources: whether sources of more than `max_source_tokens` are cut; otherwise such pairs are dropped.
        mixture: of several corpora that `dataset` holds one after another; by default an epoch has each row once.

    Raises:
        ValueError: no pair is left to train on, or none of some corpus.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: TextTokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int,
        max_length_ratio: float = ANY_RATIO,
        cut_sources: bool = False,
        batch_tokens: int,
        max_batch_rows: int = NO_LIMIT,
        seed: int,
        num_processes: int = 1,
        process_index: int = 0,
        arrange: Arrangement | None = None,
        mixture: Mixture | None = None,
    ) -> None:
        self.texts = dataset.select_columns(["source", "target"])
        self.tokenizer = tokenizer
        self.arrange = arrange or Arranged()
        self.limits = {"max_source_tokens": max_source_tokens, "max_target_tokens": max_target_tokens}
        self.budget = {"batch_tokens": batch_tokens, "max_batch_rows": max_batch_rows}
        self.seed = seed
        self.num_processes = num_processes
        self.process_index = process_index
        self.longest_source = max_source_tokens if cut_sources else None
        self.pairs = stored_pairs(dataset, self.longest_source)
        self.rows, self.filter_report = filter_pairs(
            self.pairs.source_ids.lengths,
            self.pairs.target_lengths,
            max_length_ratio=max_length_ratio,
            cut_sources=cut_sources,
            **self.limits,
            **empty_lengths(_speaker(dataset, tokenizer)),
        )
        if not len(self.rows):
            raise ValueError(f"No training pair is left: {self.filter_report}.")
        self.source_lengths = self.pairs.source_lengths[self.rows]
        self.target_lengths = self.pairs.target_lengths[self.rows]
        self.mixed = None if mixture is None else MixedRows(mixture, self.rows, seed)

    def drawn(self, epoch: int) -> numpy.ndarray:
        """Return the places in `rows` of the rows that an epoch has, ascending: each once, or as corpora are mixed."""
        places = numpy.arange(len(self.rows))
        return places if self.mixed is None else numpy.repeat(places, self.mixed.times(epoch))

    def plan(self, epoch: int, earlier: EarlierPlans = ()) -> Plan:
        """Return the batches of one epoch without subword sampling; their numbers index `rows`.

        Args:
            earlier: plans of the epoch with other budgets that were used in part; see `plan_rest`.
        """
        drawn = self.drawn(epoch)
        target_lengths = self.arrange.slots(self.target_lengths[drawn], self.rows[drawn])
        plan = plan_rest(
            self.source_lengths[drawn], target_lengths, earlier=earlier, seed=self.seed, epoch=epoch, **self.budget
        )
        return replace(plan, batches=[drawn[batch] for batch in plan.batches])

    def micro_batches(self, position: Position | None = None) -> Generator[tuple[Position, Batch], None, None]:
        """Yield this process's micro-batches from `position` on, each with the position after its round.

        See `micro_batches.micro_batches`; None starts at the beginning.
        """
        position = recounted(position or self._epoch_start(0) | {"number": 0}, self.budget["batch_tokens"])
        if self.mixed is not None and "seen" in position:  # labels are names of files, which may have others by now
            position["seen"] = dict(zip(self.mixed.mixture.labels, position["seen"].values(), strict=False))
        return micro_batches(
            self._parts(position),
            position,
            num_processes=self.num_processes,
            process_index=self.process_index,
        )

    def epoch_again(self, position: Position) -> Position:
        """Return the position at the beginning of this one's epoch, for pairs that are others than they were."""
        return self._epoch_start(position["epoch"]) | counts_of(position)

    def _epoch_start(self, epoch: int) -> Position:
        return {"epoch": epoch, "pool": 0, "batch": 0, "batch_tokens": self.budget["batch_tokens"]}

    def _parts(self, position: Position) -> Iterator[Part]:
        """Yield parts for ever, starting with the one in which the position is."""
        start = part_start(position)
        while True:
            yield from self._sampled_epoch(start) if self.tokenizer.sampling else self._stored_epoch(start)
            start = self._epoch_start(start["epoch"] + 1)

    def _stored_epoch(self, start: Position) -> Iterator[Part]:
        epoch = start["epoch"]
        yield Part(
            start=start,
            end=self._epoch_start(epoch + 1),
            batches=[self.rows[batch] for batch in self.plan(epoch, start.get("earlier", ())).batches],
            make_batch=self.pairs.batch_maker(self.tokenizer, self.arrange, epoch),
            counted=None if self.mixed is None else self.mixed.counted,
        )

    def _sampled_epoch(self, start: Position) -> Iterator[Part]:
        epoch = start["epoch"]
        drawn = self.drawn(epoch)
        rows, copies = self.rows[drawn], copy_numbers(drawn)
        order = numpy.argsort(keys_of_copies(self.seed, epoch, rows, copies), kind="stable")
        num_pools = -(-len(order) // SAMPLED_POOL_ROWS)
        for pool in range(start["pool"], num_pools):
            chosen = order[pool * SAMPLED_POOL_ROWS : (pool + 1) * SAMPLED_POOL_ROWS]
            pairs = self._sampled(rows[chosen], copies[chosen], epoch)
            plan = plan_rest(
                pairs.source_lengths,
                self.arrange.slots(pairs.target_lengths, pairs.rows),
                earlier=start.get("earlier", ()),
                seed=self.seed,
                epoch=epoch,
                pool=pool,
                **self.budget,
            )
            next_pool = self._epoch_start(epoch) | {"pool": pool + 1}
            end = next_pool if pool + 1 < num_pools else self._epoch_start(epoch + 1)
            counted = None if self.mixed is None else partial(_counted_at, self.mixed, pairs.rows)
            yield Part(start, end, plan.batches, pairs.batch_maker(self.tokenizer, self.arrange, epoch), counted)
            start = end

    def _sampled(self, rows: numpy.ndarray, copies: numpy.ndarray, epoch: int) -> EncodedPairs:
        texts = self.texts[rows]
        return sample_pairs(
            self.tokenizer,
            texts["source"],
            texts["target"],
            rows,
            seed=self.seed,
            epoch=epoch,
            longest_source=self.longest_source,
            copies=copies,
            **self.limits,
        )


def _counted_at(mixed: MixedRows, rows: numpy.ndarray, places: numpy.ndarray) -> dict[str, int]:
    return mixed.counted(rows[places])


class ValidationLoader:
    """Every pair exactly once, longest first, each process its own batches; it may be iterated again and again.

    Args:
        dataset: what `tokenize_corpus` returns.
        arrange: how targets become rows, by default from the left.
        longest_source: tokens that sources are cut at; None leaves them as they are.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: TextTokenizer,
        *,
        longest_source: int | None = None,
        batch_tokens: int,
        max_batch_rows: int = NO_LIMIT,
        num_processes: int = 1,
        process_index: int = 0,
        arrange: Arrangement | None = None,
    ) -> None:
        self.pairs = stored_pairs(dataset, longest_source)
        self.tokenizer = tokenizer
        self.arrange = arrange or Arranged()
        source_lengths = self.pairs.source_lengths
        target_lengths = self.arrange.slots(self.pairs.target_lengths, self.pairs.rows)
        order = numpy.lexsort((-target_lengths, -source_lengths))
        plan = cut_batches(
            order, source_lengths, target_lengths, batch_tokens=batch_tokens, max_batch_rows=max_batch_rows
        )
        self.batches = plan.batches[process_index::num_processes]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        make_batch = self.pairs.batch_maker(self.tokenizer, self.arrange, epoch=0)
        return prefetch(map(make_batch, self.batches), PREFETCHED_BATCHES)


def stored_pairs(dataset: Dataset, longest_source: int | None = None) -> EncodedPairs:
    """Return the pairs of a tokenised corpus; their ids stay in its file, whether their sources are cut or not."""
    columns = dataset.with_format("arrow")[:]
    sides = (Sequences.of_column(columns[name]) for name in ("source_ids", "target_ids"))
    source_ids, target_ids = sides
    return EncodedPairs(numpy.arange(len(dataset)), source_ids, target_ids, longest_source)


def corpus_lengths(dataset: Dataset) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the lengths of all sources and of all targets of a tokenised corpus, in tokens."""
    pairs = stored_pairs(dataset)
    return pairs.source_lengths, pairs.target_lengths


def _speaker(dataset: Dataset, tokenizer: TextTokenizer) -> TextTokenizer:
    """Return a tokenizer of languages that rows say, if they do: in all of them a text has as many tokens around it."""
    said = [name if name in dataset.column_names else None for name in LANGUAGES]
    return tokenizer.speaking(*(name and next(filter(None, dataset.unique(name)), None) for name in said))


def empty_lengths(tokenizer: TextTokenizer) -> dict[str, int]:
    """Return how many tokens an empty source and an empty target have."""
    return {
        "empty_source_length": len(tokenizer.encode_sources([""])[0]),
        "empty_target_length": len(tokenizer.encode_targets([""])[0]),
    }
