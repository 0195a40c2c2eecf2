"""In which order the tokens of a target are generated, and the rows that a model is trained on for it.

Targets enter as token ids that end with end of sentence; rows of ids leave, one a target or, for both directions, two.
Order is turned here, on ids after segmentation: no text is ever reversed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy

GenerationOrder = Literal["l2r", "r2l", "bidirectional", "interleaved"]
"""From the left; from the right; both, each for itself or in one search; from both ends to the middle."""

Ids = Sequence[int]
LEFT, RIGHT = 0, 1


class TargetRows(NamedTuple):
    """What becomes labels and decoder inputs: G successive rows for each target."""

    ids: list[list[int]]
    sides: list[int] | None = None
    """The end that each row begins at; None where all begin left or the model knows."""
    is_visible: list[bool] | None = None
    """Whether a row may be seen by the other row of its target; None = no row."""
    is_scored: list[bool] | None = None
    """Whether a row's labels count; None = all do."""
    num_starts: int = 1
    """Start tokens before a row, as many as tokens that are generated in a step."""


class Arrangement(Protocol):
    """How targets become rows."""

    def slots(self, target_lengths: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
        """Return how many positions the rows of each target take."""

    def __call__(self, targets: Sequence[Ids], rows: numpy.ndarray, epoch: int) -> TargetRows:
        """Return the rows of these targets.

        Args:
            rows: each target's number in its corpus.
            epoch: on which, with the number, random choices depend.
        """


def from_right(ids: Ids) -> list[int]:
    """Return the tokens from right to left, end of sentence at the end as before."""
    return [*reversed(ids[:-1]), ids[-1]]


def interleaved(ids: Ids) -> list[int]:
    """Return the tokens from both ends in turn: A E B D C </s> for A B C D E </s>."""
    words = ids[:-1]
    return [words[i // 2] if i % 2 == 0 else words[-1 - i // 2] for i in range(len(words))] + [ids[-1]]


def from_interleaved(ids: Ids) -> list[int]:
    """Return tokens from both ends in turn, without end of sentence, from left to right."""
    return [*ids[::2], *reversed(ids[1::2])]


ROWS: dict[GenerationOrder, Callable[[Ids], list[list[int]]]] = {
    "l2r": lambda ids: [list(ids)],
    "r2l": lambda ids: [from_right(ids)],
    "bidirectional": lambda ids: [list(ids), from_right(ids)],
    "interleaved": lambda ids: [interleaved(ids)],
}


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

    def __call__(self, targets: Sequence[Ids], rows: numpy.ndarray, epoch: int) -> TargetRows:
        """See `Arrangement`; nothing is random."""
        arranged = [row for ids in targets for row in ROWS[self.order](ids)]
        sides = [LEFT, RIGHT] * len(targets) if self.order == "bidirectional" else None
        return TargetRows(arranged, sides, num_starts=num_starts(self.order))
