"""Pairs as texts alone, before there is a tokenizer."""

from dataclasses import dataclass

import numpy
import pyarrow

from seq2seq.data.similar_texts import Texts, string_arrays

SIDES = ("source", "target")


@dataclass(frozen=True)
class RawPairs:
    """Pairs of texts under examination.

    Args:
        name: what sentences call them, such as `training`.
        option: the section of the configuration that names them.
        sources, targets: their texts.
    """

    name: str
    option: str
    sources: pyarrow.ChunkedArray
    targets: pyarrow.ChunkedArray

    @classmethod
    def of_texts(cls, name: str, option: str, sources: Texts, targets: Texts) -> "RawPairs":
        return RawPairs(name, option, _column(sources), _column(targets))

    @property
    def num_texts(self) -> int:
        """How many sources are here, and targets."""
        return len(self.sources)

    def texts(self, side: str) -> pyarrow.ChunkedArray:
        return self.sources if side == "source" else self.targets

    def spread(self, number: int) -> numpy.ndarray:
        """Return at most so many rows whose texts are here, spread evenly."""
        return numpy.unique(numpy.linspace(0, len(self.sources) - 1, min(number, len(self.sources))).astype(int))

    def sample(self, side: str, rows: numpy.ndarray) -> list[str]:
        """Return the texts of these rows."""
        texts: list[str] = self.texts(side).take(pyarrow.array(rows)).to_pylist()
        return texts


def _column(texts: Texts) -> pyarrow.ChunkedArray:
    if isinstance(texts, pyarrow.ChunkedArray):
        return texts
    return pyarrow.chunked_array(list(string_arrays(texts)), pyarrow.string())


def pair_list(rows: numpy.ndarray, most: int = 3) -> str:
    """Return the first of several rows as a person counts pairs: `pairs 3, 17, 204, …`."""
    shown = ", ".join(f"{row + 1:,}" for row in rows[:most].tolist())
    return f"pair{'s' * (len(rows) > 1)} {shown}{', …' if len(rows) > most else ''}"
