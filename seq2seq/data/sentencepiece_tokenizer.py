"""One side's tokenizer behind which is a SentencePiece model file.

Texts enter, lists of ids leave, and back. The SentencePiece library itself does the work: conversions to other formats
differ from it in normalisation, in ties between merges and in unknown characters.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Self

from seq2seq.data.foreign_folder import check_size
from seq2seq.data.subword_sampling import BpeDropout, Segmenter, UnigramSampling
from seq2seq.files import read_object

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

MODEL_FILE, CONFIG_FILE = "tokenizer.model", "tokenizer_config.json"
EARLIER_MODEL_FILE = "sentencepiece.model"
"""What earlier versions wrote, without a configuration."""
CONFIG: dict[str, Any] = {
    "backend": "sentencepiece",
    "legacy": True,
    "special_tokens_pattern": "eos",
    "split_special_tokens": True,
    "tokenizer_class": "SentencePieceBackend",
}
"""What `AutoTokenizer` needs to know beside the model, to make the same ids of a text; and the special tokens."""


def own_model_file(folder: Path) -> Path | None:
    """Return the model that `save` wrote into a folder; None where something else did, or nothing."""
    if (folder / EARLIER_MODEL_FILE).is_file():
        return folder / EARLIER_MODEL_FILE
    if not ((folder / MODEL_FILE).is_file() and (folder / CONFIG_FILE).is_file()):
        return None
    found = read_object(folder / CONFIG_FILE)
    return folder / MODEL_FILE if all(found.get(name) == value for name, value in CONFIG.items()) else None


class SentencePieceTokenizer:
    """Encodes and decodes one side; padding and end of sentence are added behind the model's pieces if it has none.

    Args:
        name: what an error says of the model's origin.

    Raises:
        ValueError: it is no SentencePiece model, or the library is missing.
    """

    def __init__(self, model: bytes, name: str | Path = "the trained tokenizer") -> None:
        self.processor = _processor(model, name)
        size = self.processor.get_piece_size()
        self._added: list[str] = []
        self.pad_id = self._own_or_added(self.processor.pad_id(), "<pad>")
        self.eos_id = self._own_or_added(self.processor.eos_id(), "</s>")
        self.bos_id = self.processor.bos_id() if self.processor.bos_id() >= 0 else self.pad_id
        self.unk_id: int | None = self.processor.unk_id()
        self.vocab_size = size + len(self._added)

    @classmethod
    def load(cls, path: Path, special_tokens: Sequence[str] = ()) -> Self:
        """Return the tokenizer of a `.model` file.

        Args:
            special_tokens: must be user-defined symbols of the model, which are never split.

        Raises:
            ValueError: it is no SentencePiece model, the library is missing, or a special token is not in the model.
        """
        check_size(path)
        found = cls(path.read_bytes(), path)
        pieces = set(found.pieces())
        for token in special_tokens:
            if token not in pieces:
                raise ValueError(f"{path}: `special_tokens` holds {token!r}, which is not a piece of this model.")
        return found

    def _own_or_added(self, index: int, token: str) -> int:
        if index >= 0:
            return index
        self._added.append(token)
        return self.processor.get_piece_size() + len(self._added) - 1

    def pieces(self) -> list[str]:
        """Return the pieces of the model, by id; what is added to them has the ids that follow."""
        return [self.processor.id_to_piece(index) for index in range(self.processor.get_piece_size())]

    def target_side(self) -> "SentencePieceTokenizer":
        return self

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.framed(ids) for ids in self.processor.encode(list(texts), out_type=int)] if texts else []

    def framed(self, ids: list[int]) -> list[int]:
        return [*ids, self.eos_id]

    def sampler(self, rate: float) -> "SentencePieceSampler":
        return SentencePieceSampler(self, rate)

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        size = self.processor.get_piece_size()
        plain = [
            [index for index in map(int, sequence) if index < size and index != self.unk_id] for sequence in sequences
        ]
        return self.processor.decode(plain) if plain else []

    def tokens(self, ids: Sequence[int]) -> list[str]:
        size = self.processor.get_piece_size()
        return [self.processor.id_to_piece(i) if i < size else self._added[i - size] for i in map(int, ids)]

    def model(self) -> bytes:
        """Return what a `.model` file of the library holds."""
        return self.processor.serialized_model_proto()

    def save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(self.model())
        text = json.dumps(CONFIG | self._special_tokens(), indent=2, ensure_ascii=False) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")

    def _special_tokens(self) -> dict[str, Any]:
        """Return the special tokens as `AutoTokenizer` wants them, with the ids of those that are added."""
        ids = {"pad_token": self.pad_id, "eos_token": self.eos_id, "unk_token": self.unk_id}
        if self.processor.bos_id() >= 0:
            ids["bos_token"] = self.bos_id
        size = self.processor.get_piece_size()
        added = {str(size + number): {"content": token, "special": True} for number, token in enumerate(self._added)}
        return {role: self.tokens([index])[0] for role, index in ids.items() if index is not None} | {
            "added_tokens_decoder": added
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(self.model()).hexdigest()


def _processor(model: bytes, name: str | Path) -> "SentencePieceProcessor":
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise ValueError(f"{name}: reading a SentencePiece model needs: pip install sentencepiece.") from None
    try:
        return SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise ValueError(f"{name}: not a SentencePiece model: {error}") from error


class SentencePieceSampler:
    """Encodes a text at random: SentencePiece's steps with the search for pieces taken by a `Segmenter`.

    Raises:
        ValueError: the model is neither BPE nor Unigram.
    """

    def __init__(self, side: SentencePieceTokenizer, rate: float) -> None:
        from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]

        self.side = side
        model = ModelProto.FromString(side.processor.serialized_model_proto())
        kinds = ModelProto.SentencePiece
        self.ids = {piece.piece: index for index, piece in enumerate(model.pieces) if piece.type == kinds.NORMAL}
        pieces = enumerate(model.pieces)  # the bytes may stand in any order
        self.bytes = {int(piece.piece[1:-1], 16): index for index, piece in pieces if piece.type == kinds.BYTE}
        self.symbols = {piece.piece: i for i, piece in enumerate(model.pieces) if piece.type == kinds.USER_DEFINED}
        symbols = "|".join(map(re.escape, sorted(self.symbols, key=len, reverse=True)))
        crosses_words = any("▁" in piece[1:] for piece in self.ids)
        words = "[^▁]+|▁[^▁]*" if not crosses_words else r"[\s\S]+"
        self.symbol_pattern = re.compile(f"({symbols})" if symbols else r"(?!)")
        self.word_pattern = re.compile(words)
        scores = {piece.piece: piece.score for piece in model.pieces if piece.type == kinds.NORMAL}
        self.segment: Segmenter
        if model.trainer_spec.model_type == model.trainer_spec.UNIGRAM:
            self.segment = UnigramSampling(scores, rate)
        elif model.trainer_spec.model_type == model.trainer_spec.BPE:
            ranks = {piece: -score for piece, score in scores.items()}
            self.segment = BpeDropout(lambda left, right: ranks.get(left + right, math.inf), rate)
        else:
            raise ValueError("`sampling` needs a SentencePiece model of type BPE or Unigram; set it to 0.")

    def __call__(self, text: str, seed: int) -> list[int]:
        random = Random(seed)
        ids: list[int] = []
        for section in self.symbol_pattern.split(self.side.processor.normalize(text)):
            if section in self.symbols:
                ids.append(self.symbols[section])
                continue
            for word in self.word_pattern.findall(section):
                for piece in self.segment(word, random):
                    self._append(ids, piece)
        return self.side.framed(ids)

    def _append(self, ids: list[int], piece: str) -> None:
        """Append a piece's id; an unknown character is its bytes or, once for a run of them, the unknown token."""
        if piece in self.ids:
            ids.append(self.ids[piece])
        elif self.bytes:
            ids.extend(self.bytes[byte] for byte in piece.encode("utf-8"))
        elif not ids or ids[-1] != self.side.unk_id:
            assert self.side.unk_id is not None, "a SentencePiece model always has an unknown token"
            ids.append(self.side.unk_id)
