"""Limits of length, and what becomes of a sequence beyond one."""

from collections.abc import Iterable


def smallest(limits: Iterable[int | None]) -> int | None:
    """Return the smallest of several limits, of which None is no limit."""
    return min((limit for limit in limits if limit is not None), default=None)


def cut_ids(ids: list[int], longest: int) -> list[int]:
    """Return a sequence of no more than `longest` ids: of a longer one the first and its last, as `Sequences.cut`."""
    return ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]
