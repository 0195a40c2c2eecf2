"""What one direction of a bidirectional model sees of the other in training: hypotheses in place of the reference.

Were both rows of a target the reference, the second half of each would show the other its answers. So in each batch one
row of a target is the reference and the other its companion, what a model has made of the same source from the other
end; which is which changes at random from epoch to epoch. Now and then a row has to do without, and always where its
companion has run away: a loop, such as a greedy search falls into, is long, so that what learns its tokens soon loops.
"""

from dataclasses import dataclass
from typing import Any

import numpy

from seq2seq.data.generation_order import LEFT, RIGHT, TargetRows, turned
from seq2seq.data.random_keys import random_keys
from seq2seq.data.sequences import Sequences

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

    from_left: Sequences
    from_right: Sequences
    seed: int
    dropout: float
    is_scored: bool

    def slots(self, target_lengths: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
        """Return the positions that both rows of each target take."""
        longest = target_lengths.copy()
        for companions in (self.from_left, self.from_right):
            lengths = companions.lengths[rows]
            longest = numpy.maximum(longest, numpy.where(has_run_away(lengths, target_lengths), 0, lengths))
        return 2 * longest

    def __call__(self, targets: Sequences, rows: numpy.ndarray, epoch: int) -> TargetRows:
        """See `Arrangement`."""
        references = (random_keys(self.seed, epoch, _SIDE, rows) % numpy.uint64(2)).astype(numpy.int64)
        hidden = _uniform(random_keys(self.seed, epoch, _HIDDEN, rows)) < self.dropout
        lengths = numpy.where(references == LEFT, self.from_right.lengths[rows], self.from_left.lengths[rows])
        is_used = ~has_run_away(lengths, targets.lengths)

        # One of four for each row: the reference, a companion, or of one that is not used the end of sentence alone.
        parts = [targets, self.from_left.select(rows), self.from_right.select(rows), targets.last()]
        reference, from_left, from_right, end = numpy.arange(len(parts))
        left = numpy.where(references == LEFT, reference, numpy.where(is_used, from_left, end))
        right = numpy.where(references == RIGHT, reference, numpy.where(is_used, from_right, end))
        chosen = numpy.stack([left, right], 1) * len(targets) + numpy.arange(len(targets))[:, None]

        sides = numpy.tile([LEFT, RIGHT], len(targets))
        return TargetRows(
            Sequences.joined(parts).select(chosen.ravel()),
            turned(sides == RIGHT),
            sides,
            is_visible=numpy.repeat(is_used & ~hidden, 2),
            is_scored=(numpy.repeat(references, 2) == sides) | numpy.repeat(is_used & self.is_scored, 2),
        )


def has_run_away(lengths: Any, target_lengths: Any) -> Any:
    """Return whether a companion of this length is one of no use, elementwise; see `RUNAWAY_RATIO`."""
    return lengths > RUNAWAY_RATIO * target_lengths + RUNAWAY_TOKENS


def share_run_away(lengths: numpy.ndarray, target_lengths: numpy.ndarray) -> float:
    """Return the share of companions that are not used, being far longer than the reference."""
    return float(has_run_away(lengths, target_lengths).sum()) / max(len(target_lengths), 1)


def refreshed_rows(num_rows: int, refresh: int, share: float, seed: int) -> numpy.ndarray:
    """Return the rows whose companions are generated anew at a refresh, counted from 0, in ascending order.

    No row has its second turn before all have had their first.
    """
    order = numpy.argsort(random_keys(seed, _REFRESHED, numpy.arange(num_rows)), kind="stable")
    count = max(1, round(share * num_rows))
    return numpy.sort(order.take(numpy.arange(refresh * count, (refresh + 1) * count), mode="wrap"))


def _uniform(keys: numpy.ndarray) -> numpy.ndarray:
    """Return numbers in [0, 1), float64."""
    return (keys >> numpy.uint64(11)).astype(numpy.float64) / 2.0**53
