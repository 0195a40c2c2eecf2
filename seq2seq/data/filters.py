"""Which training pairs are dropped or cut, and a report of why.

Token counts enter, the numbers of the kept rows leave, with a report that adds up over the parts of a stream.
Validation leaves out only what no model could take, and decoding sees all rows.
"""

from dataclasses import asdict, dataclass, fields

import numpy

ANY_RATIO = 0.0
"""As the largest ratio of lengths."""


@dataclass(frozen=True)
class FilterReport:
    """How many pairs were read and kept, and why the others were dropped; each is counted under its first reason.

    Of those that were kept, `cut_source` have a source that was cut.
    """

    rows: int = 0
    kept: int = 0
    empty_source: int = 0
    empty_target: int = 0
    long_source: int = 0
    long_target: int = 0
    length_ratio: int = 0
    cut_source: int = 0

    def __add__(self, other: "FilterReport") -> "FilterReport":
        return FilterReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in self.dropped().items() if count]
        dropped = f"; dropped {self.rows - self.kept}: {', '.join(reasons)}" if reasons else ""
        cut = f"; cut {self.cut_source} sources" if self.cut_source else ""
        return f"kept {self.kept} of {self.rows} pairs{dropped}{cut}"

    def dropped(self) -> dict[str, int]:
        """Return how many pairs were dropped for each reason."""
        return {name: count for name, count in asdict(self).items() if name not in ("rows", "kept", "cut_source")}

    def as_dict(self) -> dict[str, int]:
        """Return all counts for a log."""
        return asdict(self)


def filter_pairs(
    source_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    *,
    max_source_tokens: int,
    max_target_tokens: int,
    max_length_ratio: float = ANY_RATIO,
    cut_sources: bool = False,
    empty_source_length: int = 1,
    empty_target_length: int = 1,
) -> tuple[numpy.ndarray, FilterReport]:
    """Return the numbers of the rows to keep, ascending, and the report.

    Args:
        max_length_ratio: longer side by shorter side, both with end of sentence; 0 switches this filter off.
        cut_sources: whether sources that are too long are cut, and so none is dropped for it.
        empty_source_length: tokens of an empty source, which is its end of sentence unless the tokenizer adds more.
    """
    is_cut = cut_sources & (source_lengths > max_source_tokens)
    if cut_sources:
        source_lengths = numpy.minimum(source_lengths, max_source_tokens)
    shorter = numpy.minimum(source_lengths, target_lengths)
    longer = numpy.maximum(source_lengths, target_lengths)
    reasons = {
        "empty_source": source_lengths <= empty_source_length,
        "empty_target": target_lengths <= empty_target_length,
        "long_source": source_lengths > max_source_tokens,
        "long_target": target_lengths > max_target_tokens,
        "length_ratio": (max_length_ratio > 0) & (longer > max_length_ratio * shorter),
    }
    keep = numpy.ones(len(source_lengths), dtype=bool)
    counts = {}
    for reason, applies in reasons.items():
        counts[reason] = int((keep & applies).sum())
        keep &= ~applies
    return numpy.flatnonzero(keep), FilterReport(
        rows=len(keep), kept=int(keep.sum()), cut_source=int((keep & is_cut).sum()), **counts
    )
