"""What pairs are like, in numbers that a table of recipes can ask for.

Texts enter, with their tags taken off; a `Features` leaves. Nothing here knows a recipe.
"""

import difflib
import random
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

MEASURED_PAIRS = 5000
"""Pairs that are measured, drawn from all."""
COMPARED_PAIRS = 400
"""Pairs whose sides are compared character by character, which takes the longest."""
_LONGEST_COMPARED = 300
"""Characters of a text that are compared."""


@dataclass(frozen=True)
class Features:
    """Numbers of a corpus; medians where nothing else is said. Lengths are those of the sampled texts."""

    pairs: int
    source_words: float
    """Between white space."""
    target_words: float
    source_characters: float
    target_characters: float
    long_source_characters: float
    """95 of 100 sources have no more."""
    long_target_characters: float
    target_word_characters: float
    """Characters of a target's word, on average."""
    source_word_types: int
    """Different words of all sampled sources."""
    target_word_types: int
    target_word_repetition: float
    """How often a word of the targets occurs on average."""
    source_alphabet: int
    """Different characters."""
    target_alphabet: int
    similarity: float
    """Of both sides of a pair, by their common characters in order: 1 is the same text."""
    shortening: float
    """Characters of a target for each of its source."""
    digits: float
    """Share of the sources' characters."""
    tags: int
    """Different tags in front of sources."""
    new_source_words: float
    """Share of words in a tenth of the sources that the others lack."""

    def numbers(self) -> dict[str, float]:
        return asdict(self)


def features_of(sources: Sequence[str], targets: Sequence[str], tags: Sequence[str], seed: int) -> Features:
    """Return what pairs are like.

    Args:
        tags: those in front of sources, which are no part of what they are like.

    Raises:
        ValueError: there are none.
    """
    if not sources:
        raise ValueError("There are no pairs to learn from.")
    rows = list(range(len(sources)))
    random.Random(seed).shuffle(rows)
    rows = rows[:MEASURED_PAIRS]
    in_front = re.compile(rf"\A(?:(?:{'|'.join(map(re.escape, sorted(tags, key=len, reverse=True)))})\s*)+")
    plain = [in_front.sub("", sources[row], count=1) if tags else sources[row] for row in rows]
    said = [targets[row] for row in rows]
    source_words, target_words = [text.split() for text in plain], [text.split() for text in said]
    of_targets = [word for words in target_words for word in words]
    source_sizes, target_sizes = [len(text) for text in plain], [len(text) for text in said]
    return Features(
        pairs=len(sources),
        source_words=statistics.median(map(len, source_words)),
        target_words=statistics.median(map(len, target_words)),
        source_characters=statistics.median(source_sizes),
        target_characters=statistics.median(target_sizes),
        long_source_characters=_long(source_sizes),
        long_target_characters=_long(target_sizes),
        target_word_characters=sum(map(len, of_targets)) / max(1, len(of_targets)),
        source_word_types=len({word for words in source_words for word in words}),
        target_word_types=len(set(of_targets)),
        target_word_repetition=len(of_targets) / max(1, len(set(of_targets))),
        source_alphabet=len(set("".join(plain))),
        target_alphabet=len(set("".join(said))),
        similarity=_similarity(plain[:COMPARED_PAIRS], said[:COMPARED_PAIRS]),
        shortening=statistics.median(b / max(1, a) for a, b in zip(source_sizes, target_sizes, strict=True)),
        digits=sum(character.isdigit() for text in plain for character in text) / max(1, sum(source_sizes)),
        tags=len(set(tags)),
        new_source_words=_new_words(source_words),
    )


def _long(sizes: Sequence[int]) -> float:
    return float(sorted(sizes)[min(len(sizes) - 1, int(0.95 * len(sizes)))])


def _similarity(sources: Sequence[str], targets: Sequence[str]) -> float:
    """Return the mean share of characters that two texts have in common, in order."""
    ratios = [
        difflib.SequenceMatcher(None, a[:_LONGEST_COMPARED], b[:_LONGEST_COMPARED], autojunk=False).ratio()
        for a, b in zip(sources, targets, strict=True)
    ]
    return statistics.mean(ratios)


def _new_words(texts: Sequence[Sequence[str]]) -> float:
    """Return the share of words in every tenth text that no other text has."""
    known = {word for place, words in enumerate(texts) if place % 10 for word in words}
    asked = [word for place, words in enumerate(texts) if not place % 10 for word in words]
    return sum(word not in known for word in asked) / max(1, len(asked))
