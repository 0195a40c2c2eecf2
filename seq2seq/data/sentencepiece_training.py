"""Trains models with the SentencePiece library: those of the kinds `sentencepiece*`, and the pieces of `unigram`.

Texts enter, the bytes of a `.model` leave, the same in every process: all texts are used, by a fixed number of threads.
"""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

MODEL_TYPES = {"sentencepiece": "unigram", "sentencepiece_bpe": "bpe"}
"""The library's model of each kind that is one of its own."""
RULES = {"none": "identity", "nfkc": "nmt_nfkc"}
"""The library's normalisation of each of ours that it has."""
RESERVED = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>"}
"""The first pieces, in the order of all vocabularies that are trained here, by the names that readers of `.model` files
know."""
COVERAGE = 0.9995
"""Share of the characters of the text that are pieces; the library's default. The others are bytes."""
_THREADS = 4
"""Fixed, because the number of threads changes the order of sums and with it the scores."""


class Counted:
    """Passes texts on and remembers whether there was any, since trainers are content with none."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = texts
        self.any_text = False

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.any_text = self.any_text or bool(text)
            yield text

    def check(self) -> None:
        """Raise ValueError if there was none."""
        if not self.any_text:
            raise ValueError("There is no text to train a tokenizer on.")


def train_sentencepiece(
    texts: Iterable[str],
    *,
    kind: str,
    vocab_size: int,
    split_digits: bool,
    normalization: str,
    special_tokens: tuple[str, ...],
) -> bytes:
    """Return a model trained on these texts, whose rarest characters, and those it has not seen, are bytes.

    Without normalisation it restores every text exactly, but for U+2581, which stands for the space in its pieces. With
    `nfkc`, white space is normalised as well, as by most models of others.

    Raises:
        ValueError: there is no text, or `vocab_size` has no room for what must be in it.
    """
    for token in special_tokens:
        is_byte = re.fullmatch("<0x[0-9A-F]{2}>", token)
        if not token or token in RESERVED.values() or is_byte or special_tokens.count(token) > 1:
            raise ValueError(
                f"`special_tokens` may not hold {token!r}: empty, doubled, a byte or one of "
                f"{', '.join(RESERVED.values())}."
            )
        if "▁" in token or any(map(str.isspace, token)):
            raise ValueError(f"`special_tokens` may not hold {token!r}: SentencePiece finds none with a space in it.")
    counted = Counted(texts)
    try:
        model = trained_model(
            counted,
            model_type=MODEL_TYPES[kind],
            vocab_size=vocab_size,
            byte_fallback=True,
            split_digits=split_digits,
            character_coverage=COVERAGE,
            normalization_rule_name=RULES[normalization],
            remove_extra_whitespaces=normalization != "none",
            user_defined_symbols=list(special_tokens),
            **{f"{role}_id": number for number, role in enumerate(RESERVED)},
            **{f"{role}_piece": piece for role, piece in RESERVED.items()},
        )
    except RuntimeError as error:
        counted.check()
        raise ValueError(
            f"SentencePiece cannot train {vocab_size} pieces, of which 256 are the bytes, on this text: {error}"
        ) from error
    counted.check()
    return model


def trained_model(texts: Iterable[str], **options: Any) -> bytes:
    """Return the model that the library trains on these texts, with what is the same for all of ours.

    Raises:
        ValueError: the library is missing.
        RuntimeError: of the library, which says what it lacks.
    """
    try:
        from sentencepiece import SentencePieceTrainer
    except ImportError:
        raise ValueError("This `tokenizer.kind` is trained by SentencePiece: pip install sentencepiece.") from None
    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        hard_vocab_limit=False,
        max_sentence_length=2**20,
        num_threads=_THREADS,
        minloglevel=2,
        **options,
    )
    return trained.getvalue()


def scored_pieces(model: bytes) -> list[tuple[str, float]]:
    """Return the pieces of a model and their scores, which are log-probabilities of a Unigram model."""
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_proto=model)
    return [(pieces.id_to_piece(index), pieces.get_score(index)) for index in range(pieces.get_piece_size())]
