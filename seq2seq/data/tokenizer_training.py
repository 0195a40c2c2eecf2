"""Trains the vocabulary of one side.

Texts and the options of `TokenizerOptions` enter, a `tokenizers.Tokenizer` leaves. The same texts give the same
vocabulary in every process, which is why SentencePiece finds the Unigram pieces: the trainer of `tokenizers` starts
from a hash table in random order, and its scores differ from run to run.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from seq2seq.data.sentencepiece_training import Counted, scored_pieces, trained_model

TokenizerKind = Literal[
    "byte_bpe", "bpe", "unigram", "characters", "words", "word_and_characters", "sentencepiece", "sentencepiece_bpe"
]

PAD, BOS, EOS, UNK = SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
"""The first entries of every trained vocabulary, in this order."""

_BROKEN_SPECIAL = Regex("<(?=(pad|bos|eos|unk)>)")
"""The first character of a special token that somebody typed: cut off, so that no piece can be the special token."""

_COUNTED_TEXTS = 400_000
"""Texts by which merges are counted at most, in some twenty seconds of a core. All, where there are no more: in half of
20,000 pairs a merge of ten uses has 3 to 9, and a rare one among them is hard to tell."""

_CHUNK = 10_000
"""Texts that are encoded at a time, whose encodings take some kilobytes each."""

_DIGIT = Regex(r"\p{Nd}")
"""A decimal digit of any script; said so that other libraries read it alike."""


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: str,
    vocab_size: int,
    min_frequency: int,
    min_relative_frequency: float,
    split_digits: bool,
    normalization: str,
    lowercase: bool,
    special_tokens: tuple[str, ...],
) -> Tokenizer:
    """Return a tokenizer trained on these texts.

    `byte_bpe` (Radford et al. 2019) and, for characters that it has seen, `characters` restore every text exactly;
    `bpe` (Sennrich et al. 2016) and `unigram` (Kudo 2018) mark the start of words with U+2581; `words` splits at white
    space and restores it as single spaces. `special_tokens` follow the four specials, are never split and, unlike
    those, belong to the text: typing one gives its id, and decoding keeps it. With `split_digits` no subword has a
    digit beside anything else. Of BPE the last merges are left out that have less
    than `min_relative_frequency` of the uses that tokens have on average, since classes are learned the better the more
    even their frequencies are (Gowda and May 2020).

    Raises:
        ValueError: there is no text, or `vocab_size` has no room for what must be in it.
    """
    for token in special_tokens:
        if not token or token in SPECIALS or special_tokens.count(token) > 1:
            raise ValueError(
                f"`special_tokens` may not hold {token!r}: empty, doubled or one of {', '.join(SPECIALS)}."
            )
    tokenizer = _untrained(kind, split_digits)
    tokenizer.normalizer = _normalizer(normalization, lowercase)
    reserved = [*SPECIALS, *special_tokens]
    counted = Counted(_without(texts, special_tokens))
    has_rare = bool(min_relative_frequency) and kind in ("byte_bpe", "bpe")
    sampled = _Sampled(counted, _COUNTED_TEXTS if has_rare else 0)
    if kind == "unigram":
        tokenizer.model = _unigram_model(counted, tokenizer, vocab_size, reserved, split_digits)
    else:
        tokenizer.train_from_iterator(sampled, _trainer(kind, vocab_size, min_frequency, reserved))
    counted.check()
    if has_rare:
        tokenizer = _without_rare_merges(tokenizer, sampled.kept, min_relative_frequency)
    if tokenizer.get_vocab_size() > vocab_size:
        bytes_instead = "" if kind == "byte_bpe" else ", or use `kind: byte_bpe`, whose characters are the 256 bytes"
        raise ValueError(
            f"`vocab_size` is {vocab_size}, but special tokens and single characters alone are "
            f"{tokenizer.get_vocab_size()}; raise it{bytes_instead}."
        )
    tokenizer.add_special_tokens(reserved)
    return _finished(tokenizer, special_tokens)


def _untrained(kind: str, split_digits: bool) -> Tokenizer:
    """Return the tokenizer with everything but vocabulary and normalizer."""
    broken_special = pre_tokenizers.Split(_BROKEN_SPECIAL, "isolated")
    digits = [pre_tokenizers.Split(_DIGIT, "isolated")] if split_digits else []
    match kind:
        case "byte_bpe":
            tokenizer = Tokenizer(models.BPE())
            # Digits come before bytes, as which those of other scripts could not be told.
            in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, in_bytes]) if digits else in_bytes
            tokenizer.decoder = decoders.ByteLevel()
        case "bpe" | "unigram":
            tokenizer = Tokenizer(models.BPE(unk_token=UNK) if kind == "bpe" else models.Unigram())
            metaspace = pre_tokenizers.Metaspace(prepend_scheme="first")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([metaspace, *digits, broken_special])
            tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
        case "characters" | "word_and_characters":
            tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
            tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            tokenizer.decoder = decoders.Fuse()
        case "words":
            tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), broken_special])
        case _:
            raise ValueError(f"`kind` is {kind!r}; the kinds are {', '.join(get_args(TokenizerKind))}.")
    return tokenizer


def _normalizer(normalization: str, lowercase: bool) -> normalizers.Normalizer | None:
    forms: dict[str, list[normalizers.Normalizer]] = {
        "none": [],
        "nfc": [normalizers.NFC()],
        "nfkc": [normalizers.NFKC()],
    }
    if normalization not in forms:
        raise ValueError(f"`normalization` is {normalization!r}; it is one of {', '.join(forms)}.")
    steps = [*forms[normalization], *([normalizers.Lowercase()] if lowercase else [])]
    return normalizers.Sequence(steps) if steps else None


def _trainer(kind: str, vocab_size: int, min_frequency: int, reserved: list[str]) -> trainers.Trainer:
    if kind in ("characters", "words", "word_and_characters"):
        return trainers.WordLevelTrainer(
            vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=reserved, show_progress=False
        )
    return trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=reserved,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if kind == "byte_bpe" else [],
        show_progress=False,
    )


def _unigram_model(
    texts: Iterable[str], tokenizer: Tokenizer, vocab_size: int, reserved: list[str], split_digits: bool
) -> models.Unigram:
    """Return the Unigram pieces that SentencePiece finds in the normalised texts."""
    normalizer = tokenizer.normalizer
    normalised = (normalizer.normalize_str(text) if normalizer else text for text in texts)
    try:
        trained = trained_model(
            normalised,
            model_type="unigram",
            vocab_size=vocab_size - len(reserved) + 1,
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            split_digits=split_digits,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
        )
    except RuntimeError as error:
        raise ValueError(f"SentencePiece cannot train {vocab_size} Unigram pieces on this text: {error}") from error
    found = scored_pieces(trained)
    vocabulary = [(piece, 0.0) for piece in reserved]
    vocabulary += [(piece, score) for piece, score in found if piece not in reserved]
    return models.Unigram(vocabulary, unk_id=reserved.index(UNK))


class _Sampled:
    """Passes texts on and keeps some of them, evenly spaced."""

    def __init__(self, texts: Iterable[str], most: int) -> None:
        self.texts = texts
        self.most = most
        self.kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        stride = 1
        for number, text in enumerate(self.texts):
            if self.most and number % stride == 0:
                if len(self.kept) == self.most:
                    self.kept = self.kept[::2]
                    stride *= 2
                self.kept.append(text)
            yield text


def _without_rare_merges(tokenizer: Tokenizer, texts: list[str], share: float) -> Tokenizer:
    """Return it without the last merges, as long as these texts use them less than such a share of the average."""
    serialized = json.loads(tokenizer.to_str())
    merges = [tuple(merge) for merge in serialized["model"]["merges"]]
    uses: Counter[str] = Counter()
    for chunk in (texts[first : first + _CHUNK] for first in range(0, len(texts), _CHUNK)):
        uses.update(token for encoding in tokenizer.encode_batch(chunk) for token in encoding.tokens)
    vocabulary = serialized["model"]["vocab"]
    kept = _num_frequent(merges, uses, len(vocabulary), share)
    left_out = {"".join(merge) for merge in merges[kept:]} - {"".join(merge) for merge in merges[:kept]}
    serialized["model"]["vocab"] = {token: index for token, index in vocabulary.items() if token not in left_out}
    serialized["model"]["merges"] = merges[:kept]
    return Tokenizer.from_str(json.dumps(serialized))


def _num_frequent(merges: list[tuple[str, str]], uses: Counter[str], num_tokens: int, share: float) -> int:
    """Return up to which merge they are frequent.

    Args:
        uses: how often each token stands in the texts after all merges; is used up. A merge joins what earlier ones
            made, so that to undo the last one each of its tokens becomes two.
        num_tokens: after all merges.
    """
    length = uses.total()
    for kept in range(len(merges), 0, -1):
        left, right = merges[kept - 1]
        of_merge = uses.pop(left + right, 0)
        if of_merge * num_tokens >= share * length:
            return kept
        length += of_merge
        num_tokens -= 1
        uses[left] += of_merge
        uses[right] += of_merge
    return 0


def _without(texts: Iterable[str], special_tokens: tuple[str, ...]) -> Iterator[str]:
    """Yield the texts between special tokens, which are never split and hence teach nothing about splitting."""
    if not special_tokens:
        yield from texts
        return
    pattern = re.compile("|".join(map(re.escape, sorted(special_tokens, key=len, reverse=True))))
    for text in texts:
        yield from pattern.split(text)


def _finished(tokenizer: Tokenizer, special_tokens: tuple[str, ...]) -> Tokenizer:
    """Return it with end of sentence behind each text, and with the user's special tokens made part of the text."""
    eos_id = tokenizer.token_to_id(EOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[(EOS, eos_id)]
    )
    serialized = json.loads(tokenizer.to_str())
    for token in serialized["added_tokens"]:
        if token["content"] in special_tokens:
            token["special"] = False
    return Tokenizer.from_str(json.dumps(serialized))
