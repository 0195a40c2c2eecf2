"""Pairs as token ids in memory, encoded in the ordinary way or with sampled subwords."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from seq2seq.data.batch import Batch
from seq2seq.data.collate import collate
from seq2seq.data.generation_order import Arrangement
from seq2seq.data.random_keys import keys_of_copies
from seq2seq.data.sequences import Sequences
from seq2seq.data.tokenizer import TextTokenizer


@dataclass(frozen=True)
class EncodedPairs:
    """Ids of both sides, and each pair's number in its corpus.

    Args:
        longest_source: tokens that sources are cut at when they become a batch; None leaves them as they are.
    """

    rows: numpy.ndarray
    source_ids: Sequences
    target_ids: Sequences
    longest_source: int | None = None

    @property
    def source_lengths(self) -> numpy.ndarray:
        lengths = self.source_ids.lengths
        return lengths if self.longest_source is None else numpy.minimum(lengths, self.longest_source)

    @property
    def target_lengths(self) -> numpy.ndarray:
        return self.target_ids.lengths

    def select(self, indices: numpy.ndarray) -> "EncodedPairs":
        """Return the pairs at these places."""
        sides = self.source_ids.select(indices), self.target_ids.select(indices)
        return EncodedPairs(self.rows[indices], *sides, self.longest_source)

    def batch_maker(
        self, tokenizer: TextTokenizer, arrange: Arrangement, epoch: int
    ) -> Callable[[numpy.ndarray], Batch]:
        """Return the function from places to the batch of the pairs there."""
        return lambda indices: self.select(indices).batch(tokenizer, arrange, epoch)

    def batch(self, tokenizer: TextTokenizer, arrange: Arrangement, epoch: int) -> Batch:
        """Return all pairs as one batch."""
        return collate(
            self.source_ids if self.longest_source is None else self.source_ids.cut(self.longest_source),
            arrange(self.target_ids, self.rows, epoch),
            self.rows,
            source_pad_id=tokenizer.source_pad_id,
            target_pad_id=tokenizer.pad_id,
            decoder_start_id=tokenizer.decoder_start_id,
        )


def sample_pairs(
    tokenizer: TextTokenizer,
    sources: Sequence[str],
    targets: Sequence[str],
    rows: numpy.ndarray,
    *,
    seed: int,
    epoch: int,
    max_source_tokens: int,
    max_target_tokens: int,
    longest_source: int | None = None,
    copies: numpy.ndarray,
) -> EncodedPairs:
    """Return the pairs with sampled subwords; each side depends on nothing but its text, seed, epoch, row and copy.

    A side that comes out longer than allowed is encoded in the ordinary way, by whose length it passed the filters or
    will be cut.

    Args:
        copies: of each pair, how many of the same row the epoch has before it.
    """
    source_ids = tokenizer.encode_sources(sources, keys_of_copies(seed, epoch, 2 * rows, copies).tolist())
    target_ids = tokenizer.encode_targets(targets, keys_of_copies(seed, epoch, 2 * rows + 1, copies).tolist())
    for index in range(len(rows)):
        if len(source_ids[index]) > max_source_tokens:
            source_ids[index] = tokenizer.encode_sources([sources[index]])[0]
        if len(target_ids[index]) > max_target_tokens:
            target_ids[index] = tokenizer.encode_targets([targets[index]])[0]
    return EncodedPairs(rows, Sequences.of(source_ids), Sequences.of(target_ids), longest_source)
