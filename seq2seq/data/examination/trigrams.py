"""Texts as counts of their sequences of three characters, in a number of columns that many share.

Texts enter, a matrix leaves, and the weights that tell two sets of texts apart. Some languages, and the two sides of
most tasks, differ so much in these that a single sentence is told right.
"""

from collections.abc import Sequence

import numpy

NUM_COLUMNS = 2_048
_LONGEST = 200
"""Characters that are looked at."""
_SMOOTHING = 0.5
_SIZES_A_DOUBLING = 2
_BEYOND_CHARACTERS = numpy.uint64(2**24)
_FACTORS = (73_856_093, 19_349_663, 83_492_791)
_MIXER = numpy.uint64(0x9E3779B97F4A7C15)


def trigram_counts(texts: Sequence[str], *, with_shape: bool) -> numpy.ndarray:
    """Return how often sequences of three characters are in each text, `[texts, NUM_COLUMNS]`, float32.

    Args:
        with_shape: count single characters too, which tell scripts apart where a sequence is seldom there again, and
            how long a text is, as a tenth of what is counted.
    """
    framed = [f" {text[:_LONGEST].lower()} " for text in texts]
    lengths = numpy.array([len(text) for text in framed], dtype=numpy.int64)
    codes = numpy.frombuffer("".join(framed).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(numpy.uint64)
    rows = numpy.repeat(numpy.arange(len(lengths)), lengths)
    parts = [codes[place : len(codes) - 2 + place] * numpy.uint64(factor) for place, factor in enumerate(_FACTORS)]
    is_whole = rows[2:] == rows[:-2]
    cells = rows[:-2][is_whole] * NUM_COLUMNS + _columns(parts[0] ^ parts[1] ^ parts[2])[is_whole]
    if with_shape:
        sizes = numpy.log2([len(text) + 1 for text in texts]) * _SIZES_A_DOUBLING
        of_sizes = numpy.arange(len(texts)) * NUM_COLUMNS + _columns(sizes.astype(numpy.uint64) + _BEYOND_CHARACTERS)
        cells = numpy.concatenate([cells, rows * NUM_COLUMNS + _columns(codes), numpy.repeat(of_sizes, lengths // 5)])
    counts = numpy.bincount(cells, minlength=len(lengths) * NUM_COLUMNS)
    return counts.reshape(len(lengths), NUM_COLUMNS).astype(numpy.float32)


def _columns(values: numpy.ndarray) -> numpy.ndarray:
    mixed: numpy.ndarray = (values * _MIXER >> numpy.uint64(40)) % numpy.uint64(NUM_COLUMNS)
    return mixed.astype(numpy.int64)


def log_odds(counts: numpy.ndarray, other_counts: numpy.ndarray) -> numpy.ndarray:
    """Return by how much each sequence speaks for one kind of texts against another, from what is counted in both."""
    own, other = counts + _SMOOTHING, other_counts + _SMOOTHING
    weights: numpy.ndarray = numpy.log(own / own.sum()) - numpy.log(other / other.sum())
    return weights.astype(numpy.float32)
