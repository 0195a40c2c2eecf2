"""One side's tokenizer behind which is a tokenizer of `transformers`: trained here, from a folder, or from the Hub.

Texts enter, lists of ids leave, and back. Ids start with what the tokenizer's own template puts in front (nothing,
for those trained here) and end with end of sentence. Text that merely looks like a special token stays text.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import PreTrainedTokenizerBase

from seq2seq.data.subword_sampling import BpeDropout, Segmenter, UnigramSampling


class HuggingFaceTokenizer:
    """Encodes and decodes one side.

    Where the tokenizer has no padding token, `<pad>` is added; without a start token `bos_id` is `pad_id`, as T5 and
    Marian have it; without end of sentence BERT's `[SEP]` serves.

    Args:
        special_tokens: added where they are missing, never split, and part of the text.
        as_target: this is the target side of a tokenizer that treats its sides differently, such as Marian's.

    Raises:
        ValueError: nothing can serve as end of sentence, or a special token is one of the tokenizer's own.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, special_tokens: Sequence[str] = (), as_target: bool = False
    ) -> None:
        own = set(tokenizer.all_special_tokens) & set(special_tokens)
        if own:
            raise ValueError(f"`special_tokens` {', '.join(sorted(own))} are the loaded tokenizer's own; remove them.")
        if tokenizer.pad_token is None:
            tokenizer.add_special_tokens({"pad_token": "<pad>"})
        tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in special_tokens])
        tokenizer.split_special_tokens = True
        self.tokenizer = tokenizer
        self.as_target = as_target
        self.backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        if self.backend is not None:
            self.backend.no_truncation()
            self.backend.no_padding()
        self.pad_id = _present(tokenizer.pad_token_id)
        self.eos_id = _present(tokenizer.eos_token_id, tokenizer.sep_token_id)
        self.bos_id = _present(tokenizer.bos_token_id, tokenizer.cls_token_id, self.pad_id)
        self.unk_id: int | None = tokenizer.unk_token_id
        self.vocab_size = max(tokenizer.get_vocab().values()) + 1
        self._reserved = set(tokenizer.all_special_ids) - {self.unk_id}
        framed = tokenizer(**{self._argument: ""})["input_ids"]
        self._prefix = framed[: framed.index(self.eos_id)] if self.eos_id in framed else framed

    @property
    def _argument(self) -> str:
        return "text_target" if self.as_target else "text"

    def target_side(self) -> "HuggingFaceTokenizer":
        """Return the target side of the same tokenizer."""
        return HuggingFaceTokenizer(self.tokenizer, as_target=True)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        if self.backend is not None:
            self.backend.encode_special_tokens = True  # not kept when a tokenizer is copied to another process
            encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
            return [self.framed(encoding.ids) for encoding in encodings]
        encoded = self.tokenizer(**{self._argument: list(texts)}, add_special_tokens=False, return_attention_mask=False)
        return [self.framed(ids) for ids in encoded["input_ids"]]

    def framed(self, ids: list[int]) -> list[int]:
        """Return the ids of a text between what stands in front of it and end of sentence.

        A vocabulary such as T5's holds its special tokens as pieces and finds them in text; they become unknown.
        """
        if not self._reserved.isdisjoint(ids):
            ids = [index for index in ids if index not in self._reserved or self.unk_id is not None]
            ids = [self.unk_id if index in self._reserved else index for index in ids]  # type: ignore[misc]
        return [*self._prefix, *ids, self.eos_id]

    def sampler(self, rate: float) -> "PipelineSampler":
        """Return the random encoder of this side; `rate` as in `TokenizerConfig.sampling`.

        Raises:
            ValueError: this tokenizer has no subwords to sample, or is not held by the `tokenizers` library.
        """
        if self.backend is None:
            raise ValueError(f"`sampling` cannot be used with {type(self.tokenizer).__name__}; set it to 0.")
        return PipelineSampler(self, self.backend, rate)

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        plain = [[int(index) for index in sequence] for sequence in sequences]
        if self.backend is not None:
            return self.backend.decode_batch(plain, skip_special_tokens=True)
        return [str(self.tokenizer.decode(ids, skip_special_tokens=True)) for ids in plain]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return list(self.tokenizer.convert_ids_to_tokens([int(index) for index in ids]))

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """Return a hash of all that decides the ids of a text."""
        digest = hashlib.sha256(json.dumps([self._prefix, self.eos_id, self.as_target]).encode())
        if self.backend is not None:
            digest.update(self.backend.to_str().encode())
            return digest.hexdigest()
        with TemporaryDirectory() as folder:
            self.save(Path(folder))
            for file in sorted(Path(folder).iterdir()):
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


def _present(*ids: int | None) -> int:
    """Return the first id that there is."""
    for index in ids:
        if index is not None:
            return index
    raise ValueError("The loaded tokenizer has no end-of-sentence token (`eos_token` or `sep_token`); give it one.")


class PipelineSampler:
    """Encodes a text at random: the steps of a `tokenizers` pipeline with its model's place taken by a `Segmenter`.

    Raises:
        ValueError: the model is neither BPE nor Unigram, or has a feature that is not imitated here.
    """

    def __init__(self, side: HuggingFaceTokenizer, backend: Tokenizer, rate: float) -> None:
        self.side = side
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
        return self.side.framed(ids)

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
