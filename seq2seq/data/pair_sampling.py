"""Encodes training pairs anew in each epoch, with subwords sampled from (seed, epoch, row).

Texts enter, ids leave. Batches are planned before any of this happens, by the lengths of ordinary encodings times the
mean growth that sampling causes, so that the token budget holds on average and not for each batch.
"""

from collections.abc import Sequence

import numpy

from seq2seq.data.random_keys import random_keys
from seq2seq.data.tokenizer import TextTokenizer

_MEASURED_ROWS = 500
_MEASURING_EPOCH = 2**32
"""An epoch that never comes, for seeds that training does not use."""

Ids = list[list[int]]


class PairSampler:
    """Samples both sides of pairs; a side that comes out longer than allowed is encoded in the ordinary way.

    Args:
        max_source_tokens: with end of sentence, as for the filters, which see ordinary encodings only.
    """

    def __init__(self, tokenizer: TextTokenizer, *, seed: int, max_source_tokens: int, max_target_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.max_source_tokens = max_source_tokens
        self.max_target_tokens = max_target_tokens

    def encode(
        self, sources: Sequence[str], targets: Sequence[str], rows: numpy.ndarray, *, epoch: int
    ) -> tuple[Ids, Ids]:
        """Return the ids of both sides; each depends on nothing but its text, seed, epoch and row."""
        source_seeds = random_keys(self.seed, epoch, 2 * rows).tolist()
        target_seeds = random_keys(self.seed, epoch, 2 * rows + 1).tolist()
        source_ids = self.tokenizer.encode_sources(sources, source_seeds)
        target_ids = self.tokenizer.encode_targets(targets, target_seeds)
        for index in range(len(rows)):
            if len(source_ids[index]) > self.max_source_tokens:
                source_ids[index] = self.tokenizer.encode_sources([sources[index]])[0]
            if len(target_ids[index]) > self.max_target_tokens:
                target_ids[index] = self.tokenizer.encode_targets([targets[index]])[0]
        return source_ids, target_ids

    def growth(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[float, float]:
        """Return how many times longer sampling makes sources and targets, measured on the first of these pairs."""
        sources, targets = sources[:_MEASURED_ROWS], targets[:_MEASURED_ROWS]
        sampled = self.encode(sources, targets, numpy.arange(len(sources)), epoch=_MEASURING_EPOCH)
        ordinary = (self.tokenizer.encode_sources(sources), self.tokenizer.encode_targets(targets))
        source_growth, target_growth = (
            sum(map(len, after)) / sum(map(len, before)) for after, before in zip(sampled, ordinary, strict=True)
        )
        return source_growth, target_growth
