"""Text to token ids and back, for both sides of a pair.

A `TextTokenizer` is trained, loaded from a tokenizer of somebody else, or loaded from its own folder. Texts enter,
lists of ids leave, each ending with end of sentence; the start token of the decoder is added by `collate`. With a seed
per text, subword sampling is on, and its result depends on nothing but text and seed.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from seq2seq.config.declaring import Place, refuse_unused
from seq2seq.data.cutting import cut_ids
from seq2seq.data.foreign_folder import check_links
from seq2seq.data.json_tokenizer import JsonTokenizer
from seq2seq.data.languages import Languages
from seq2seq.data.sentencepiece_tokenizer import SentencePieceTokenizer, own_model_file
from seq2seq.data.sentencepiece_training import MODEL_TYPES, RULES, train_sentencepiece
from seq2seq.data.tokenizer_training import TokenizerKind, train_tokenizer
from seq2seq.data.word_character_tokenizer import WordCharacterTokenizer
from seq2seq.files import added_files

NO_LANGUAGES = Languages()
SOURCE_FOLDER, TARGET_FOLDER = "source_tokenizer", "target_tokenizer"


@dataclass(frozen=True)
class TokenizerOptions:
    """How text becomes tokens: by a tokenizer that is trained, one of somebody else (`path`), or a run's (`from_run`).

    Raises:
        ValueError: options that do not go together, or are out of range.
    """

    kind: TokenizerKind = "byte_bpe"
    """Tokenizer to train. `words` splits at white space, for text that is segmented already. `word_and_characters`, for
    sources alone, has each word as one token and behind them all characters, for what depends on the very word, as
    inflection does. `sentencepiece` (Unigram) and `sentencepiece_bpe` are models of that library, which others read as
    they are; rare characters are bytes."""
    target_kind: TokenizerKind | None = None
    """Kind for the target side when it differs from the source side; needs `shared: false`."""
    vocab_size: int = 8000
    """Vocabulary entries to train, special tokens included (an upper limit for `characters` and `words`)."""
    target_vocab_size: int | None = None
    """Vocabulary entries of the target side when not shared; by default the same as `vocab_size`."""
    shared: bool = True
    """One vocabulary for both sides, trained on both."""
    min_frequency: int = 1
    """Least number of times that a merge, character or word must occur to enter the vocabulary."""
    min_relative_frequency: float = 0.0
    """Least uses that a merge of BPE must have in proportion to those of all tokens on average, 0.1 for a tenth."""
    split_digits: bool = True
    """Each digit is a subword of its own, so that numbers are read and written digit by digit."""
    normalization: Literal["none", "nfc", "nfkc"] = "none"
    """Unicode normalisation before tokenising; `nfkc` of a `sentencepiece` is its `nmt_nfkc`, also of white space."""
    lowercase: bool = False
    """Lower-case before tokenising."""
    special_tokens: tuple[str, ...] = ()
    """Further tokens that are never split, such as language tags `<de>`."""
    path: Place | None = None
    """Load instead of train: a folder or Hub name for `AutoTokenizer`, a tokenizer.json, or a SentencePiece .model."""
    target_path: Place | None = None
    """The target side's tokenizer, when it is another one than `path`."""
    from_run: Place | None = None
    """Run or model folder whose tokenizer is taken as it is."""
    sampling: float = 0.0
    """Subword regularisation in training: BPE-dropout probability, or alpha of Unigram sampling; 0 switches it off."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "target_vocab_size", "min_frequency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {value}.")
        if not 0 <= self.min_relative_frequency <= 1:
            raise ValueError(f"`min_relative_frequency` must be from 0 to 1, but is {self.min_relative_frequency}.")
        if self.sampling < 0:
            raise ValueError(f"`sampling` must be 0 or more, but is {self.sampling}.")
        if self.shared and (self.target_kind or self.kind) != self.kind:
            raise ValueError("`target_kind` needs `shared: false`: one vocabulary cannot be of two kinds.")
        if self.shared and (self.target_vocab_size or self.vocab_size) != self.vocab_size:
            raise ValueError("`target_vocab_size` needs `shared: false`: there is one vocabulary.")
        if self.path is not None and self.from_run is not None:
            raise ValueError("`path` and `from_run` each name a tokenizer; leave one of them out.")
        if self.target_path is not None and self.path is None:
            raise ValueError("`target_path` is the target side's beside `path`, which is missing; give both.")
        is_trained = self.path is None and self.from_run is None
        if is_trained and "word_and_characters" in (self.target_kind or self.kind, self.kind if self.shared else ""):
            raise ValueError(
                "`word_and_characters` is for sources alone: set `shared: false`, and `target_kind` to `characters`."
            )
        for kind in (self.kind, self.target_kind or self.kind) if is_trained else ():
            self._check_kind(kind)
        size = ("vocab_size", "target_vocab_size", "min_frequency", "min_relative_frequency")
        spelling = ("split_digits", "normalization", "lowercase")
        refuse_unused(
            self,
            ("kind", "target_kind", "shared", *size, *spelling),
            "a tokenizer that is trained (no `path`)",
            applies=is_trained,
        )
        has_merges = not {self.kind, self.target_kind or self.kind}.isdisjoint(("byte_bpe", "bpe"))
        refuse_unused(self, ("min_relative_frequency",), "`byte_bpe` and `bpe`", applies=not is_trained or has_merges)
        refuse_unused(
            self, ("special_tokens",), "a tokenizer of its own (no `from_run`)", applies=self.from_run is None
        )

    def _check_kind(self, kind: str) -> None:
        """Raise ValueError for an option that a kind to train has no use for."""
        if self.sampling and kind in ("characters", "words", "word_and_characters"):
            raise ValueError(f"`sampling` needs subwords; a vocabulary of {kind} has none.")
        if self.sampling > 1 and kind not in ("unigram", "sentencepiece"):
            raise ValueError(f"`sampling` is {self.sampling}; with BPE it is a probability, from 0 to 1.")
        if kind not in MODEL_TYPES:
            return
        if self.normalization not in RULES:
            known = " or ".join(f"`{name}`" for name in RULES)
            raise ValueError(
                f"`normalization: {self.normalization}` is none of SentencePiece's; with {kind} use {known}."
            )
        if self.lowercase:
            raise ValueError(
                f"`lowercase` is nothing that {kind} can do: SentencePiece folds case, and makes `ss` of `ß`. Leave it "
                "out and lower-case the texts yourself, or train another kind."
            )
        if self.min_frequency != 1:
            raise ValueError(f"`min_frequency` is nothing that {kind} can be told; leave it out.")


class SideTokenizer(Protocol):
    """What `TextTokenizer` needs of one side; ids of a text end with `eos_id`."""

    pad_id: int
    bos_id: int
    eos_id: int
    vocab_size: int

    @property
    def unk_id(self) -> int | None: ...
    def target_side(self) -> "SideTokenizer": ...
    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...
    def sampler(self, rate: float) -> Callable[[str, int], list[int]]: ...
    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]: ...
    def tokens(self, ids: Sequence[int]) -> list[str]: ...
    def save(self, folder: Path) -> None: ...
    def fingerprint(self) -> str: ...


class TextTokenizer:
    """A source and a target tokenizer; `pad_id`, `bos_id`, `eos_id` and `unk_id` are the target side's.

    Args:
        shared: both sides are one tokenizer, saved once; the sides may still frame a text differently.
        sampling: BPE-dropout probability or Unigram alpha, used where seeds are given; 0 switches it off.

    Attributes:
        target_start: tokens that every target begins with in a search, such as that of its language.
    """

    def __init__(self, source: SideTokenizer, target: SideTokenizer, *, shared: bool, sampling: float = 0.0) -> None:
        self.source = source
        self.target = target
        self.shared = shared
        self.sampling = sampling
        self._make_samplers()
        self.source_pad_id = source.pad_id
        self.source_vocab_size = source.vocab_size
        self.target_vocab_size = target.vocab_size
        self.pad_id = target.pad_id
        self.bos_id = target.bos_id
        self.eos_id = target.eos_id
        self.unk_id = target.unk_id
        self.decoder_start_id = target.bos_id
        self.longest_source: int | None = None
        self.target_start: tuple[int, ...] = ()

    def _make_samplers(self) -> None:
        sampling = self.sampling
        self._source_sampler = self.source.sampler(sampling) if sampling else None
        self._target_sampler = self.target.sampler(sampling) if sampling else None

    @classmethod
    def train(
        cls,
        source_texts: Iterable[str],
        target_texts: Iterable[str],
        **options: Any,
    ) -> Self:
        """Return a tokenizer trained on these texts.

        Args:
            options: those of `TokenizerOptions`.

        Raises:
            ValueError: options that do not fit together, no text, or too small a vocabulary.
        """
        chosen = TokenizerOptions(**options)

        def trained(texts: Iterable[str], kind: str, vocab_size: int) -> SideTokenizer:
            if kind in MODEL_TYPES:
                model = train_sentencepiece(
                    texts,
                    kind=kind,
                    vocab_size=vocab_size,
                    split_digits=chosen.split_digits,
                    normalization=chosen.normalization,
                    special_tokens=chosen.special_tokens,
                )
                return SentencePieceTokenizer(model)
            if kind == "word_and_characters":
                texts = list(texts)  # gone through twice
            tokenizer = train_tokenizer(
                texts,
                kind=kind,
                vocab_size=vocab_size,
                min_frequency=chosen.min_frequency,
                min_relative_frequency=chosen.min_relative_frequency,
                split_digits=chosen.split_digits,
                normalization=chosen.normalization,
                lowercase=chosen.lowercase,
                special_tokens=chosen.special_tokens,
            )
            if kind == "word_and_characters":
                return WordCharacterTokenizer.trained(list(texts), tokenizer, vocab_size)
            return JsonTokenizer(tokenizer)

        if chosen.shared:
            side = trained(chain(source_texts, target_texts), chosen.kind, chosen.vocab_size)
            return cls(side, side.target_side(), shared=True, sampling=chosen.sampling)
        source = trained(source_texts, chosen.kind, chosen.vocab_size)
        target_vocab_size = chosen.target_vocab_size or chosen.vocab_size
        target = trained(target_texts, chosen.target_kind or chosen.kind, target_vocab_size)
        return cls(source, target, shared=False, sampling=chosen.sampling)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        target_path: str | Path | None = None,
        *,
        special_tokens: Sequence[str] = (),
        sampling: float = 0.0,
    ) -> Self:
        """Return a tokenizer that exists: a folder or Hub name, a tokenizer.json, or a SentencePiece .model.

        Raises:
            ValueError: there is none at that place, or it lacks what is needed.
        """
        source = _pretrained_side(path, special_tokens)
        if target_path is not None:
            target = _pretrained_side(target_path, special_tokens)
            return cls(source, target, shared=False, sampling=sampling)
        return cls(source, source.target_side(), shared=True, sampling=sampling)

    @classmethod
    def load(cls, folder: str | Path, *, sampling: float = 0.0) -> Self:
        """Return the tokenizer that `save` wrote.

        Raises:
            ValueError: the folder holds no tokenizer.
        """
        folder = Path(folder)
        check_links(folder)
        if (folder / SOURCE_FOLDER).is_dir():
            return cls.from_pretrained(folder / SOURCE_FOLDER, folder / TARGET_FOLDER, sampling=sampling)
        return cls.from_pretrained(folder, sampling=sampling)

    def save(self, folder: str | Path) -> None:
        """Write the files that `load` reads; `AutoTokenizer` reads them too.

        One vocabulary goes into the folder itself, two into the subfolders `source_tokenizer` and `target_tokenizer`.
        """
        if self.shared:
            _save(self.source, Path(folder))
        else:
            _save(self.source, Path(folder) / SOURCE_FOLDER)
            _save(self.target, Path(folder) / TARGET_FOLDER)

    def cutting_sources(self, longest: int) -> Self:
        """Return a copy that cuts sources at so many tokens, their end of sentence included."""
        found = copy(self)
        found.longest_source = longest
        return found

    @property
    def languages(self) -> Languages:
        """The languages that texts can be said to be of; none of most tokenizers."""
        return getattr(self.source, "languages", NO_LANGUAGES)

    def speaking(self, source_language: str | None, target_language: str | None) -> Self:
        """Return a copy for texts of these languages; None leaves a side as it is.

        Raises:
            ValueError: there is no such language, or no tokenizer of languages.
        """
        if source_language is None and target_language is None:
            return self
        languages, found = self.languages, copy(self)
        source = None if source_language is None else languages.id_of(source_language, "source")
        target = None if target_language is None else languages.id_of(target_language, "target")
        if languages.of_target_only:
            if source is not None:
                raise ValueError("`source_language` is nothing that this model is told; leave it out.")
            found.source = self.source.speaking(None, in_front=target)  # type: ignore[attr-defined]
        else:
            found.source = self.source.speaking(source)  # type: ignore[attr-defined]
            found.target = self.target.speaking(target)  # type: ignore[attr-defined]
            if target is not None and languages.is_start:
                found.decoder_start_id = target
            elif target is not None:
                found.target_start = (target,)
        found._make_samplers()
        return found

    def encode_sources(self, texts: Sequence[str], seeds: Sequence[int] | None = None) -> list[list[int]]:
        """Return the ids of each text; with `seeds`, one per text, and `sampling` above 0, at random."""
        sources = _encode(self.source, self._source_sampler, texts, seeds)
        return sources if self.longest_source is None else [cut_ids(ids, self.longest_source) for ids in sources]

    def forced_starts(self, prefixes: Sequence[str] | None, number: int) -> list[list[int]] | None:
        """Return the tokens that so many targets have to begin with; None where there are none.

        Args:
            prefixes: the beginnings of their texts; a prefix is a target that has not ended.
        """
        if prefixes is None:
            return [list(self.target_start)] * number if self.target_start else None
        starts, size = [ids[:-1] for ids in self.encode_targets(prefixes)], len(self.target_start)
        return [ids if tuple(ids[:size]) == self.target_start else [*self.target_start, *ids] for ids in starts]

    def encode_targets(self, texts: Sequence[str], seeds: Sequence[int] | None = None) -> list[list[int]]:
        """Return the ids of each text, as `encode_sources`."""
        return _encode(self.target, self._target_sampler, texts, seeds)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of target ids; special tokens are skipped."""
        return self.target.decode([ids])[0]

    def decode_batch(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of many target sequences."""
        return self.target.decode(sequences)

    def source_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the source vocabulary's entry of each id."""
        return self.source.tokens(ids)

    def target_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the target vocabulary's entry of each id."""
        return self.target.tokens(ids)

    def fingerprint(self) -> str:
        """Return a hash of all that decides the ids of a text without sampling."""
        return hashlib.sha256(f"{self.source.fingerprint()} {self.target.fingerprint()}".encode()).hexdigest()


def _encode(
    side: SideTokenizer,
    sampler: Callable[[str, int], list[int]] | None,
    texts: Sequence[str],
    seeds: Sequence[int] | None,
) -> list[list[int]]:
    if seeds is None or sampler is None:
        return side.encode(texts)
    return [sampler(text, seed) for text, seed in zip(texts, seeds, strict=True)]


def _save(side: SideTokenizer, folder: Path) -> None:
    """Write a side's files; each takes its name only when it is whole."""
    with added_files(folder) as unfinished:
        side.save(unfinished)


def _pretrained_side(path: str | Path, special_tokens: Sequence[str]) -> SideTokenizer:
    file = own_model_file(Path(path)) or Path(path)
    if file.suffix == ".model":
        if not file.is_file():
            raise ValueError(f"{file}: there is no such file.")
        return SentencePieceTokenizer.load(file, special_tokens)
    if not special_tokens and WordCharacterTokenizer.wrote(Path(path)):
        return WordCharacterTokenizer.load(Path(path))
    if not special_tokens and JsonTokenizer.wrote(Path(path)):
        return JsonTokenizer.load(Path(path))
    from seq2seq.data.huggingface_tokenizer import (  # imports transformers, which takes seconds
        HuggingFaceTokenizer,
        tokenizer_of_folder_or_hub,
        tokenizer_of_json,
    )

    tokenizer = tokenizer_of_json(file) if file.suffix == ".json" else tokenizer_of_folder_or_hub(str(path))
    try:
        return HuggingFaceTokenizer(tokenizer, special_tokens=special_tokens)
    except Exception as error:  # what a damaged one makes the library raise is of many types
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
