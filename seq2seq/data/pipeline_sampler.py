"""Subword sampling for what the `tokenizers` library holds: its pipeline, with the model's place taken by a sampler.

A text and a seed enter, ids leave; they depend on nothing else. The library samples too, but without a seed.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import PreTokenizer

from seq2seq.data.subword_sampling import BpeDropout, Segmenter, UnigramSampling


class PipelineSampler:
    """Encodes a text at random: the steps of a `tokenizers` pipeline with its model's place taken by a `Segmenter`.

    Args:
        framed: from the ids of a text to those with what stands in front of and behind it.

    Raises:
        ValueError: the model is neither BPE nor Unigram, or has a feature that is not imitated here.
    """

    def __init__(self, framed: Callable[[list[int]], list[int]], backend: Tokenizer, rate: float) -> None:
        self.framed = framed
        serialized = json.loads(backend.to_str())
        self.added = {token["content"]: token["id"] for token in _plain_added_tokens(serialized)}
        self.added_pattern = re.compile("|".join(map(re.escape, sorted(self.added, key=len, reverse=True))) or r"(?!)")
        self.normalizer = backend.normalizer
        self.first_pre_tokenizer = backend.pre_tokenizer
        self.pre_tokenizer = _without_first_prefix(serialized)
        model = serialized["model"]
        self.segment, self.ids = _model(model, rate)
        self.unk_id = self.ids.get(model["unk_token"]) if model["type"] == "BPE" else model["unk_id"]
        self.fuse_unknown = model["type"] == "Unigram" or model["fuse_unk"]
        self.byte_ids = [self.ids.get(f"<0x{byte:02X}>") for byte in range(256)] if model["byte_fallback"] else [None]

    def __call__(self, text: str, seed: int) -> list[int]:
        random = Random(seed)
        ids: list[int] = []
        for part in self._parts(text):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids.extend(self._piece_ids(self.segment(part, random)))
        return self.framed(ids)

    def _parts(self, text: str) -> Iterator[int | str]:
        """Yield the ids of added tokens and the words between them."""
        start = 0
        for match in self.added_pattern.finditer(text):
            yield from self._words(text, start, match.start())
            yield self.added[match.group()]
            start = match.end()
        yield from self._words(text, start, len(text))

    def _words(self, text: str, start: int, end: int) -> Iterator[str]:
        section = text[start:end]
        if self.normalizer is not None:
            section = self.normalizer.normalize_str(section)
        if not section:
            return
        pre_tokenizer = self.pre_tokenizer if start else self.first_pre_tokenizer
        if pre_tokenizer is None:
            yield section
        else:
            yield from (word for word, _ in pre_tokenizer.pre_tokenize_str(section))

    def _piece_ids(self, pieces: list[str]) -> Iterator[int]:
        unknown = False
        for piece in pieces:
            known = self.ids.get(piece)
            after_unknown, unknown = unknown, False
            if known is not None:
                yield known
            elif None not in self.byte_ids:
                yield from (self.byte_ids[byte] for byte in piece.encode("utf-8"))  # type: ignore[misc]
            else:
                unknown = True
                if self.unk_id is not None and not (after_unknown and self.fuse_unknown):
                    yield self.unk_id


def _plain_added_tokens(serialized: dict[str, Any]) -> list[dict[str, Any]]:
    added = [token for token in serialized["added_tokens"] if not token["special"]]
    for token in added:
        if token["lstrip"] or token["rstrip"] or token["single_word"] or token["normalized"]:
            raise ValueError(
                f"`sampling` does not support the added token {token['content']!r} with its options lstrip, rstrip, "
                "single_word or normalized; set `sampling: 0`."
            )
    return added


def _without_first_prefix(serialized: dict[str, Any]) -> PreTokenizer | None:
    """Return the pre-tokenizer of text behind an added token: what goes before a text's first word stays away."""
    pre_tokenizer = json.dumps(serialized["pre_tokenizer"]).replace(
        '"prepend_scheme": "first"', '"prepend_scheme": "never"'
    )
    model = {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}
    changed = {**serialized, "pre_tokenizer": json.loads(pre_tokenizer), "model": model, "added_tokens": []}
    return Tokenizer.from_str(json.dumps({**changed, "post_processor": None})).pre_tokenizer


def _model(model: dict[str, Any], rate: float) -> tuple[Segmenter, dict[str, int]]:
    """Return the segmenter of a serialised model and the ids of its pieces."""
    if model["type"] == "Unigram":
        scores = dict(model["vocab"])
        ids = {piece: index for index, (piece, _) in enumerate(model["vocab"])}
        return UnigramSampling(scores, rate), ids
    if model["type"] != "BPE":
        raise ValueError(f"`sampling` needs byte_bpe, bpe or unigram; a {model['type']} vocabulary has no subwords.")
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(option):
            raise ValueError(f"`sampling` does not support BPE with {option}; set `sampling: 0`.")
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    ranks: dict[Any, int] = {merge: rank for rank, merge in enumerate(merges)}
    return BpeDropout(lambda left, right: ranks.get((left, right), math.inf), rate), model["vocab"]
