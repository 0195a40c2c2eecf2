"""Pieces of text that the vocabulary does not have, and pairs as tokens that a person can read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy

from seq2seq.data.examination.examined import COUNTED_PAIRS, SIDES, Examined
from seq2seq.data.examination.findings import Finding, percent, quoted, shown
from seq2seq.data.tokenizer import SideTokenizer, TextTokenizer

_MUCH = {"source": 0.05, "target": 0.02}
"""Share of the pieces beyond which unknown ones spoil a model; what is unknown in targets can never be generated."""
_ADVICE = (
    ", and nothing is learnt of them. `tokenizer.min_frequency: 1`, a larger `tokenizer.vocab_size`, or "
    "`tokenizer.kind: byte_bpe`, which knows every character, would know more."
)
_LOOKED_AT = 300
"""Texts among which words with unknown pieces are looked for."""
_LONGEST_SAMPLE = 200


@dataclass(frozen=True)
class SamplePair:
    """A pair as texts and as tokens."""

    corpus: str
    source: str
    target: str
    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]


def samples(corpus: Examined, tokenizer: TextTokenizer, number: int) -> Iterator[SamplePair]:
    """Yield pairs spread over a corpus, among them the first and the last."""
    for row in corpus.spread(number):
        texts = [corpus.texts(side)[int(row)].as_py() for side in SIDES]
        ids = [corpus.ids(side).select(numpy.array([row])).flat().tolist() for side in SIDES]
        sides = tokenizer.source, tokenizer.target
        tokens = [tuple(readable(side, found[:_LONGEST_SAMPLE])) for side, found in zip(sides, ids, strict=True)]
        yield SamplePair(corpus.name, texts[0], texts[1], tokens[0], tokens[1])


def readable(side: SideTokenizer, ids: list[int]) -> list[str]:
    """Return tokens as a person reads them: pieces of bytes as their text, a space before a word as `▁`.

    Parts of characters and special tokens are shown as the vocabulary has them.
    """
    entries, texts = side.tokens(ids), side.decode([[index] for index in ids])
    return [_readable(entry, text) for entry, text in zip(entries, texts, strict=True)]


def _readable(entry: str, text: str) -> str:
    if text.startswith(" "):
        return f"▁{text[1:]}"
    return entry if not text or "\ufffd" in text or entry.endswith(text) else text


def unknown_share(corpus: Examined, side: str, unk_id: int | None) -> float:
    """Return the share of a side's pieces that are unknown, ends of sentence not counted."""
    if unk_id is None or not len(corpus):
        return 0.0
    rows = numpy.unique(numpy.linspace(0, len(corpus) - 1, min(len(corpus), COUNTED_PAIRS)).astype(int))
    ids = corpus.ids(side).select(rows)
    num_pieces = int(ids.lengths.sum()) - len(rows)
    return int((ids.flat() == unk_id).sum()) / max(1, num_pieces)


def unknown_pieces(corpus: Examined, tokenizer: TextTokenizer) -> Iterator[Finding]:
    """Yield how much of each side is unknown, and words that are so."""
    for side, own in zip(SIDES, (tokenizer.source, tokenizer.target), strict=True):
        share = unknown_share(corpus, side, own.unk_id)
        if not share:
            continue
        is_much = share >= _MUCH[side]
        words = shown(_unknown_words(corpus, side, own)[:5])
        as_in = f", as in {quoted(words)}" if words else ""
        yield Finding(
            "unknown_pieces",
            f"{percent(share)} of the pieces of {corpus.name} {side}s are unknown{as_in}{_ADVICE if is_much else '.'}",
            round(share * (int(corpus.lengths(side).sum()) - len(corpus))),
            words,
            is_warning=is_much,
        )


def _unknown_words(corpus: Examined, side: str, own: SideTokenizer) -> list[str]:
    """Return words with unknown pieces out of some texts."""
    rows = corpus.spread(20 * _LOOKED_AT)
    ids = corpus.ids(side).select(rows)
    is_unknown = [bool((row == own.unk_id).any()) for row in numpy.split(ids.flat(), numpy.cumsum(ids.lengths)[:-1])]
    texts = corpus.sample(side, rows[is_unknown][:_LOOKED_AT])
    words = list(dict.fromkeys(word for text in texts for word in text.split()))
    return [word for word, found in zip(words, own.encode(words), strict=True) if own.unk_id in found]
