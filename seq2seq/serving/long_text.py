"""Texts that are longer than a sentence: cut into sentences, and put together again with their own white space.

A line is cut by itself, so that lists and headings stay what they are. A sentence that one search cannot hold is cut
further, between clauses or else between words, which is told.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

CLAUSE_ENDS = re.compile(r"(?<=[,;:–—،；：，、。．])\s*")
LINE_STARTS = re.compile(r"(?<=\n)")
SPACES = re.compile(r"\s+")
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Piece:
    """A part of a text: what is searched, and the white space around it, which is kept."""

    before: str
    text: str
    after: str
    is_cut: bool = False
    """Whether a sentence had to be cut for it."""


def pieces_of(text: str, fits: Callable[[str], bool], language: str | None = None, *, sentences: bool) -> list[Piece]:
    """Return the pieces of a text, which put together are the text.

    Args:
        fits: whether one search can hold a piece.
        language: by whose rules sentences end, as a code such as `de` or `deu_Latn`.
        sentences: whether to cut at all; without, the text is one piece, however long.
    """
    if not sentences:
        return [_stripped(text)]
    found = []
    for line in LINE_STARTS.split(text):
        for sentence in _sentences(line, language):
            found += _fitting(sentence, fits)
    return found


def _sentences(line: str, language: str | None) -> list[str]:
    from sentencex import segment

    found = list(segment(_rules(language), line)) if line.strip() else [line]
    return found if "".join(found) == line else [line]


def _rules(language: str | None) -> str:
    """Return the code by which sentencex knows a language; one that it does not know has the rules of English."""
    code = re.match(r"[a-z]+", (language or DEFAULT_LANGUAGE).lower())
    return code[0] if code else DEFAULT_LANGUAGE


def _stripped(text: str, *, is_cut: bool = False) -> Piece:
    core = text.strip()
    if not core:
        return Piece(text, "", "")
    start = text.index(core)
    return Piece(text[:start], core, text[start + len(core) :], is_cut)


def _fitting(sentence: str, fits: Callable[[str], bool]) -> list[Piece]:
    piece = _stripped(sentence)
    if not piece.text or fits(piece.text):
        return [piece]
    return [_stripped(part, is_cut=True) for part in _parts(sentence, fits)]


def _parts(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return parts that fit, cut where it hurts least and near the middle; a part of one character is what it is."""
    if len(text) < 2 or fits(text.strip()):
        return [text]
    middle = len(text) // 2
    places = [match.end() for match in CLAUSE_ENDS.finditer(text)] or [match.end() for match in SPACES.finditer(text)]
    places = [place for place in places if 0 < place < len(text)] or [middle]
    place = min(places, key=lambda place: abs(place - middle))
    return [*_parts(text[:place], fits), *_parts(text[place:], fits)]


def joined_pieces(pieces: list[Piece], texts: list[str]) -> str:
    """Return what the pieces have become as one text, with the white space that was around them."""
    return "".join(piece.before + text + piece.after for piece, text in zip(pieces, texts, strict=True))
