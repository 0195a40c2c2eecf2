"""Decode any number of lines, in input order, in bounded memory.

Enters an iterator of texts; leaves one `NBest` per text. Lines are read in pools; a pool is sorted by length into
batches of a token budget, and its results appear, in order again, once all of it is decoded. An empty or blank line
gives an empty output without reaching the model.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch

from seq2seq.decoding.output import EMPTY_HYPOTHESIS, NBest, TargetTokenizer, TextHypothesis
from seq2seq.decoding.search import Search
from seq2seq.models.interface import Seq2Seq

POOL_LINES = 2000
"""Lines that are held and sorted at a time."""

logger = logging.getLogger(__name__)


class Tokenizer(TargetTokenizer, Protocol):
    """How texts become tokens; both ways of encoding end with end of sentence."""

    def encode_sources(self, texts: list[str]) -> list[list[int]]: ...

    def encode_targets(self, texts: list[str]) -> list[list[int]]: ...


def batches_by_length(lengths: Sequence[int], batch_tokens: int, width: int) -> list[list[int]]:
    """Return batches of indices, longest first, of at most `batch_tokens` padded source tokens times `width`.

    An index whose length alone exceeds the budget has a batch to itself.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        # The first of a batch is its longest, to which the others are padded.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] * width <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def pad_sources(sources: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input_ids, int64 [B, S], and attention_mask, bool [B, S]."""
    longest = max(map(len, sources))
    input_ids = torch.tensor([[*source, *[pad_id] * (longest - len(source))] for source in sources])
    lengths = torch.tensor([len(source) for source in sources])
    return input_ids, torch.arange(longest) < lengths.unsqueeze(1)


def truncate_source(source: list[int], max_source_tokens: int | None, line_number: int) -> list[int]:
    """Return the source without the tokens before its last that are too many; say so in the log."""
    if max_source_tokens is None or len(source) <= max_source_tokens:
        return source
    logger.warning(
        "Line %d has %d tokens, of which the model takes %d; the rest of the line is not decoded.",
        line_number,
        len(source),
        max_source_tokens,
    )
    return [*source[: max_source_tokens - 1], source[-1]]


def decode_pool(
    lines: Sequence[str],
    model: Seq2Seq,
    tokenizer: Tokenizer,
    search: Search,
    batch_tokens: int,
    max_source_tokens: int | None,
    prefixes: Sequence[str] | None,
    first_row: int,
    device: torch.device | str,
) -> list[NBest]:
    """Return the results of lines that are all in memory; arguments as for `decode_lines`."""
    kept = [index for index, line in enumerate(lines) if line.strip()]
    encoded = tokenizer.encode_sources([lines[index] for index in kept]) if kept else []
    sources = [truncate_source(s, max_source_tokens, first_row + i + 1) for s, i in zip(encoded, kept, strict=True)]
    forced = None
    if prefixes is not None and kept:
        # A prefix is a target that has not ended.
        forced = [ids[:-1] for ids in tokenizer.encode_targets([prefixes[index] for index in kept])]
    hypotheses = [(EMPTY_HYPOTHESIS,)] * len(lines)
    for batch in batches_by_length([len(source) for source in sources], batch_tokens, search.width):
        input_ids, attention_mask = pad_sources([sources[i] for i in batch], model.pad_id)
        found = search.search(
            model,
            input_ids.to(device),
            attention_mask.to(device),
            prefixes=None if forced is None else [forced[i] for i in batch],
            rows=[first_row + kept[i] for i in batch],
        )
        for i, results in zip(batch, found, strict=True):
            hypotheses[kept[i]] = tuple(TextHypothesis.create(result, tokenizer) for result in results)
    return [NBest(first_row + i, line, hypotheses[i]) for i, line in enumerate(lines)]


def decode_lines(
    lines: Iterable[str],
    model: Seq2Seq,
    tokenizer: Tokenizer,
    search: Search,
    batch_tokens: int = 8192,
    *,
    max_source_tokens: int | None = None,
    prefixes: Iterable[str] | None = None,
    pool_lines: int = POOL_LINES,
    first_row: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[NBest]:
    """Yield one result per line, in input order.

    Args:
        lines: texts without line ends.
        batch_tokens: budget of a batch: source tokens, padding included, times the search's width.
        max_source_tokens: sources longer than this are cut, with a warning that names the line.
        prefixes: per line, text that every hypothesis begins with; empty where none is wanted.
        first_row: number of the first line, for results, warnings and sampling.

    Raises:
        ValueError: there are more or fewer prefixes than lines.
    """
    pairs = zip(lines, itertools.repeat("") if prefixes is None else prefixes, strict=prefixes is not None)
    while pool := list(itertools.islice(pairs, pool_lines)):
        pool_texts, pool_prefixes = zip(*pool, strict=True)
        yield from decode_pool(
            pool_texts,
            model,
            tokenizer,
            search,
            batch_tokens,
            max_source_tokens,
            None if prefixes is None else pool_prefixes,
            first_row,
            device,
        )
        first_row += len(pool)
