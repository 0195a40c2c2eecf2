"""Words of tokens, and the alignments that weights say."""

import numpy
import pytest

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.data.word_alignment import aligned_tokens, aligned_words, pharaoh, words_of

PIECES = ["<tag>", "un", "der", " ", "the", " moon", ".", "</s>"]


def decode(sequences: list[list[int]]) -> list[str]:
    return ["".join(PIECES[i] for i in ids if i not in (0, 7)).strip() for ids in sequences]


def test_words_of_tokens() -> None:
    assert words_of([0, 1, 2, 3, 4, 5, 6, 7], decode).tolist() == [-1, 0, 0, -1, 1, 2, 2, -1]
    assert words_of([7], decode).tolist() == [-1]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters", "words"])
def test_every_tokenizer_gives_the_words_of_the_text(kind: str) -> None:
    texts = ["a bird in a tree", "birds in trees", "bird tree in"] * 4
    tokenizer = TextTokenizer.train(texts, texts, shared=True, kind=kind, vocab_size=40)
    [ids] = tokenizer.encode_targets(["trees in a bird"])
    words = words_of(ids, tokenizer.decode_batch)
    texts_of = ["".join(tokenizer.target_tokens([ids[i] for i in numpy.flatnonzero(words == w)])) for w in range(4)]
    visible = ["".join(character for character in text if character.isalpha()) for text in texts_of]
    assert visible == ["trees", "in", "a", "bird"]


def test_an_alignment_is_what_the_tokens_of_a_word_attend_to_together() -> None:
    weights = numpy.array([[0.5, 0.1, 0.0, 0.4], [0.0, 0.45, 0.45, 0.1], [0.9, 0.1, 0.0, 0.0]])
    source = numpy.array([0, 1, 1, -1])
    assert aligned_words(weights, source, numpy.array([0, 1, -1])) == [(0, 0), (1, 1)]
    assert aligned_words(weights, source, numpy.array([0, 0, -1])) == [(1, 0)], "0.5 against 1.0"
    assert aligned_words(weights, numpy.array([-1, -1, -1, -1]), numpy.array([0, 1, -1])) == []
    assert aligned_tokens(weights) == [(0, 0), (1, 1)]
    assert aligned_tokens(weights[:, :1]) == []
    assert pharaoh([(0, 0), (2, 1)]) == "0-0 2-1"
