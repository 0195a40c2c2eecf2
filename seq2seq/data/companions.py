"""What one direction of a bidirectional model sees of the other in training: hypotheses in place of the reference.

Were both rows of a target the reference, the second half of each would show the other its answers. So in each batch one
row of a target is the reference and the other its companion, what a model has made of the same source from the other
end; which is which changes at random from epoch to epoch. Now and then a row has to do without.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.data.generation_order import LEFT, RIGHT, Ids, TargetRows, from_right
from seq2seq.data.random_keys import random_keys

_SIDE, _HIDDEN, _REFRESHED = 1, 2, 3
"""What a random key is for."""


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
        longest = [max(len(self.from_left[row]), len(self.from_right[row])) for row in rows]
        return 2 * numpy.maximum(target_lengths, numpy.array(longest, dtype=target_lengths.dtype))

    def __call__(self, targets: Sequence[Ids], rows: numpy.ndarray, epoch: int) -> TargetRows:
        """See `Arrangement`."""
        references = random_keys(self.seed, epoch, _SIDE, rows) % numpy.uint64(2)
        hidden = _uniform(random_keys(self.seed, epoch, _HIDDEN, rows)) < self.dropout
        ids: list[list[int]] = []
        is_scored: list[bool] = []
        for target, row, side in zip(targets, rows, references, strict=True):
            left = target if side == LEFT else self.from_left[row]
            right = target if side == RIGHT else self.from_right[row]
            ids += [list(left), from_right(right)]
            is_scored += [self.is_scored or side == LEFT, self.is_scored or side == RIGHT]
        is_visible = [not is_hidden for is_hidden in hidden for _ in (LEFT, RIGHT)]
        return TargetRows(ids, [LEFT, RIGHT] * len(targets), is_visible, is_scored)


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
