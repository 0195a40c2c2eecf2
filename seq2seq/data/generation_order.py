"""In which order the tokens of a target are generated, and the rows that a model is trained on for it.

Targets enter as token ids that end with end of sentence; rows of ids leave, one a target or, for both directions, two.
Order is turned here, on ids after segmentation, as a permutation that depends on lengths alone: no text is ever
reversed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy

from seq2seq.data.sequences import Order, Sequences

GenerationOrder = Literal["l2r", "r2l", "bidirectional", "interleaved"]
"""From the left; from the right; both, each for itself or in one search; from both ends to the middle."""

Ids = Sequence[int]
LEFT, RIGHT = 0, 1


class TargetRows(NamedTuple):
    """What becomes labels and decoder inputs: G successive rows for each target."""

    ids: Sequences
    """From left to right, end of sentence at the end."""
    order: Order | None = None
    """Of generation, in which the ids stand in the batch; None = that of reading."""
    sides: numpy.ndarray | None = None
    """int64, the end that each row begins at; None where all begin left or the model knows."""
    is_visible: numpy.ndarray | None = None
    """bool, whether a row may be seen by the other row of its target; None = no row."""
    is_scored: numpy.ndarray | None = None
    """bool, whether a row's labels count; None = all do."""
    num_starts: int = 1
    """Start tokens before a row, as many as tokens that are generated in a step."""


class Arrangement(Protocol):
    """How targets become rows."""

    def slots(self, target_lengths: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
        """Return how many positions the rows of each target take."""

    def __call__(self, targets: Sequences, rows: numpy.ndarray, epoch: int) -> TargetRows:
        """Return the rows of these targets.

        Args:
            rows: each target's number in its corpus.
            epoch: on which, with the number, random choices depend.
        """


def from_right(ids: Ids) -> list[int]:
    """Return the tokens from right to left, end of sentence at the end as before."""
    return [*reversed(ids[:-1]), ids[-1]]


def turned(is_turned: numpy.ndarray | bool) -> Order:
    """Return the order from right to left, end of sentence at the end as before: C B A </s> for A B C </s>.

    Args:
        is_turned: bool [rows], which rows have it; the others stay.
    """

    def places(lengths: numpy.ndarray, num_columns: int) -> numpy.ndarray:
        found = numpy.where(is_turned, -1, 1)[..., None] * numpy.arange(num_columns)
        return _ended(found + numpy.where(is_turned, lengths - 2, 0)[:, None], lengths)

    return places


def interleaved(lengths: numpy.ndarray, num_columns: int) -> numpy.ndarray:
    """Be the order from both ends in turn: A E B D C </s> for A B C D E </s>."""
    steps = numpy.arange(num_columns) // 2
    found = numpy.empty((len(lengths), num_columns), dtype=numpy.int64)
    found[:, 0::2] = steps[0::2]
    found[:, 1::2] = lengths[:, None] - 2 - steps[1::2]
    return _ended(found, lengths)


def _ended(places: numpy.ndarray, lengths: numpy.ndarray) -> numpy.ndarray:
    """Return the places with end of sentence, a row's last, where it was; rows must not be empty."""
    places[numpy.arange(len(lengths)), lengths - 1] = lengths - 1
    return places


def num_starts(order: str) -> int:
    """Return how many start tokens stand before a row: as many as the order generates in one step of a row."""
    return 2 if order == "interleaved" else 1


@dataclass(frozen=True)
class Arranged:
    """The targets themselves in a generation order; rows never see each other."""

    order: GenerationOrder = "l2r"

    def slots(self, target_lengths: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
        """See `Arrangement`."""
        return target_lengths * (2 if self.order == "bidirectional" else 1)

    def __call__(self, targets: Sequences, rows: numpy.ndarray, epoch: int) -> TargetRows:
        """See `Arrangement`; nothing is random."""
        match self.order:
            case "l2r":
                return TargetRows(targets)
            case "r2l":
                return TargetRows(targets, turned(True))
            case "interleaved":
                return TargetRows(targets, interleaved, num_starts=num_starts(self.order))
        sides = numpy.tile([LEFT, RIGHT], len(targets))
        return TargetRows(targets.select(numpy.repeat(numpy.arange(len(targets)), 2)), turned(sides == RIGHT), sides)
