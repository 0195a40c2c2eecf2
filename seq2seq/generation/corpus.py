"""Decode any number of lines, in input order, in bounded memory.

Enters an iterator of texts; leaves one `NBest` per text. Lines are read in pools; a pool is sorted by length into
batches of a token budget, and its results appear, in order again, once all of it is decoded. An empty or blank line
gives an empty output without reaching the model; one whose search fails gives an empty output that has the error.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy

from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.data.cutting import cut_ids, smallest
from seq2seq.generation.batches import BATCH_TOKENS, Searcher, SourceBatch
from seq2seq.generation.output import EMPTY_HYPOTHESIS, NBest, TargetTokenizer, TextHypothesis

POOL_LINES = 2000
"""Lines that are held and sorted at a time."""

BATCHES_PER_WORKER = 3
"""Least batches of a pool for each of several workers. The last are the shortest, so all end at about the same time."""

END = object()
"""What stands behind the last line."""

logger = logging.getLogger(__name__)


class Tokenizer(TargetTokenizer, Protocol):
    """How texts become tokens; sources end with end of sentence."""

    def encode_sources(self, texts: list[str]) -> list[list[int]]: ...

    def forced_starts(self, prefixes: Sequence[str] | None, number: int) -> list[list[int]] | None:
        """Return the tokens that so many targets have to begin with; None where there are none."""


def truncated(
    sources: Sequence[list[int]], max_source_tokens: int | None, line_numbers: Sequence[int]
) -> list[list[int]]:
    """Return sources without the tokens before their last that are too many; say in the log of which line, and how many
    more there are."""
    longest = max_source_tokens
    if longest is None:
        return list(sources)
    cut = [place for place, source in enumerate(sources) if len(source) > longest]
    if cut:
        logger.warning(
            "Line %d has %d tokens, of which the model takes %d; the rest of the line is not decoded.%s",
            line_numbers[cut[0]],
            len(sources[cut[0]]),
            longest,
            f" So it is with {len(cut) - 1:,} more of {len(sources):,} lines." if len(cut) > 1 else "",
        )
    return [cut_ids(source, longest) for source in sources]


def decode_pool(
    lines: Sequence[str],
    searcher: Searcher,
    tokenizer: Tokenizer,
    batch_tokens: int,
    max_source_tokens: int | None,
    prefixes: Sequence[str] | None,
    first_row: int,
    source_prefix: str,
) -> list[NBest]:
    """Return the results of lines that are all in memory; arguments as for `decode_lines`."""
    kept = [index for index, line in enumerate(lines) if line.strip()]
    encoded = tokenizer.encode_sources([source_prefix + lines[index] for index in kept]) if kept else []
    longest = smallest((max_source_tokens, searcher.max_source_tokens))
    sources = truncated(encoded, longest, [first_row + index + 1 for index in kept])
    given = None if prefixes is None else [prefixes[index] for index in kept]
    forced = tokenizer.forced_starts(given, len(kept)) if kept else None
    lengths = numpy.array([len(source) for source in sources], dtype=numpy.int64)
    width = searcher.search.width
    if searcher.num_workers > 1:  # all should have something to do until the end
        share = int(lengths.sum()) * width // (BATCHES_PER_WORKER * searcher.num_workers)
        batch_tokens = max(1, min(batch_tokens, share))
    plan = length_sorted_batches(lengths, batch_tokens=batch_tokens, beam_width=width)
    batches = (
        SourceBatch(
            sources=[sources[i] for i in batch],
            rows=[first_row + kept[i] for i in batch],
            prefixes=None if forced is None else [forced[i] for i in batch],
        )
        for batch in plan
    )
    hypotheses: list[tuple[TextHypothesis, ...]] = [(EMPTY_HYPOTHESIS,)] * len(lines)
    for batch, found in zip(plan, searcher.search_batches(batches), strict=True):
        for i, results in zip(batch, found, strict=True):
            hypotheses[kept[i]] = tuple(TextHypothesis.create(result, tokenizer) for result in results)
            for error in filter(None, (result.error for result in results)):
                logger.error("Line %d could not be decoded: %s", first_row + kept[i] + 1, error)
    return [NBest(first_row + i, line, hypotheses[i]) for i, line in enumerate(lines)]


def pools_of(
    lines: Iterable[str | None], prefixes: Iterable[str] | None, pool_lines: int
) -> Iterator[tuple[list[str], list[str] | None]]:
    """Yield lists of at most `pool_lines` lines with their prefixes, of fewer where a None comes before.

    Raises:
        ValueError: there are not as many prefixes as lines, or something is no text.
    """
    lines, prefixes = iter(lines), None if prefixes is None else iter(prefixes)
    while pool := _pool(lines, pool_lines):
        pool_prefixes = None if prefixes is None else list(itertools.islice(prefixes, len(pool)))
        if pool_prefixes is not None and len(pool_prefixes) < len(pool):
            raise ValueError("There are fewer prefixes than lines; give every line one, empty where none is wanted.")
        if not all(isinstance(prefix, str) for prefix in pool_prefixes or ()):
            raise ValueError("A prefix is no text; give every line one, empty where none is wanted.")
        yield pool, pool_prefixes
    if prefixes is not None and next(prefixes, None) is not None:
        raise ValueError("There are more prefixes than lines.")


def _pool(lines: Iterator[str | None], pool_lines: int) -> list[str]:
    """Return the next lines, at the end an empty list."""
    pool: list[str] = []
    while len(pool) < pool_lines:
        line = next(lines, END)
        if isinstance(line, str):
            pool.append(line)
        elif line is END or (line is None and pool):
            break
        elif line is not None:
            raise ValueError(f"A line must be a str, but is {line!r:.60}; give texts alone.")
    return pool


def check_max_source_tokens(max_source_tokens: int | None) -> None:
    """Raise ValueError for a limit that leaves nothing of a source besides its end."""
    if max_source_tokens is not None and max_source_tokens < 2:
        raise ValueError(
            f"`max_source_tokens` counts end of sentence too and must be at least 2, but is {max_source_tokens}."
        )


def decode_lines(
    lines: Iterable[str | None],
    searcher: Searcher,
    tokenizer: Tokenizer,
    batch_tokens: int = BATCH_TOKENS,
    *,
    max_source_tokens: int | None = None,
    prefixes: Iterable[str] | None = None,
    pool_lines: int = POOL_LINES,
    first_row: int = 0,
    source_prefix: str = "",
) -> Iterator[NBest]:
    """Yield one result per line, in input order.

    Args:
        lines: texts without line ends. None among them says that nothing more is there yet: those before it are
            decoded without waiting for `pool_lines`.
        batch_tokens: budget of a batch: source tokens, padding included, times the search's width.
        max_source_tokens: sources longer than this, or than the model takes, are cut, with a warning that names the
            line.
        prefixes: per line, text that every hypothesis begins with; empty where none is wanted.
        first_row: number of the first line, for results, warnings and sampling.
        source_prefix: put before every line for the model alone; results hold the lines as they came.

    Raises:
        ValueError: there are more or fewer prefixes than lines, or `max_source_tokens` or `batch_tokens` is too small.
        UnsuitableModel: the model cannot do what the search asks of it.
    """
    check_max_source_tokens(max_source_tokens)
    if batch_tokens < 1:
        raise ValueError(f"`batch_tokens` must be at least 1, but is {batch_tokens}.")
    for pool, pool_prefixes in pools_of(lines, prefixes, pool_lines):
        yield from decode_pool(
            pool, searcher, tokenizer, batch_tokens, max_source_tokens, pool_prefixes, first_row, source_prefix
        )
        first_row += len(pool)
