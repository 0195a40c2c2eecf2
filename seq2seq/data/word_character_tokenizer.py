"""A source as its words, each one token, and behind them all of it as characters.

What is a fact about a word, such as how it is inflected, is learnt of its own token; how it is spelled, of its
characters. Characters alone took ten times as many passes over the pairs of an inflection task and stayed eleven points
below (docs/results/tasks.md). Words that training has once, or never, share the unknown token.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy
from tokenizers import Tokenizer

from seq2seq.data.json_tokenizer import CONFIG, CONFIG_FILE, JsonTokenizer
from seq2seq.data.word_alignment import words_of
from seq2seq.files import read_object

LEAST_FREQUENCY = 2
"""A word that occurs once teaches its own token nothing that another pair could use."""
_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""In front of a word's entry, since a word of one character would be that character's."""
_CONFIG = CONFIG | {"tokenizer_class": "WordCharacterTokenizer"}


class WordCharacterTokenizer(JsonTokenizer):
    """Encodes sources; a backend of characters whose vocabulary has whole words, too."""

    file = "word_character_tokenizer.json"
    """Others would read a tokenizer.json as one of characters alone."""

    def __init__(self, backend: Tokenizer) -> None:
        super().__init__(backend)
        serialized = json.loads(backend.to_str())
        tags = [token["content"] for token in serialized["added_tokens"]]
        self._tag = re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))))
        self._words = {
            entry[1:]: index for entry, index in backend.get_vocab().items() if len(entry) > 1 and entry[0] == _START
        }

    @classmethod
    def trained(cls, texts: Sequence[str], characters: Tokenizer, vocab_size: int) -> "WordCharacterTokenizer":
        """Return the tokenizer of these texts.

        Args:
            characters: trained on them.
            vocab_size: the most entries, words and characters together; the most frequent words are kept.
        """
        serialized = json.loads(characters.to_str())
        tags = [token["content"] for token in serialized["added_tokens"]]
        tag = re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))))
        counts = Counter(chain.from_iterable(_normalised(characters, tag.sub(" ", text)).split() for text in texts))
        vocabulary = serialized["model"]["vocab"]
        room = max(0, vocab_size - len(vocabulary))
        kept = sorted(
            (word for word, count in counts.items() if count >= LEAST_FREQUENCY), key=lambda w: (-counts[w], w)
        )
        for word in kept[:room]:
            vocabulary[_START + word] = len(vocabulary)
        return cls(Tokenizer.from_str(json.dumps(serialized)))

    @staticmethod
    def wrote(folder: Path) -> bool:
        file = folder / CONFIG_FILE
        return file.is_file() and read_object(file).get("tokenizer_class") == _CONFIG["tokenizer_class"]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        words = [_normalised(self.backend, self._tag.sub(" ", text)).split() for text in texts]
        return [
            [*(self._words.get(word, self.unk_id) for word in of_text), *ids]
            for of_text, ids in zip(words, super().encode(texts), strict=True)
        ]

    def words(self, ids: Sequence[int]) -> numpy.ndarray:
        """Return the word of the text that each token is in, as `words_of` does; a word's own token is in that word.

        Which unknown tokens in front are words' and which is a first character's follows from that there are as many
        words behind them. Where that is not so, since the text was cut, all are words'.
        """
        ends = (self.pad_id, self.bos_id, self.eos_id)
        special = {self.unk_id: "?", **dict.fromkeys(ends, "")}
        shown = [special.get(index, token) for index, token in zip(ids, self.tokens(ids), strict=True)]
        is_part = [text != "" and not text.isspace() and not self._tag.fullmatch(text) for text in shown]
        own = {self.unk_id, *self._words.values()}
        most = next((place for place, index in enumerate(ids) if index not in own), len(ids))
        least = max((place + 1 for place in range(most) if ids[place] != self.unk_id), default=0)

        def firsts(start: int) -> list[int]:
            """Return the first character of each word, counted from `start`."""
            parts = is_part[start:]
            return [place for place, part in enumerate(parts) if part and (place == 0 or not parts[place - 1])]

        number = next((start for start in range(most, least - 1, -1) if len(firsts(start)) == start), most)
        rest = shown[number:]
        of_rest = words_of(range(len(rest)), lambda heads: ["".join(rest[place] for place in head) for head in heads])
        after = of_rest.max(initial=-1) + 1
        in_front = [*of_rest[firsts(number)], *range(after, after + number)][:number]
        return numpy.array([*in_front, *of_rest], dtype=numpy.int64)

    def config(self) -> dict[str, Any]:
        return _CONFIG


def _normalised(backend: Tokenizer, text: str) -> str:
    return text if backend.normalizer is None else str(backend.normalizer.normalize_str(text))
