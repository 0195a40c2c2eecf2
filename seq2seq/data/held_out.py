"""Cuts a corpus into training, validation and test parts, so that no source and no near-copy of one is in two.

Texts enter; a number for each pair leaves. Pairs hang together whose sources are the same but for case, spaces and
punctuation, whose longer sources have nearly the same words, or whose longer targets are the same; what hangs together
stays together. Which goes where depends on a hash of the texts, not on their order: whoever sorts a file, or adds to
it, finds almost all pairs in the parts where they were.
"""

import hashlib

import numpy

from seq2seq.data.similar_texts import FEWEST_WORDS, Texts, near_pairs, num_words, text_keys

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts, as `held_out_parts` names them."""
_HELD_OUT = 0.05
_HELD_OUT_OF_FEW = 0.1
_FEW_PAIRS, _SOME_PAIRS = 200, 1_000
_FEWEST_HELD_OUT = 100
_MOST_VALIDATION, _MOST_TEST = 1_000, 2_000
_LONG_TARGET = 40
"""Characters; so long a target, or one of eight words, is not the same by chance."""
_CLASS = 0.002
"""Share of the pairs that have one target, beyond which it is a class that says nothing of their sources."""
_FEWEST_OF_A_CLASS = 20
_LARGEST_GROUP = 0.02
"""Share of the pairs beyond which near-copies of near-copies are so many that they are texts of a pattern."""
_GROUP_IN_A_PART = 0.02
"""Share of a part that a group may be; larger ones are trained on while smaller ones are left."""


def default_sizes(num_pairs: int) -> tuple[int, int]:
    """Return how many pairs to validate and to test on."""
    if num_pairs < _FEW_PAIRS:
        size = max(1, round(_HELD_OUT_OF_FEW * num_pairs))
        return size, size
    fewest = _FEWEST_HELD_OUT if num_pairs >= _SOME_PAIRS else round(_HELD_OUT_OF_FEW * num_pairs)
    size = max(fewest, round(_HELD_OUT * num_pairs))
    return min(size, _MOST_VALIDATION), min(size, _MOST_TEST)


def held_out_parts(sources: Texts, targets: Texts, *, validation: int, test: int, seed: int) -> numpy.ndarray:
    """Return `TRAIN`, `VALIDATION` or `TEST` for each pair, as int8 `[pairs]`.

    A part has the number that was asked for, or a few more where the last group of pairs that hang together is larger.

    Args:
        validation, test: pairs of these parts.
        seed: another one gives other parts.

    Raises:
        ValueError: there are not enough pairs that do not hang together.
    """
    if not 0 < validation + test < len(sources):
        raise ValueError(
            f"{len(sources):,} pairs cannot be cut into {validation:,} to validate on, {test:,} to test on, and some "
            "to learn from; ask for fewer."
        )
    keys = text_keys(sources)
    groups = joined_groups(sources, targets, keys)
    sizes, order = _shuffled(groups, keys, seed)
    parts_of_groups = numpy.zeros(len(sizes), dtype=numpy.int8)
    for part, number in ((TEST, test), (VALIDATION, validation)):
        free = order[parts_of_groups[order] == TRAIN]
        chosen = _first_groups(free, sizes, number)
        parts_of_groups[chosen] = part
    parts: numpy.ndarray = parts_of_groups[groups]
    if not (parts == TRAIN).any():
        raise ValueError(f"The {len(sources):,} pairs hang together in too few groups; give more that differ.")
    return parts


def joined_groups(sources: Texts, targets: Texts, keys: numpy.ndarray | None = None) -> numpy.ndarray:
    """Return the number of the group of each pair, counted from 0: pairs of one group must not be torn apart.

    Args:
        keys: `text_keys` of the sources, if they are known.
    """
    keys = text_keys(sources) if keys is None else keys
    same_source = _same(keys)
    same = numpy.concatenate([same_source, _same_long_targets(targets)])
    near = near_pairs(sources, keys)
    groups = _connected(len(keys), numpy.concatenate([same, near]))
    sizes = numpy.bincount(groups)
    too_large = sizes > max(_FEWEST_OF_A_CLASS, _LARGEST_GROUP * len(keys))
    if not too_large.any():
        return groups
    # a pattern with other words in it: its texts are kept apart unless they are the same
    keep = ~too_large[groups[near[:, 0]]]
    groups = _connected(len(keys), numpy.concatenate([same, near[keep]]))
    sizes = numpy.bincount(groups)
    too_large = sizes > max(_FEWEST_OF_A_CLASS, _LARGEST_GROUP * len(keys))
    keep_same = ~too_large[groups[same[:, 0]]]
    return _connected(len(keys), numpy.concatenate([same_source, same[keep_same], near[keep]]))


def _same(values: numpy.ndarray) -> numpy.ndarray:
    """Return pairs of rows, each of a value that was there before with the first one."""
    _, firsts, inverse = numpy.unique(values, return_index=True, return_inverse=True)
    rows = numpy.arange(len(values))
    pairs = numpy.stack([rows, firsts[inverse]], axis=1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _same_long_targets(targets: Texts) -> numpy.ndarray:
    """Return pairs of rows with the same target, where that is long and no class of many pairs."""
    keys = text_keys(targets)
    _, inverse, counts = numpy.unique(keys, return_inverse=True, return_counts=True)
    is_rare = counts <= max(_FEWEST_OF_A_CLASS, _CLASS * len(keys))
    rows = numpy.flatnonzero(((counts > 1) & is_rare)[inverse])
    texts = [str(targets[row]) for row in rows.tolist()]
    is_long = numpy.array([len(text) >= _LONG_TARGET for text in texts], dtype=bool)
    rows = rows[is_long | (num_words(texts) >= FEWEST_WORDS)]
    return rows[_same(keys[rows])]


def _connected(number: int, pairs: numpy.ndarray) -> numpy.ndarray:
    """Return the number of the component of each row; the smallest label of each is handed on until nothing changes."""
    labels = numpy.arange(number)
    while len(pairs):
        ends = labels[pairs]
        pairs = pairs[ends[:, 0] != ends[:, 1]]
        if not len(pairs):
            break
        ends = labels[pairs]
        smallest = ends.min(axis=1)
        numpy.minimum.at(labels, ends.max(axis=1), smallest)
        while not numpy.array_equal(jumped := labels[labels], labels):
            labels = jumped
    groups: numpy.ndarray = numpy.unique(labels, return_inverse=True)[1]
    return groups


def _shuffled(groups: numpy.ndarray, keys: numpy.ndarray, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the size of each group, and groups in an order that depends on what is in them and on a seed."""
    salt = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "little") | 1
    mixed = keys ^ numpy.uint64(salt)
    for shift in (30, 27, 31):
        mixed = (mixed ^ (mixed >> numpy.uint64(shift))) * numpy.uint64(0xBF58476D1CE4E5B9)
    sizes = numpy.bincount(groups)
    smallest = numpy.full(len(sizes), numpy.iinfo(numpy.uint64).max, dtype=numpy.uint64)
    numpy.minimum.at(smallest, groups, mixed)
    return sizes, numpy.argsort(smallest, kind="stable")


def _first_groups(free: numpy.ndarray, sizes: numpy.ndarray, number: int) -> numpy.ndarray:
    """Return the first groups that have so many pairs together, of small groups if there are enough."""
    largest = max(1, int(_GROUP_IN_A_PART * number))
    while True:
        small = free[sizes[free] <= largest]
        if int(sizes[small].sum()) >= number:
            return small[: int(numpy.searchsorted(numpy.cumsum(sizes[small]), number)) + 1] if number else small[:0]
        if largest > 2 * number:
            raise ValueError(
                f"{number:,} pairs cannot be held out: what has the same source, nearly the same or the same long "
                f"target stays together, and of such groups there {'is' if len(sizes) == 1 else 'are'} {len(sizes):,}. "
                "Give more pairs that differ, or ask for fewer to be held out."
            )
        largest *= 2
