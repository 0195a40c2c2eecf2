"""A first row that names columns and is no pair, since nobody has said `header: true`."""

import re
from collections.abc import Iterator

import pyarrow.compute as pc

from seq2seq.data.examination.examined import Examined
from seq2seq.data.examination.findings import Finding, quoted

_NAMES = (
    "source target src tgt trg input inputs output outputs text texts translation translations reference references "
    "hypothesis question questions answer answers prompt prompts completion response instruction document documents "
    "article summary highlights title abstract original corrected correction noisy clean wrong right incorrect correct "
    "grapheme graphemes phoneme phonemes phones word words pronunciation spelling lemma form features transcription "
    "normalized normalised informal formal complex simple query label labels content paraphrase data sentence sentences"
)
"""What columns of pairs are called."""
_LANGUAGES = (
    "english german french spanish italian portuguese russian chinese japanese korean arabic dutch polish czech "
    "turkish hindi swedish danish finnish norwegian greek hebrew ukrainian romanian hungarian vietnamese indonesian "
    "thai farsi persian latin catalan bulgarian croatian serbian slovak slovenian estonian latvian lithuanian "
    "icelandic irish welsh "
    "deutsch englisch französisch spanisch italienisch russisch français anglais español inglés italiano português "
    "русский английский 中文 英文 英语 日本語 한국어"
)
_CODES = (
    "ar bg bn ca cs cy da de el en es et fa fi fr ga he hi hr hu id is it ja ko lt lv mk ms nl no pl pt ro ru sk sl sq "
    "sr sv ta te th tr uk ur vi zh deu eng fra fre ger spa ita por rus zho jpn kor ara nld"
)
_BESIDE = (
    "a b 1 2 0 sent seq sequence string language lang side column col line raw "
    "original id the of in tokens tok us gb br cn tw at ch"
)
"""What stands beside such names, as in `source_sentence`, `text (de)` or `en-US`."""
_NAMING = frozenset(f"{_NAMES} {_LANGUAGES} {_CODES}".split())
_ALL = _NAMING | frozenset(_BESIDE.split())


_OF_LANGUAGES = frozenset(f"{_LANGUAGES} {_CODES}".split())


def names_language(word: str) -> bool:
    """Return whether a word is the name or the code of a language."""
    return word.lower() in _OF_LANGUAGES


def looks_like_names(source: str, target: str) -> bool:
    """Return whether both texts of a pair read like the names of columns."""
    return source != target and all(map(_is_name, (source, target)))


def _is_name(text: str) -> bool:
    """Return whether a text consists of words that name columns, at least one of them by itself."""
    words = [word for word in re.split(r"[\W_]+", text.strip().lower()) if word]
    if not words or len(words) > 4:
        return False
    return not _NAMING.isdisjoint(words) and _ALL.issuperset(words)


def headers(corpus: Examined) -> Iterator[Finding]:
    """Yield that the first row of a file, and perhaps others like it, names columns."""
    for option, row in corpus.firsts.items():
        if row < len(corpus.sources):
            yield from _header(corpus, option, row)


def _header(corpus: Examined, option: str, row: int) -> Iterator[Finding]:
    source, target = (corpus.texts(side)[row].as_py() for side in ("source", "target"))
    bare = re.sub(r"^<[^>]*> ", "", source)
    if not looks_like_names(bare, target):
        return
    again = pc.sum(pc.and_(pc.equal(corpus.sources, source), pc.equal(corpus.targets, target))).as_py()
    more = f", as {again - 1:,} further rows do" if again > 1 else ""
    yield Finding(
        "header",
        f"The first {corpus.name} pair reads like the names of columns ({quoted([bare, target])}){more}, but is taken "
        f"as texts. If it is no pair, set `{option}.header: true`, or delete that line of two aligned files.",
        again,
        (bare, target),
        is_warning=True,
    )
