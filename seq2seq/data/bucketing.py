"""Which rows share a micro-batch: a deterministic plan from lengths, seed and epoch.

Lengths enter, lists of row numbers leave; texts and tokens are never touched. Rows are shuffled, sorted by length
within large pools so that little padding is needed, cut where the token budget is full, and the batches shuffled.
Every row occurs exactly once per plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from seq2seq.data.random_keys import random_keys

POOL_ROWS = 100_000
"""Rows sorted together; large enough that padding hardly falls further, small enough that epochs differ."""

NO_LIMIT = 0
"""As a number of rows."""

ROWS_MULTIPLE = 8
"""Training batches have multiples of so many rows. Matrix libraries keep kernels for each shape they meet: on Multi30k
this leaves 75 different numbers of positions instead of 194, at no cost in padding."""


EarlierPlans = Sequence[Sequence[int]]
"""Pairs of a budget and a number of batches; see `plan_rest`."""


@dataclass(frozen=True)
class Plan:
    """The batches of one pass, as row numbers."""

    batches: list[numpy.ndarray]
    padding_share: float
    """Share of all source and target positions that hold padding, in [0, 1)."""
    num_oversized: int
    """Batches of a single row that is longer than the budget by itself."""


def plan_batches(
    source_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    *,
    batch_tokens: int,
    max_batch_rows: int = NO_LIMIT,
    seed: int,
    epoch: int,
    pool: int = 0,
) -> Plan:
    """Return batches in which rows times the sum of the longest source and longest target is within the budget.

    A row beyond the budget gets a batch of its own and is counted. `pool` numbers the parts of a stream's epoch.

    Args:
        batch_tokens: source plus target tokens, padding included.
        max_batch_rows: 0 sets no limit.
    """
    keys = random_keys(seed, epoch, pool, numpy.arange(2 * len(source_lengths)))
    row_keys, batch_keys = numpy.split(keys, 2) if len(source_lengths) else (keys, keys)
    shuffled = numpy.argsort(row_keys, kind="stable")
    orders = [
        rows[snake_order(source_lengths[rows], target_lengths[rows])]
        for rows in numpy.array_split(shuffled, max(1, -(-len(shuffled) // POOL_ROWS)))
    ]
    plans = [
        cut_batches(
            order,
            source_lengths,
            target_lengths,
            batch_tokens=batch_tokens,
            max_batch_rows=max_batch_rows,
            rows_multiple=ROWS_MULTIPLE,
        )
        for order in orders
    ]
    batches = [batch for plan in plans for batch in plan.batches]
    shuffled_batches = [batches[index] for index in numpy.argsort(batch_keys[: len(batches)], kind="stable")]
    return Plan(
        shuffled_batches,
        padding_share(shuffled_batches, source_lengths, target_lengths),
        sum(plan.num_oversized for plan in plans),
    )


def plan_rest(
    source_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    *,
    earlier: EarlierPlans,
    batch_tokens: int,
    **options: Any,
) -> Plan:
    """Return the plan of the rows that earlier plans have left: with them, every row occurs exactly once.

    Args:
        earlier: the budgets of the plans before, each with how many of its first batches were used. The first planned
            all rows, each other what those before it had left.
        options: those of `plan_batches`.
    """
    rows = numpy.arange(len(source_lengths))
    for budget, num_used in earlier:
        before = plan_batches(source_lengths[rows], target_lengths[rows], batch_tokens=budget, **options)
        rows = rows[numpy.sort(numpy.concatenate([rows[:0], *before.batches[num_used:]]))]
    plan = plan_batches(source_lengths[rows], target_lengths[rows], batch_tokens=batch_tokens, **options)
    return replace(plan, batches=[rows[batch] for batch in plan.batches])


def snake_order(source_lengths: numpy.ndarray, target_lengths: numpy.ndarray) -> numpy.ndarray:
    """Return the stable order by source length, then by target length up and down in turn.

    Turning round at each source length keeps neighbours alike in both lengths where one source length meets the next.
    """
    targets = numpy.where(source_lengths % 2 == 0, target_lengths, -target_lengths)
    return numpy.lexsort((targets, source_lengths))


def cut_batches(
    order: numpy.ndarray,
    source_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    *,
    batch_tokens: int,
    max_batch_rows: int = NO_LIMIT,
    rows_multiple: int = 1,
) -> Plan:
    """Return `order` cut into batches, each as long as budget and row limit allow.

    Args:
        rows_multiple: a batch of twice as many rows or more, unless it is the last, has a multiple of it.
    """
    sources, targets = source_lengths[order], target_lengths[order]
    starts: list[int] = []
    start = num_oversized = 0
    while start < len(order):
        starts.append(start)
        # Longest lengths only grow, so no more rows than this can fit.
        most = max(1, int(batch_tokens // max(1, sources[start] + targets[start])))
        window = slice(start, start + min(most, max_batch_rows or most))
        longest = numpy.maximum.accumulate(sources[window]) + numpy.maximum.accumulate(targets[window])
        rows = max(1, int((longest * numpy.arange(1, len(longest) + 1) <= batch_tokens).sum()))
        num_oversized += int(longest[0] > batch_tokens)
        if rows >= 2 * rows_multiple and start + rows < len(order):
            rows -= rows % rows_multiple
        start += rows
    batches = numpy.split(order, starts[1:]) if starts else []
    return Plan(batches, padding_share(batches, source_lengths, target_lengths), num_oversized)


def padding_share(batches: list[numpy.ndarray], source_lengths: numpy.ndarray, target_lengths: numpy.ndarray) -> float:
    """Return the share of padding among all source and target positions of these batches."""
    if not batches:
        return 0.0
    sizes = numpy.array([len(batch) for batch in batches])
    starts = numpy.concatenate([[0], numpy.cumsum(sizes)[:-1]])
    order = numpy.concatenate(batches)
    sides = (source_lengths[order], target_lengths[order])
    slots = sum(int((numpy.maximum.reduceat(lengths, starts) * sizes).sum()) for lengths in sides)
    return 1.0 - sum(int(lengths.sum()) for lengths in sides) / slots


def length_sorted_batches(
    source_lengths: numpy.ndarray, *, batch_tokens: int, beam_width: int, max_batch_rows: int = NO_LIMIT
) -> list[numpy.ndarray]:
    """Return batches for decoding, longest sources first, so that a memory shortage shows at once.

    Args:
        batch_tokens: longest source times rows times `beam_width` stays within it, where one row alone does.
    """
    source_lengths = numpy.asarray(source_lengths)
    order = numpy.argsort(-source_lengths, kind="stable")
    nothing = numpy.zeros_like(source_lengths)
    budget = batch_tokens // beam_width
    return cut_batches(order, source_lengths, nothing, batch_tokens=budget, max_batch_rows=max_batch_rows).batches
