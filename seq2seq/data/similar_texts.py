"""Which texts are the same but for case, spaces and punctuation, and which have nearly the same words.

Texts enter; what leaves are keys, equal for texts that read the same, and pairs of texts that have most sequences of
three words in common. They are found without comparing all with all: texts share a band of smallest hashes with a
probability that rises steeply with what they have in common (Broder 1997), and what shares one is compared exactly.
All hashes are of the content, so that the order of texts changes nothing. Two million sentences take under a minute.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy
import pyarrow
import pyarrow.compute as pc

FEWEST_WORDS = 8
"""Words of a text below which it is compared as a whole; characters of scripts without spaces count as words."""
_LEAST_COMMON = 0.8
"""Jaccard index, common sequences of three words among all, of what is a near-copy."""
_WORDS_IN_A_SEQUENCE = 3
_BANDS, _HASHES_A_BAND = 8, 4
"""Of texts with 0.8 of their sequences in common 98.5 % share a band, of those with 0.3, 6 %."""
_BLOCK_ROWS = 50_000
_COMPARED_AT_ONCE = 50_000
_LONGEST = 1_000
"""Characters of a text that are looked at for near-copies; two that begin alike count as such."""
_WITHIN_NUMBERS = r"(\d)[\pP\pZ](\d)"
_BETWEEN_WORDS = r"[\pP\pZ\pC]+"
_WITHOUT_SPACES = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}])"
_ODD = numpy.random.default_rng(0).integers(2**62, size=_BANDS * _HASHES_A_BAND, dtype=numpy.uint64) * 2 + 1
_MIXER = numpy.uint64(0x9E3779B97F4A7C15)

Texts: TypeAlias = "Sequence[str] | pyarrow.Array | pyarrow.ChunkedArray"


@dataclass(frozen=True)
class NearCopies:
    """Texts that are copies of others, or nearly.

    Args:
        rows: which they are.
        originals: the row of the other text.
    """

    rows: numpy.ndarray
    originals: numpy.ndarray


def text_keys(texts: Texts) -> numpy.ndarray:
    """Return 64 bits for each text, the same for texts that differ in case, white space and punctuation alone.

    Digits and signs count, and where a number is divided, but not by what. Nothing but punctuation is kept.
    """
    return numpy.concatenate([_keys(block) for block in string_arrays(texts)] or [numpy.zeros(0, numpy.uint64)])


def near_copies(texts: Texts, others: Texts) -> NearCopies:
    """Return which of the others are copies or near-copies of one of the texts, with the first such text."""
    keys, other_keys = text_keys(texts), text_keys(others)
    order = numpy.argsort(keys, kind="stable")
    places = numpy.minimum(numpy.searchsorted(keys[order], other_keys), max(0, len(keys) - 1))
    is_copy = keys[order][places] == other_keys if len(keys) else numpy.zeros(len(other_keys), bool)
    found = [numpy.stack([numpy.flatnonzero(is_copy), order[places[is_copy]]], axis=1) if len(keys) else _no_pairs()]
    (rows, bands), (other_rows, other_bands) = _bands(texts), _bands(others)
    for band in range(_BANDS):
        ranked = numpy.argsort(bands[:, band], kind="stable")
        known = bands[ranked, band]
        firsts, ends = (numpy.searchsorted(known, other_bands[:, band], side=side) for side in ("left", "right"))
        is_there = ends > firsts
        for last in (False, True):
            at = (ends - 1 if last else firsts)[is_there]
            found.append(numpy.stack([other_rows[is_there], rows[ranked[at]]], axis=1))
    first, *candidates = found
    pairs = numpy.unique(numpy.concatenate([_no_pairs(), *candidates]), axis=0)
    pairs = pairs[~is_copy[pairs[:, 0]]]
    near = pairs[_are_near(others, texts, pairs)]
    _, firsts = numpy.unique(near[:, 0], return_index=True)
    both = numpy.concatenate([first, near[firsts]])
    both = both[numpy.argsort(both[:, 0], kind="stable")]
    return NearCopies(both[:, 0], both[:, 1])


def near_pairs(texts: Texts, keys: numpy.ndarray) -> numpy.ndarray:
    """Return pairs of rows whose texts are near-copies, `[pairs, 2]`; of texts with one key only the first is taken.

    Not all pairs of a large set of near-copies are there, but enough to connect it.
    """
    rows, bands = _bands(texts)
    _, firsts = numpy.unique(keys[rows], return_index=True)
    rows, bands = rows[firsts], bands[firsts]  # in the order of keys, whatever that of rows
    candidates = [_no_pairs()]
    for band in range(_BANDS):
        order = numpy.argsort(bands[:, band], kind="stable")
        values = bands[order, band]
        is_first = numpy.append(True, values[1:] != values[:-1]) if len(values) else numpy.zeros(0, bool)
        leaders = order[numpy.flatnonzero(is_first)[numpy.cumsum(is_first) - 1]] if len(values) else order
        rest = numpy.flatnonzero(~is_first)
        for partners in (leaders[rest], order[rest - 1]):
            candidates.append(numpy.sort(numpy.stack([order[rest], partners], axis=1), axis=1))
    pairs = rows[numpy.unique(numpy.concatenate(candidates), axis=0)]
    return pairs[_are_near(texts, texts, pairs)]


def common_share(texts: Sequence[str], others: Sequence[str]) -> numpy.ndarray:
    """Return the Jaccard index of the sequences of three words of texts and others, one by one."""
    (values, offsets), (other_values, other_offsets) = _sequences(word_lists(texts)), _sequences(word_lists(others))
    owners = numpy.repeat(numpy.arange(len(texts)), numpy.diff(offsets))
    other_owners = numpy.repeat(numpy.arange(len(others)), numpy.diff(other_offsets))
    own, other = _distinct(owners, values), _distinct(other_owners, other_values)
    both_owners, both_values = numpy.concatenate([own[0], other[0]]), numpy.concatenate([own[1], other[1]])
    order = numpy.lexsort((both_values, both_owners))
    same = (numpy.diff(both_owners[order]) == 0) & (both_values[order][1:] == both_values[order][:-1])
    common = numpy.bincount(both_owners[order][1:][same], minlength=len(texts))
    together = numpy.bincount(both_owners, minlength=len(texts)) - common
    return common / numpy.maximum(1, together)


def num_words(texts: Texts) -> numpy.ndarray:
    """Return how many words each text has; characters of scripts without spaces count as words."""
    counted = [numpy.diff(word_lists(block).offsets.to_numpy()) for block in string_arrays(texts)]
    return numpy.concatenate(counted or [numpy.zeros(0, numpy.int32)])


def _no_pairs() -> numpy.ndarray:
    return numpy.zeros((0, 2), dtype=numpy.int64)


def _are_near(texts: Texts, others: Texts, pairs: numpy.ndarray) -> numpy.ndarray:
    """Return which pairs of rows, of the texts and of the others, have enough in common."""
    found = [numpy.zeros(0, dtype=bool)]
    for start in range(0, len(pairs), _COMPARED_AT_ONCE):
        block = pairs[start : start + _COMPARED_AT_ONCE]
        share = common_share(_taken(texts, block[:, 0]), _taken(others, block[:, 1]))
        found.append(share >= _LEAST_COMMON)
    return numpy.concatenate(found)


def _taken(texts: Texts, rows: numpy.ndarray) -> Sequence[str]:
    if isinstance(texts, pyarrow.Array | pyarrow.ChunkedArray):
        return texts.take(pyarrow.array(rows)).to_pylist()
    return [texts[row] for row in rows.tolist()]


def string_arrays(texts: Texts) -> Iterator[pyarrow.Array]:
    """Yield texts as arrays that are small enough for their offsets."""
    for start in range(0, len(texts), _BLOCK_ROWS):
        block = texts[start : start + _BLOCK_ROWS]
        if isinstance(block, pyarrow.ChunkedArray):
            yield block.combine_chunks()
        else:
            yield block if isinstance(block, pyarrow.Array) else pyarrow.array(list(block), pyarrow.string())


def plain_texts(texts: pyarrow.Array) -> pyarrow.Array:
    """Return texts in small letters, with a space for whatever stands between words, and a sign within numbers."""
    small = pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))
    for _ in range(2):  # since a digit between two of them is of both
        small = pc.replace_substring_regex(small, _WITHIN_NUMBERS, r"\1¦\2")
    return pc.replace_substring_regex(small, _BETWEEN_WORDS, " ")


def _keys(texts: pyarrow.Array) -> numpy.ndarray:
    plain = pc.replace_substring(plain_texts(texts), " ", "")
    plain = pc.if_else(pc.equal(pc.binary_length(plain), 0), texts, plain)
    return hashed(plain.to_pylist())


def hashed(texts: Sequence[str]) -> numpy.ndarray:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return numpy.frombuffer(digests, dtype="<u8")


def word_lists(texts: Texts) -> pyarrow.ListArray:
    """Return the words of each text, of a long one those of its beginning."""
    array = texts if isinstance(texts, pyarrow.Array) else pyarrow.array(list(texts), pyarrow.string())
    plain = pc.replace_substring_regex(
        plain_texts(pc.utf8_slice_codeunits(array, 0, _LONGEST)), _WITHOUT_SPACES, r" \1 "
    )
    return pc.utf8_split_whitespace(pc.utf8_trim_whitespace(plain))


def _sequences(words: pyarrow.ListArray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return hashes of all sequences of three words, and where each text's begin; of a shorter text all its words."""
    encoded = words.flatten().dictionary_encode()
    hashes = hashed(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    offsets = words.offsets.to_numpy().astype(numpy.int64)
    offsets = offsets - offsets[0]
    lengths = numpy.diff(offsets)
    kept = numpy.maximum(lengths - _WORDS_IN_A_SEQUENCE + 1, numpy.minimum(lengths, 1))
    starts = numpy.repeat(offsets[:-1], kept) + _counted(kept)
    ends = numpy.repeat(offsets[1:], kept)
    mixed = hashes[starts]
    for place in range(1, _WORDS_IN_A_SEQUENCE):
        at = starts + place
        following = numpy.where(at < ends, hashes[numpy.minimum(at, len(hashes) - 1)], numpy.uint64(place))
        mixed = (mixed ^ (mixed >> numpy.uint64(29))) * _MIXER + following
    mixed = (mixed ^ (mixed >> numpy.uint64(32))) * _MIXER
    return mixed ^ (mixed >> numpy.uint64(29)), numpy.append(0, numpy.cumsum(kept))


def _counted(lengths: numpy.ndarray) -> numpy.ndarray:
    """Return 0, 1, … for each of several lengths, one after another."""
    return numpy.arange(lengths.sum()) - numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)


def _distinct(owners: numpy.ndarray, values: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    order = numpy.lexsort((values, owners))
    owners, values = owners[order], values[order]
    is_new = numpy.ones(len(values), dtype=bool)
    is_new[1:] = (owners[1:] != owners[:-1]) | (values[1:] != values[:-1])
    return owners[is_new], values[is_new]


def _bands(texts: Texts) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the rows of texts with enough words, and a hash for each band of their smallest hashes `[rows, bands]`."""
    rows, found, start = [numpy.zeros(0, numpy.int64)], [numpy.zeros((0, _BANDS), numpy.uint64)], 0
    for block in string_arrays(texts):
        words = word_lists(block)
        is_long = numpy.diff(words.offsets.to_numpy()) >= FEWEST_WORDS
        rows.append(start + numpy.flatnonzero(is_long))
        start += len(block)
        if is_long.any():
            found.append(_banded(words.filter(pyarrow.array(is_long))))
    return numpy.concatenate(rows), numpy.concatenate(found)


def _banded(words: pyarrow.ListArray) -> numpy.ndarray:
    values, offsets = _sequences(words)
    found = numpy.zeros((len(words), _BANDS), dtype=numpy.uint64)
    for number, odd in enumerate(_ODD):
        smallest = numpy.minimum.reduceat(((values * odd) >> numpy.uint64(32)).astype(numpy.uint32), offsets[:-1])
        band = found[:, number // _HASHES_A_BAND]
        band ^= band >> numpy.uint64(31)
        band *= _MIXER
        band += smallest
    return found
