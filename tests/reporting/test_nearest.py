"""The nearest training pair against a slow search."""

import math
from collections import Counter

from seq2seq.reporting.nearest import nearest_rows

TRAINING = ["the red house", "a small dog", "the red horse runs", "zebra", "a small cat sleeps"]


def pieces(text: str) -> set[str]:
    framed = f" {text.lower()} "
    return {framed[i : i + 3] for i in range(len(framed) - 2)}


def test_it_is_the_one_with_the_largest_cosine() -> None:
    counts = Counter(piece for text in TRAINING for piece in pieces(text))
    weights = {piece: math.log(1 + len(TRAINING) / count) ** 2 for piece, count in counts.items()}

    def cosine(source: str, text: str) -> float:
        unseen = math.log(1 + len(TRAINING)) ** 2
        norms = [sum(weights.get(piece, unseen) for piece in pieces(own)) for own in (source, text)]
        shared = sum(weights[piece] for piece in pieces(source) & pieces(text))
        return shared / math.sqrt(norms[0] * norms[1])

    sources = ["the red house", "two small cats sleep", "the horse", "zebras"]
    rows, similar = nearest_rows(sources, TRAINING)
    for source, row, value in zip(sources, rows, similar, strict=True):
        cosines = [cosine(source, text) for text in TRAINING]
        assert row == cosines.index(max(cosines))
        assert math.isclose(value, max(cosines))
    assert (rows[0], round(similar[0], 9)) == (0, 1.0)


def test_nothing_shared_and_short_texts() -> None:
    assert nearest_rows(["ωψ", "", "x"], ["abc", "x"]) == ([0, 0, 1], [0.0, 0.0, 1.0])
