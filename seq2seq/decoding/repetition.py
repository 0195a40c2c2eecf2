"""How much sequences repeat themselves: n-grams that occurred before in the same sequence, and immediate repeats.

Sequences of words or tokens enter, shares leave. A reference has some of both; what says that a model is caught in a
loop is the difference from the references.
"""

from collections.abc import Hashable, Sequence
from itertools import pairwise


def repeated_ngrams(sequences: Sequence[Sequence[Hashable]], size: int = 4) -> float:
    """Return the share of n-grams that occurred before in their own sequence, 1 - distinct / all, 0 without any.

    Welleck et al. (2020) give the mean of this over sequences; here it is pooled, so that a short sequence does not
    count as much as a long one.
    """
    num_all = num_distinct = 0
    for units in sequences:
        ngrams = [tuple(units[i : i + size]) for i in range(len(units) - size + 1)]
        num_all += len(ngrams)
        num_distinct += len(set(ngrams))
    return 1 - num_distinct / num_all if num_all else 0.0


def adjacent_repeats(sequences: Sequence[Sequence[Hashable]]) -> float:
    """Return the share of units, the first of each sequence left out, that equal the unit before; 0 without any."""
    repeats = [before == after for units in sequences for before, after in pairwise(units)]
    return sum(repeats) / len(repeats) if repeats else 0.0
