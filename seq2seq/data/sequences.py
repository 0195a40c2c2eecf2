"""Token ids of many rows as flat arrays: values, and where in them each row starts and how long it is.

Columns of Arrow, or lists, enter; a choice of rows, or a padded matrix of them in some order of their ids, leaves.
Choosing and joining copy no ids. A corpus on disk stays there: its values are a view of the memory-mapped file, which
all processes of a machine share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy
import pyarrow

Order = Callable[[numpy.ndarray, int], numpy.ndarray]
"""From the lengths of rows and a number of columns to int64 [rows, columns]: the place in its row of the id that stands
in a column. Columns behind the end of a row may have any."""

_NOTHING = numpy.zeros(1, dtype=numpy.int32)
_MOST_BLOCKS = 16
"""Blocks of memory beyond which a column is copied into one; a memory-mapped file is a single block."""


@dataclass(frozen=True)
class Sequences:
    """Rows of ids. Row i is the `lengths[i]` values from `starts[i]` on, counted through all blocks.

    Args:
        blocks: integers, each of any width; no row begins in one and ends in another.
        starts, lengths: int64 [rows].
    """

    blocks: tuple[numpy.ndarray, ...]
    starts: numpy.ndarray
    lengths: numpy.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Sequences":
        """Return the rows of lists."""
        lengths = numpy.fromiter(map(len, rows), dtype=numpy.int64, count=len(rows))
        values = numpy.fromiter(chain.from_iterable(rows), dtype=numpy.int64, count=int(lengths.sum()))
        return cls((values,), _starts(lengths), lengths)

    @classmethod
    def of_column(cls, column: pyarrow.ChunkedArray) -> "Sequences":
        """Return the rows of a column of lists of int32, without copying what one file or few blocks hold."""
        roots = {id_: root for chunk in column.chunks for id_, root in [_root(chunk.values)]}
        if len(roots) > _MOST_BLOCKS:
            return cls.of_column(pyarrow.chunked_array([column.combine_chunks()]))
        firsts = dict(zip(roots, accumulate((root.size // 4 for root in roots.values()), initial=0), strict=False))
        starts, lengths = [], []
        for chunk in column.chunks:
            id_, root = _root(chunk.values)
            offsets = chunk.offsets.to_numpy().astype(numpy.int64)
            bytes_before = chunk.values.buffers()[1].address - root.address if root.size else 0
            starts.append(offsets[:-1] + firsts[id_] + bytes_before // 4 + chunk.values.offset)
            lengths.append(numpy.diff(offsets))
        blocks = tuple(numpy.frombuffer(root, numpy.int32, root.size // 4) for root in roots.values())
        return cls(blocks, _concatenated(starts), _concatenated(lengths))

    @classmethod
    def joined(cls, parts: Sequence["Sequences"]) -> "Sequences":
        """Return the rows of all parts, one part after another."""
        sizes = [sum(map(len, part.blocks)) for part in parts]
        starts = [part.starts + first for part, first in zip(parts, accumulate(sizes, initial=0), strict=False)]
        blocks = tuple(block for part in parts for block in part.blocks)
        return cls(blocks, _concatenated(starts), _concatenated([part.lengths for part in parts]))

    def __len__(self) -> int:
        return len(self.starts)

    def select(self, rows: numpy.ndarray) -> "Sequences":
        """Return the rows of these numbers."""
        return Sequences(self.blocks, self.starts[rows], self.lengths[rows])

    def cut(self, longest: int) -> "Sequences":
        """Return rows of no more than `longest` ids: of one that has more, the first and its last."""
        too_long = self.lengths > longest
        if not too_long.any():
            return self
        rows = self.select(numpy.flatnonzero(too_long))
        heads = Sequences(self.blocks, rows.starts, numpy.full_like(rows.lengths, longest - 1)).flat()
        values = numpy.hstack([heads.reshape(len(rows), longest - 1), rows.last().flat()[:, None]]).reshape(-1)
        starts = self.starts.copy()
        starts[too_long] = sum(map(len, self.blocks)) + longest * numpy.arange(len(rows))
        return Sequences((*self.blocks, values), starts, numpy.minimum(self.lengths, longest))

    def last(self) -> "Sequences":
        """Return each row's last id alone; no row may be empty."""
        return Sequences(self.blocks, self.starts + self.lengths - 1, numpy.ones_like(self.lengths))

    def flat(self) -> numpy.ndarray:
        """Return all ids, row by row."""
        shift = self.starts - _starts(self.lengths)
        return self._at(numpy.repeat(shift, self.lengths) + numpy.arange(int(self.lengths.sum())))

    def padded(self, pad_id: int, multiple: int = 1, order: Order | None = None) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Return int64 [rows, longest] with `pad_id` behind each row, and bool [rows, longest], True = real.

        Args:
            multiple: of which the length should be one.
            order: in which the ids of a row stand; by default their own.
        """
        columns = numpy.arange(-(-self.lengths.max(initial=0) // multiple) * multiple)
        mask = columns < self.lengths[:, None]
        places = columns if order is None else order(self.lengths, len(columns))
        return numpy.where(mask, self._at(self.starts[:, None] + places), pad_id), mask

    def to_arrow(self) -> pyarrow.Array:
        """Return the rows as an array of lists of int32."""
        offsets = numpy.append(0, numpy.cumsum(self.lengths)).astype(numpy.int32)
        return pyarrow.ListArray.from_arrays(offsets, self.flat().astype(numpy.int32))

    def tolist(self) -> list[list[int]]:
        """Return the rows as lists."""
        return [row.tolist() for row in numpy.split(self.flat(), numpy.cumsum(self.lengths)[:-1])] if len(self) else []

    def _at(self, places: numpy.ndarray) -> numpy.ndarray:
        """Return the values at places counted through all blocks, int64; any value where there is no such place."""
        if len(self.blocks) == 1:
            [values] = self.blocks
            return (values if len(values) else _NOTHING).take(places, mode="clip").astype(numpy.int64)
        ends = numpy.cumsum([len(block) for block in self.blocks])
        found = numpy.zeros(places.shape, dtype=numpy.int64)
        numbers = numpy.searchsorted(ends, places, side="right")
        for number, (block, end) in enumerate(zip(self.blocks, ends, strict=True)):
            here = numbers == number
            if len(block):
                found[here] = block.take(places[here] - (end - len(block)), mode="clip")
        return found


class SequencesByRow:
    """Rows of ids that come in any order, and some of them anew, which replaces the earlier ones."""

    def __init__(self, num_rows: int) -> None:
        self.values: list[numpy.ndarray] = []
        self.num_values = 0
        self.starts = numpy.zeros(num_rows, dtype=numpy.int64)
        self.lengths = numpy.zeros(num_rows, dtype=numpy.int64)

    def put(self, rows: numpy.ndarray, ids: Sequence[Sequence[int]]) -> None:
        """Set the ids of these rows."""
        added = Sequences.of(ids)
        self.starts[rows], self.lengths[rows] = added.starts + self.num_values, added.lengths
        self.values.append(added.blocks[0].astype(numpy.int32))
        self.num_values += len(added.blocks[0])

    def sequences(self) -> Sequences:
        """Return the rows as they are now."""
        self.values = [numpy.concatenate(self.values)] if self.values else [numpy.zeros(0, dtype=numpy.int32)]
        return Sequences((self.values[0],), self.starts, self.lengths)


def _starts(lengths: numpy.ndarray) -> numpy.ndarray:
    """Return where rows of these lengths start when nothing is between them."""
    return numpy.cumsum(lengths) - lengths


def _concatenated(parts: list[numpy.ndarray]) -> numpy.ndarray:
    return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype=numpy.int64)


def _root(values: pyarrow.Array) -> tuple[tuple[int, int], pyarrow.Buffer]:
    """Return the whole block of memory that an array's values lie in, such as a mapped file, behind what names it."""
    assert values.type == pyarrow.int32(), f"token ids are stored as int32, not {values.type}"
    buffer = values.buffers()[1]
    if buffer is None:
        buffer = pyarrow.py_buffer(b"")
    root = buffer
    while root.parent is not None:
        root = root.parent
    if (buffer.address - root.address) % 4:
        root = buffer
    return (root.address, root.size), root
