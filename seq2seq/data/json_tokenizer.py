"""One side's tokenizer, held by the `tokenizers` library alone: those trained here, and what they were saved as.

Texts enter, lists of ids leave, and back; each text ends with end of sentence. Importing transformers would take
longer than tokenising a small corpus, so it is left to tokenizers of others (see `huggingface_tokenizer`).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from seq2seq.data.foreign_folder import check_size
from seq2seq.data.pipeline_sampler import PipelineSampler
from seq2seq.data.tokenizer_training import BOS, EOS, PAD, UNK
from seq2seq.files import read_object

TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"
CONFIG: dict[str, Any] = {
    "backend": "tokenizers",
    "bos_token": BOS,
    "clean_up_tokenization_spaces": False,
    "eos_token": EOS,
    "pad_token": PAD,
    "split_special_tokens": True,
    "tokenizer_class": "TokenizersBackend",
    "unk_token": UNK,
}
"""What `AutoTokenizer` needs to know beside `tokenizer.json`."""


class JsonTokenizer:
    """Encodes and decodes one side. Text that merely looks like a special token stays text."""

    file = TOKENIZER_FILE
    """What it is saved as."""

    def __init__(self, backend: Tokenizer) -> None:
        self.backend = backend
        backend.no_truncation()
        backend.no_padding()
        self.pad_id, self.bos_id, self.eos_id, self.unk_id = (_id(backend, name) for name in (PAD, BOS, EOS, UNK))
        self.vocab_size = max(backend.get_vocab().values()) + 1

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the tokenizer that `save` wrote; raise ValueError, which names the file, where it is damaged."""
        file = folder / cls.file
        check_size(file)
        try:
            backend = Tokenizer.from_file(str(file))
        except BaseException as error:  # `tokenizers` raises plain Exception, and at its own faults none even of these
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ValueError(f"{file} is damaged, or no tokenizer: {error}.") from None
        if absent := [token for token in (PAD, BOS, EOS, UNK) if backend.token_to_id(token) is None]:
            raise ValueError(f"{file} is damaged: {', '.join(absent)} is not in its vocabulary.")
        return cls(backend)

    @staticmethod
    def wrote(folder: Path) -> bool:
        """Return whether a folder holds what `save` wrote; others' tokenizers may need more than their JSON."""
        file = folder / CONFIG_FILE
        if not (file.is_file() and (folder / TOKENIZER_FILE).is_file()):
            return False
        found = read_object(file)
        return all(found.get(name) == value for name, value in CONFIG.items())

    def target_side(self) -> Self:
        return self

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        self.backend.encode_special_tokens = True  # not kept when a tokenizer is copied to another process
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False) if texts else []
        return [self.framed(encoding.ids) for encoding in encodings]

    def framed(self, ids: list[int]) -> list[int]:
        return [*ids, self.eos_id]

    def sampler(self, rate: float) -> PipelineSampler:
        return PipelineSampler(self.framed, self.backend, rate)

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        plain = [[int(index) for index in sequence] for sequence in sequences]
        return self.backend.decode_batch(plain, skip_special_tokens=True)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        tokens = [self.backend.id_to_token(int(index)) for index in ids]
        assert None not in tokens, "ids lie within the vocabulary"
        return [token for token in tokens if token is not None]

    def save(self, folder: Path) -> None:
        self.backend.save(str(folder / self.file))
        text = json.dumps(self.config(), indent=2, ensure_ascii=False) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")

    def config(self) -> dict[str, Any]:
        """Return what stands beside the vocabulary."""
        return CONFIG

    def fingerprint(self) -> str:
        """Return a hash of all that decides the ids of a text."""
        return hashlib.sha256(self.backend.to_str().encode()).hexdigest()


def _id(backend: Tokenizer, token: str) -> int:
    index = backend.token_to_id(token)
    assert index is not None, f"every vocabulary trained here holds {token}"
    return index
