"""Checks hypotheses against references, and counts references in additive form.

The first `NUM_COUNTS` statistics of every metric are segments, references and squared references per segment. They
add like all others, so a mere sum tells how many segments it covers and whether all had the same number of
references: that is how a signature can be written by a process that has never seen the references.
"""

from collections.abc import Sequence

import numpy

NUM_COUNTS = 3


def present_references(hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> list[list[str]]:
    """Return the references of each segment without missing ones (None).

    Raises:
        ValueError: there is nothing to score, the numbers of segments differ, or a segment has no reference.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses cannot be scored against references of {len(references)}.")
    if not len(hypotheses):
        raise ValueError("There is nothing to score: no segments were given.")
    present = []
    for number, segment in enumerate(references, start=1):
        if isinstance(segment, str):
            raise ValueError(f"Segment {number}: references must be a list of texts, one list per segment, not a text.")
        present.append([text for text in segment if text is not None])
        if not present[-1]:
            raise ValueError(f"Segment {number} (counted from 1) has no reference; every segment needs at least one.")
    return present


def reference_counts(references: Sequence[Sequence[str]]) -> numpy.ndarray:
    """Return float64 [segments, NUM_COUNTS]: one, the number of references, and its square."""
    num_references = numpy.array([len(segment) for segment in references], dtype=numpy.float64)
    return numpy.stack([numpy.ones_like(num_references), num_references, num_references**2], axis=1)


def references_per_segment(statistics: numpy.ndarray) -> int | None:
    """Return how many references every segment of these summed statistics has; None where the number varies."""
    segments, total, squares = statistics[:NUM_COUNTS]
    return round(total / segments) if segments * squares == total**2 else None


def references_signature(statistics: numpy.ndarray) -> str:
    """Return `nrefs:1`, or `nrefs:var` where the number varies."""
    return f"nrefs:{references_per_segment(statistics) or 'var'}"
