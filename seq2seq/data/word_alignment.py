"""From what target tokens attend to in a source to pairs of words: an alignment, and how Pharaoh writes it.

Weights of tokens enter; pairs (place in the source, place in the target), counted from 0, leave. Words are what stands
between white space, whatever the tokenizer makes of them.
"""

from collections.abc import Callable, Sequence

import numpy

Alignment = list[tuple[int, int]]
Decode = Callable[[list[list[int]]], list[str]]


def words_of(ids: Sequence[int], decode: Decode) -> numpy.ndarray:
    """Return the word that each token is in, int64 [T]; -1 where it has no visible character, as special tokens.

    It goes by the text of the first t tokens for each t, so that it does not depend on how a tokenizer marks spaces.

    Args:
        decode: sequences of ids to their texts.
    """
    texts = decode([list(ids[: end + 1]) for end in range(len(ids))])
    found = numpy.full(len(ids), -1, dtype=numpy.int64)
    before = 0
    for place, text in enumerate(texts):
        visible = sum(not character.isspace() for character in text)
        if visible > before:
            found[place] = len(text.split()) - 1
        before = max(before, visible)
    return found


def aligned_words(weights: numpy.ndarray, source_words: numpy.ndarray, target_words: numpy.ndarray) -> Alignment:
    """Return for each target word the source word that its tokens attend to most.

    Args:
        weights: float [T, S], what each target token attends to.
        source_words, target_words: the word of each token, -1 for none.
    """
    if source_words.max(initial=-1) < 0 or target_words.max(initial=-1) < 0:
        return []
    in_sources = numpy.eye(source_words.max() + 1)[source_words] * (source_words >= 0)[:, None]
    in_targets = numpy.eye(target_words.max() + 1)[target_words] * (target_words >= 0)[:, None]
    of_words = in_targets.T @ weights @ in_sources
    present = numpy.unique(target_words[target_words >= 0])
    return [(int(of_words[word].argmax()), int(word)) for word in present]


def aligned_tokens(weights: numpy.ndarray) -> Alignment:
    """Return for each target token but the end the source token, but the end, that it attends to most."""
    inner = weights[:-1, :-1]
    return [(int(row.argmax()), place) for place, row in enumerate(inner)] if inner.shape[1] else []


def pharaoh(alignment: Alignment) -> str:
    """Return an alignment as `0-0 1-2 2-1`: of each pair the place in the source first."""
    return " ".join(f"{source}-{target}" for source, target in alignment)
