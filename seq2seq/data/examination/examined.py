"""A corpus under examination: its texts as columns, its token ids, and its measures."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy
import pyarrow.compute as pc

from seq2seq.data.corpus import Dataset
from seq2seq.data.encoded_pairs import EncodedPairs
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs
from seq2seq.data.loader import stored_pairs
from seq2seq.data.sequences import Sequences

EXAMINED_TEXTS = 1_000_000
"""Pairs whose texts are looked at; of a larger corpus the first. Lengths are those of all."""
COUNTED_PAIRS = 100_000
"""Pairs whose tokens are counted, spread evenly."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of a side, end of sentence included."""

    median: int
    most: int
    """95 % have no more."""
    longest: int

    @classmethod
    def of(cls, lengths: numpy.ndarray) -> "Lengths":
        if not len(lengths):
            return cls(0, 0, 0)
        median, most = numpy.percentile(lengths, (50, 95), method="inverted_cdf")
        return cls(int(median), int(most), int(lengths.max()))


@dataclass(frozen=True)
class Examined(RawPairs):
    """A corpus; its texts are those of its first pairs, without the prefix of sources.

    Args:
        pairs: ids of all pairs.
        firsts: the first row of each of the corpora that it consists of, by the section that names it; without any, it
            is a single one.
    """

    pairs: EncodedPairs
    firsts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        option: str,
        corpus: Dataset,
        prefixes: Collection[str] = (),
        firsts: Mapping[str, int] | None = None,
    ) -> "Examined":
        """Return a corpus that `tokenize_corpus` has returned.

        Args:
            prefixes: of sources, which have one of them.
        """
        head = corpus.select(range(min(len(corpus), EXAMINED_TEXTS))).select_columns(list(SIDES))
        texts = head.with_format("arrow")[:]
        sources = texts["source"]
        if any(prefixes):  # which stands behind a tag, if there is one
            either = "|".join(re.escape(prefix) for prefix in sorted(prefixes, key=len, reverse=True))
            sources = pc.replace_substring_regex(sources, f"^(<[^>]*> )?({either})", r"\1")
        return cls(name, option, sources, texts["target"], stored_pairs(corpus), firsts or {option: 0})

    def __len__(self) -> int:
        return len(self.pairs.rows)

    def lengths(self, side: str) -> numpy.ndarray:
        return self.ids(side).lengths

    def ids(self, side: str) -> Sequences:
        return self.pairs.source_ids if side == "source" else self.pairs.target_ids
