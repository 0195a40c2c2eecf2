"""What a model says of the sources of a report: its outputs by its own search, in batches, on one or several processes.

A generator and sources enter; texts leave, with how long it took and which searches failed. Progress goes to standard
error, as a bar on a terminal and as a line now and then elsewhere.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from seq2seq.assembly.generator import TextGenerator
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WorkerProcesses
from seq2seq.generation.batches import Searcher
from seq2seq.reporting.energy import Meter

POOL_LINES = 500
"""Sources that are sorted by length and searched before the first of them is counted as done."""
SECONDS_BETWEEN_LINES = 20.0


@dataclass(frozen=True)
class Decoded:
    """What a model says of N sources."""

    outputs: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    """Of each output, end of sentence included; empty where a search failed."""
    failed: tuple[int, ...]
    """Rows whose search failed; their outputs are empty."""
    unfinished: tuple[int, ...]
    """Rows whose output ends where the longest length is, not by itself."""
    seconds: float
    joules: float | None
    """What the processors used meanwhile, all programs together; None where the machine does not tell."""


def reading_whole_sources(generator: TextGenerator) -> TextGenerator:
    """Return a generator that puts nothing before sources, which have their prefix already."""
    found = copy(generator)
    found.source_prefix = ""
    return found


def decoded(generator: TextGenerator, sources: Sequence[str], name: str, *, processes: int, progress: bool) -> Decoded:
    """Return the outputs of all sources.

    Args:
        name: of the model, for the progress.
        processes: that search; several need to be forked before this process computes on more than one thread.
    """
    searcher: Any = generator.searcher()
    opened: AbstractContextManager[Searcher] = nullcontext(searcher)
    if processes > 1:
        assert isinstance(searcher, InProcess), "a generator's own search is in this process"
        opened = WorkerProcesses(generator.model, searcher.search, processes)
    started, meter = time.perf_counter(), Meter()
    with opened as searching:
        results = generator.stream(sources, searcher=searching, pool_lines=POOL_LINES)
        found = list(_shown(results, len(sources), name) if progress else results)
    seconds = time.perf_counter() - started
    best = [nbest.hypotheses[0] for nbest in found]
    return Decoded(
        outputs=tuple(hypothesis.text for hypothesis in best),
        token_ids=tuple(hypothesis.token_ids for hypothesis in best),
        failed=tuple(row for row, nbest in enumerate(found) if nbest.failed),
        unfinished=tuple(row for row, h in enumerate(best) if not h.finished and h.error is None),
        seconds=seconds,
        joules=meter.joules(),
    )


def _shown(results: Iterator[Any], total: int, name: str) -> Iterator[Any]:
    """Yield the results, and say how far it is."""
    if sys.stderr.isatty():
        yield from tqdm(results, total=total, unit="text", desc=name, dynamic_ncols=True, leave=False)
        return
    said = time.perf_counter()
    for number, result in enumerate(results, start=1):
        yield result
        is_whole = number % POOL_LINES == 0 and number < total
        if is_whole and time.perf_counter() - said > SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            print(f"{name}: {number:,} of {total:,} texts generated", file=sys.stderr, flush=True)
