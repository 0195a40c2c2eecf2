"""The training pair whose source is most like a given one: what a model must beat that has learnt anything.

Sources are compared by the pieces of three characters that they share, rare ones counting more (cosine of vectors of
inverse document frequencies). An inverted index over at most `MOST_ROWS` training pairs makes this a second's work for
a thousand sources.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy

from seq2seq.reporting.given import even_rows

MOST_ROWS = 20_000
"""Training pairs that are searched; of more, so many at even distances."""
SIZE = 3
MOST_CHARACTERS = 400
"""Of a long text, so many characters at its beginning are compared."""


def nearest_rows(sources: Sequence[str], training: Sequence[str]) -> tuple[list[int], list[float]]:
    """Return for each source the row of the training source most like it, and how like it is, 0 to 1.

    Of equally near ones the first; where none shares anything, row 0 and 0.
    """
    rows = even_rows(len(training), MOST_ROWS)
    pieces: dict[str, list[int]] = defaultdict(list)
    sets = [_pieces(training[row]) for row in rows]
    for place, own in enumerate(sets):
        for piece in own:
            pieces[piece].append(place)
    weights = {piece: math.log(1 + len(rows) / len(places)) ** 2 for piece, places in pieces.items()}
    postings = {piece: numpy.array(places, dtype=numpy.int64) for piece, places in pieces.items()}
    norms = numpy.array([math.sqrt(sum(weights[piece] for piece in own)) or 1.0 for own in sets])
    unseen = math.log(1 + len(rows)) ** 2
    found, similar = [], []
    for source in sources:
        own = _pieces(source)
        known = [piece for piece in own if piece in postings]
        norm = math.sqrt(sum(weights.get(piece, unseen) for piece in own)) or 1.0
        if not known:
            found.append(int(rows[0]))
            similar.append(0.0)
            continue
        places = numpy.concatenate([postings[piece] for piece in known])
        shared = numpy.repeat([weights[piece] for piece in known], [len(postings[piece]) for piece in known])
        cosines = numpy.bincount(places, shared, len(rows)) / (norms * norm)
        best = int(cosines.argmax())
        found.append(int(rows[best]))
        similar.append(float(min(1.0, cosines[best])))
    return found, similar


def _pieces(text: str) -> set[str]:
    framed = f" {text[:MOST_CHARACTERS].strip().lower()} "
    return {framed[start : start + SIZE] for start in range(max(1, len(framed) - SIZE + 1))}
