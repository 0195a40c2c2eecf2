"""Distances between texts as the cost of moving word vectors: WMD (Kusner et al. 2015) and WRD (Yokoi et al. 2020).

What enters are token ids and embeddings [V, D]; what leaves is a distance, lower is better, which a corpus averages.
The exact transport problem is solved by POT, an optional package. Where we differ from Kusner et al.: stop words are
kept. An empty text counts as one zero vector, so that it has a finite distance: to the mean vector norm of the other
text under WMD, 1 under WRD.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from seq2seq.metrics.base import Score
from seq2seq.metrics.references import NUM_COUNTS, present_references, reference_counts, references_signature


def word_movers_distance(hypothesis: Sequence[int], reference: Sequence[int], embeddings: numpy.ndarray) -> float:
    """Return the least mean Euclidean distance that the hypothesis's tokens travel to become the reference's.

    Args:
        hypothesis: token ids; order does not matter.
        reference: token ids.
        embeddings: [V, D].

    Raises:
        ValueError: an id has no row in `embeddings`, or POT is not installed.
    """
    points_a, counts_a = _vectors(hypothesis, embeddings)
    points_b, counts_b = _vectors(reference, embeddings)
    costs = numpy.linalg.norm(points_a[:, None] - points_b[None], axis=-1)
    return _transport_cost(counts_a, counts_b, costs)


def word_rotators_distance(hypothesis: Sequence[int], reference: Sequence[int], embeddings: numpy.ndarray) -> float:
    """Return the least mean cosine distance, where each token weighs as much as its vector is long.

    Arguments and errors are those of `word_movers_distance`. The result lies in [0, 2].
    """
    points_a, counts_a = _vectors(hypothesis, embeddings)
    points_b, counts_b = _vectors(reference, embeddings)
    directions_a, norms_a = _directions(points_a)
    directions_b, norms_b = _directions(points_b)
    costs = numpy.clip(1.0 - directions_a @ directions_b.T, 0.0, 2.0)
    return _transport_cost(_weights(counts_a, norms_a), _weights(counts_b, norms_b), costs)


DISTANCES: dict[str, Callable[[Sequence[int], Sequence[int], numpy.ndarray], float]] = {
    "word_movers_distance": word_movers_distance,
    "word_rotators_distance": word_rotators_distance,
}


@dataclass(frozen=True)
class TransportDistance:
    """One of `DISTANCES` as a `Metric`; of several references the nearest counts."""

    name: str
    text_to_ids: Callable[[str], Sequence[int]]
    embeddings: numpy.ndarray
    """[V, D]"""

    @property
    def higher_is_better(self) -> bool:
        return False

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + 1]: after the counts, the distance."""
        present = present_references(hypotheses, references)
        distance = DISTANCES[self.name]
        distances = [
            min(distance(self.text_to_ids(text), self.text_to_ids(hypothesis), self.embeddings) for text in segment)
            for hypothesis, segment in zip(hypotheses, present, strict=True)
        ]
        return numpy.hstack([reference_counts(present), numpy.array(distances)[:, None]])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the mean distance of summed statistics, [statistics]."""
        num_types, width = self.embeddings.shape
        signature = f"{references_signature(statistics)}|embeddings:{num_types}x{width}"
        return Score(self.name, float(statistics[NUM_COUNTS] / statistics[0]), signature)


def _vectors(ids: Sequence[int], embeddings: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the distinct tokens' vectors [N, D] and how often each occurs [N]."""
    if not len(ids):
        return numpy.zeros((1, embeddings.shape[1])), numpy.ones(1)
    types, counts = numpy.unique(numpy.asarray(ids, dtype=numpy.int64), return_counts=True)
    for bad_id in (types[0], types[-1]):
        if not 0 <= bad_id < len(embeddings):
            raise ValueError(f"Token id {bad_id} has no embedding: there are {len(embeddings)}, counted from 0.")
    return embeddings[types].astype(numpy.float64), counts.astype(numpy.float64)


def _directions(vectors: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return unit vectors [N, D] and norms [N]; a zero vector stays zero, so its cosine with anything is 0."""
    norms = numpy.linalg.norm(vectors, axis=-1)
    return vectors / numpy.where(norms > 0, norms, 1.0)[:, None], norms


def _weights(counts: numpy.ndarray, norms: numpy.ndarray) -> numpy.ndarray:
    return counts * norms if norms.any() else counts


def _transport_cost(weights_a: numpy.ndarray, weights_b: numpy.ndarray, costs: numpy.ndarray) -> float:
    """Return the earth mover's distance between two weightings, [N] and [M], each normalised to 1; costs [N, M]."""
    try:
        import ot  # here, because it is optional and takes seconds to load
    except ImportError as error:
        raise ValueError("Transport distances need the package POT: pip install POT") from error
    return float(ot.emd2(weights_a / weights_a.sum(), weights_b / weights_b.sum(), costs))
