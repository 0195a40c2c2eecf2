"""One endless stream of numbered micro-batches, shared by all processes and resumable at any place.

Parts of epochs enter, each planned as a whole; what leaves is this process's micro-batches, each paired with the
position after its round, so that prefetching never lets a position run ahead of its batch. Process r of n takes numbers
r, r+n, r+2n, ... after the starting position.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy

from seq2seq.data.batch import Batch
from seq2seq.data.prefetch import prefetch

PREFETCHED_BATCHES = 8
LARGEST_COUNT = 2**53
_COUNTS = ("number", "seen")
"""What a position counts through all epochs; all else is a place in one."""

Position = dict[str, Any]
"""Where in the stream one is, as JSON: `epoch`, `pool` in the epoch, `batch` in the pool, and the stream's `number`.

Where corpora are mixed, `seen` counts the rows of each so far, in this epoch and those before.

`batch` counts batches of a plan, and a plan depends on the budget of a batch, so that is there as `batch_tokens`. Where
the budget has changed within a pool, `earlier` has the budgets before and how many batches of each were used, and
`batch` counts those of the plan of all rows that were left: no pair of the pool is left out or seen twice.
"""


@dataclass(frozen=True)
class Part:
    """Batches planned together; `start` and `end` are the positions before and after them, without `number`."""

    start: Position
    end: Position
    batches: list[numpy.ndarray]
    make_batch: Callable[[numpy.ndarray], Batch]
    counted: Callable[[numpy.ndarray], dict[str, int]] | None = None
    """From a batch to how many of its rows are of which corpus, where that is counted."""


def check_position(position: Position) -> None:
    """Raise ValueError for what cannot be a position; it comes from a file."""
    counts = [position.get(name, 0) for name in ("pool", "batch_tokens")] if isinstance(position, dict) else []
    earlier = position.get("earlier", []) if isinstance(position, dict) else []
    if isinstance(position, dict) and isinstance(earlier, list) and all(isinstance(pair, list) for pair in earlier):
        counts += [position.get(name) for name in ("epoch", "batch", "number")]
        seen = position.get("seen", {})
        counts += seen.values() if isinstance(seen, dict) else [None]
        counts += [count for pair in earlier for count in (pair if len(pair) == 2 else [None])]
        if all(isinstance(count, int) and 0 <= count < LARGEST_COUNT for count in counts):
            return
    raise ValueError(
        f"The checkpoint says of the place in its data {str(position)[:80]}, which is none; it is damaged."
    )


def recounted(position: Position, batch_tokens: int) -> Position:
    """Return the same place as a position for this budget; one that knows of no budget was counted by it.

    Raises:
        ValueError: it is no position.
    """
    check_position(position)
    before = position.get("batch_tokens", batch_tokens)
    if before == batch_tokens or not position["batch"]:
        return {**position, "batch_tokens": batch_tokens}
    earlier = [*position.get("earlier", []), [before, position["batch"]]]
    return {**position, "batch": 0, "batch_tokens": batch_tokens, "earlier": earlier}


def part_start(position: Position) -> Position:
    """Return the beginning of the part in which a position is."""
    return {name: value for name, value in position.items() if name not in _COUNTS} | {"batch": 0}


def counts_of(position: Position) -> Position:
    """Return what a position counts through all epochs."""
    return {name: position[name] for name in _COUNTS if name in position}


def rows_seen(position: Any) -> dict[str, dict[str, int]]:
    """Return what a log says of a position: how many rows of each corpus were trained on, where corpora are mixed."""
    return {"rows_seen": position["seen"]} if isinstance(position, dict) and "seen" in position else {}


def micro_batches(
    parts: Iterator[Part], position: Position, *, num_processes: int, process_index: int
) -> Generator[tuple[Position, Batch], None, None]:
    """Yield this process's micro-batches from `position` on, each with the position after its round.

    A round is one micro-batch for every process, so the position is the same in all of them; its `number` counts the
    micro-batches of all processes so far. Both batches and the next part are made ahead in the background.

    Args:
        parts: endless, and starting with the part in which `position` is.
    """
    numbered = _numbered(prefetch(parts, 1), position)
    turns = _turns(numbered, num_processes, process_index)
    return prefetch(((after, part.make_batch(rows)) for after, part, rows in turns), PREFETCHED_BATCHES)


def _numbered(parts: Iterator[Part], position: Position) -> Iterator[tuple[Position, Part, numpy.ndarray]]:
    """Yield every process's micro-batches, unmade, each with the position after it."""
    first, counts = position["batch"], counts_of(position)
    for part in parts:
        for batch in range(first, len(part.batches)):
            counts = {**counts, "number": counts["number"] + 1}
            if part.counted is not None:
                added, seen = part.counted(part.batches[batch]), counts.get("seen", {})
                counts["seen"] = {label: seen.get(label, 0) + count for label, count in added.items()}
            ends_part = batch + 1 == len(part.batches)
            after = part.end if ends_part else {**part.start, "batch": batch + 1}
            yield {**after, **counts}, part, part.batches[batch]
        first = 0


def _turns(
    stream: Iterator[tuple[Position, Part, numpy.ndarray]], num_processes: int, process_index: int
) -> Iterator[tuple[Position, Part, numpy.ndarray]]:
    """Yield this process's item of each round, with the position after the whole round."""
    while len(turns := list(islice(stream, num_processes))) == num_processes:
        _, part, rows = turns[process_index]
        yield turns[-1][0], part, rows
