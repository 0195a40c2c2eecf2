"""What one direction of a bidirectional model sees of the other in training: hypotheses in place of the reference.

Were both rows of a target the reference, the second half of each would show the other its answers. So in each batch one
row of a target is the reference and the other its companion, what a model has made of the same source from the other
end; which is which changes at random from epoch to epoch. Now and then a row has to do without, and always where its
companion has run away: a loop, such as a greedy search falls into, is long, so that what learns its tokens soon loops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from seq2seq.data.generation_order import LEFT, RIGHT, Ids, TargetRows, from_right
from seq2seq.data.random_keys import random_keys

_SIDE, _HIDDEN, _REFRESHED = 1, 2, 3
"""What a random key is for."""

RUNAWAY_RATIO, RUNAWAY_TOKENS = 1.5, 5
"""A companion is not used that is longer than its reference by this factor and by so many tokens more. On image
captions 2 % of those from the right were, and had a tenth of the tokens."""


@dataclass(frozen=True)
class CompanionRows:
    """Arranges each target with a companion (see `generation_order.Arrangement`).

    Args:
        from_left: for each row of the corpus, the ids that were generated from the left, end of sentence at the end.
        from_right: those generated from the right, read from left to right.
        dropout: probability that the rows of a target do not see each other.
        is_scored: whether a companion's own tokens are predicted too, as in the authors' code.
    """

    from_left: Sequence[Ids]
    from_right: Sequence[Ids]
    seed: int
    dropout: float = 0.1
    is_scored: bool = True

    def slots(self, target_lengths: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
        """Return the positions that both rows of each target take."""
        longest = target_lengths.copy()
        for companions in (self.from_left, self.from_right):
            lengths = numpy.array([len(companions[row]) for row in rows], dtype=target_lengths.dtype)
            longest = numpy.maximum(longest, numpy.where(has_run_away(lengths, target_lengths), 0, lengths))
        return 2 * longest

    def __call__(self, targets: Sequence[Ids], rows: numpy.ndarray, epoch: int) -> TargetRows:
        """See `Arrangement`."""
        references = random_keys(self.seed, epoch, _SIDE, rows) % numpy.uint64(2)
        hidden = _uniform(random_keys(self.seed, epoch, _HIDDEN, rows)) < self.dropout
        ids: list[list[int]] = []
        is_visible: list[bool] = []
        is_scored: list[bool] = []
        for target, row, side, is_hidden in zip(targets, rows, references, hidden, strict=True):
            companion = self.from_right[row] if side == LEFT else self.from_left[row]
            is_used = not has_run_away(len(companion), len(target))
            companion = companion if is_used else target[-1:]
            left, right = (target, companion) if side == LEFT else (companion, target)
            ids += [list(left), from_right(right)]
            is_visible += [is_used and not is_hidden] * 2
            is_scored += [side == end or (self.is_scored and is_used) for end in (LEFT, RIGHT)]
        return TargetRows(ids, [LEFT, RIGHT] * len(targets), is_visible, is_scored)


def has_run_away(lengths: Any, target_lengths: Any) -> Any:
    """Return whether a companion of this length is one of no use, elementwise; see `RUNAWAY_RATIO`."""
    return lengths > RUNAWAY_RATIO * target_lengths + RUNAWAY_TOKENS


def share_run_away(companions: Sequence[Ids], targets: Sequence[Ids]) -> float:
    """Return the share of companions that are not used, being far longer than the reference."""
    return sum(has_run_away(len(a), len(b)) for a, b in zip(companions, targets, strict=True)) / max(len(targets), 1)


def refreshed_rows(num_rows: int, refresh: int, share: float, seed: int) -> numpy.ndarray:
    """Return the rows whose companions are generated anew at a refresh, counted from 0, in ascending order.

    No row has its second turn before all have had their first.
    """
    order = numpy.argsort(random_keys(seed, _REFRESHED, numpy.arange(num_rows)), kind="stable")
    count = max(1, round(share * num_rows))
    return numpy.sort(order.take(numpy.arange(refresh * count, (refresh + 1) * count), mode="wrap"))


def share_identical(companions: Sequence[str], targets: Sequence[str]) -> float:
    """Return the share of companions that are the reference itself, and so leak what they should not."""
    return sum(a == b for a, b in zip(companions, targets, strict=True)) / max(len(targets), 1)


def _uniform(keys: numpy.ndarray) -> numpy.ndarray:
    """Return numbers in [0, 1), float64."""
    return (keys >> numpy.uint64(11)).astype(numpy.float64) / 2.0**53
