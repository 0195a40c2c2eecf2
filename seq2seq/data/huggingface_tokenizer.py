"""One side's tokenizer behind which is a tokenizer of `transformers`: from a tokenizer.json, a folder, or the Hub.

Texts enter, lists of ids leave, and back. Ids start with what the tokenizer's own template puts in front and end with
end of sentence, which a few let the text's language follow. Text that merely looks like a special token stays text.
"""

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from seq2seq.data.foreign_folder import check_foreign_folder, check_size
from seq2seq.data.languages import known_languages
from seq2seq.data.pipeline_sampler import PipelineSampler

_CONVENTIONAL_TOKENS = {
    "pad_token": ("<pad>", "[PAD]", "<|pad|>"),
    "bos_token": ("<bos>", "<s>", "[BOS]", "[CLS]", "<|startoftext|>"),
    "eos_token": ("<eos>", "</s>", "[EOS]", "[SEP]", "<|endoftext|>"),
    "unk_token": ("<unk>", "[UNK]", "<|unk|>"),
}
"""What the special tokens are usually called, for a bare tokenizer.json, which does not say."""
WHOLE_TOKENIZERS = ("tokenizer.json", "tokenizer.*.json", "tokenizer.model*", "tiktoken.model", "tekken.json")
"""Files of which any holds all of a tokenizer that is held by the `tokenizers` library."""


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
        vocabulary = vocabulary_of(tokenizer, as_target)
        self.vocab_size = max(vocabulary.values()) + 1
        self._names = {index: token for token, index in vocabulary.items()} if has_two_vocabularies(tokenizer) else None
        self._reserved = set(tokenizer.all_special_ids) - {self.unk_id}
        framed = list(tokenizer(**{self._argument: ""})["input_ids"])
        end = framed.index(self.eos_id) if self.eos_id in framed else len(framed)
        self._prefix, self._suffix = framed[:end], framed[end:] or [self.eos_id]
        self.languages = known_languages(tokenizer)
        self.vocab_size = max(self.vocab_size, *(index + 1 for index in self.languages.ids.values()), 0)
        self._hidden = frozenset() if self.languages.of_target_only else frozenset(self.languages.ids.values())
        if self.languages.is_start and as_target:
            self._suffix = [self.eos_id]  # the code is what a target starts from, not a part of it

    @property
    def _argument(self) -> str:
        return "text_target" if self.as_target else "text"

    def speaking(self, language_id: int | None, in_front: int | None = None) -> "HuggingFaceTokenizer":
        """Return a copy that frames texts as those of another language.

        Args:
            language_id: takes the place of the one that the tokenizer was loaded with; None keeps that.
            in_front: a language's token to stand before all others, in the place of one that does.
        """
        found, known = copy(self), set(self.languages.ids.values())

        def framed(ids: list[int]) -> list[int]:
            return [language_id if index in known and language_id is not None else index for index in ids]

        own = self._prefix
        if in_front is not None:
            own = [in_front, *(own[1:] if own and own[0] in known else own)]
        found._prefix = framed(own)
        found._suffix = framed(self._suffix)
        return found

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
        return [*self._prefix, *ids, *self._suffix]

    def sampler(self, rate: float) -> PipelineSampler:
        """Return the random encoder of this side; `rate` as in `TokenizerOptions.sampling`.

        Raises:
            ValueError: this tokenizer has no subwords to sample, or is not held by the `tokenizers` library.
        """
        if self.backend is None:
            raise ValueError(f"`sampling` cannot be used with {type(self.tokenizer).__name__}; set it to 0.")
        return PipelineSampler(self.framed, self.backend, rate)

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        plain = [[int(index) for index in sequence if int(index) not in self._hidden] for sequence in sequences]
        if self.backend is not None:
            return self.backend.decode_batch(plain, skip_special_tokens=True)
        return [str(self.tokenizer.decode(ids, skip_special_tokens=True)) for ids in plain]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return what tokens are called; those that models have beyond their tokenizer, as T5 has, by their numbers."""
        if self._names is not None:
            return [self._names.get(int(index), f"<{index}>") for index in ids]
        names = self.tokenizer.convert_ids_to_tokens([int(index) for index in ids])
        return [f"<{index}>" if name is None else name for name, index in zip(names, ids, strict=True)]

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """Return a hash of all that decides the ids of a text."""
        digest = hashlib.sha256(json.dumps([self._prefix, self._suffix[0], self.as_target]).encode())
        digest.update(json.dumps(self._suffix[1:]).encode() if len(self._suffix) > 1 else b"")
        if self.backend is not None:
            digest.update(self.backend.to_str().encode())
            return digest.hexdigest()
        with TemporaryDirectory() as folder:
            self.save(Path(folder))
            for file in sorted(Path(folder).iterdir()):
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


def has_two_vocabularies(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the sides have a vocabulary each, as some of Marian's have."""
    return bool(getattr(tokenizer, "separate_vocabs", False))


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, as_target: bool) -> dict[str, int]:
    """Return the ids of a side's tokens; of two vocabularies the library's `get_vocab` is the source's."""
    if not has_two_vocabularies(tokenizer):
        return dict(tokenizer.get_vocab())
    own: dict[str, int] = tokenizer.target_encoder if as_target else tokenizer.encoder
    return {**own, **tokenizer.added_tokens_encoder}


def _present(*ids: int | None) -> int:
    """Return the first id that there is."""
    for index in ids:
        if index is not None:
            return index
    raise ValueError("The loaded tokenizer has no end-of-sentence token (`eos_token` or `sep_token`); give it one.")


def tokenizer_of_json(file: Path) -> PreTrainedTokenizerBase:
    if not file.is_file():
        raise ValueError(f"{file}: there is no such file.")
    check_size(file)
    try:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
    except BaseException as error:  # `tokenizers` raises plain Exception, and at its own faults none even of these
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        with file.open("rb") as opened:
            is_bytepiece = b'"AA=="' in opened.read(40)  # the byte 0, the first of its pieces
        if is_bytepiece:
            raise ValueError(
                f"{file} is a model of BytePiece; its `Tokenizer(file).convert_to_sentencepiece(path)` writes what is "
                "read here, a file that ends in `.model`."
            ) from None
        raise ValueError(f"{file}: not a tokenizer.json of the `tokenizers` library: {error}") from error
    vocabulary = tokenizer.get_vocab()
    found = {
        role: next((name for name in names if name in vocabulary), None) for role, names in _CONVENTIONAL_TOKENS.items()
    }
    tokenizer.add_special_tokens({role: name for role, name in found.items() if name is not None})
    return tokenizer


def tokenizer_of_folder_or_hub(path: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder, or of that name on the Hub, without running any code from there.

    Raises:
        ValueError: there is none, it is damaged, or it asks for more than its own files (`check_foreign_folder`).
    """
    is_folder = Path(path).is_dir()
    if is_folder:
        check_foreign_folder(Path(path))
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=is_folder)
    except Exception as error:  # network, names, files, formats: many types, none of them ours
        raise ValueError(f"No tokenizer can be loaded from {path!r}: {' '.join(str(error).split())}") from error
    if is_folder:
        check_vocabulary(tokenizer, Path(path))
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Raise ValueError if the tokenizer of a folder has been made without a vocabulary, as the library does in silence.

    By the kind of the model alone it makes one of special tokens, to which every text is unknown.
    """
    names = tokenizer.vocab_files_names
    if "tokenizer_file" not in names or "vocab_file" not in names:
        return  # those that need no file, and those that cannot be made without
    if not any(any(folder.glob(name)) for name in (names["vocab_file"], *WHOLE_TOKENIZERS)):
        raise ValueError(
            f"{folder} has neither tokenizer.json nor {names['vocab_file']}, without which no text has tokens; put the "
            "model's tokenizer there (`AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)`)."
        )
