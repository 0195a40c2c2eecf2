"""Characters that texts should not have: of a wrong encoding, invisible ones, and what is left of web pages.

Pairs enter; findings leave. Each kind is looked for in all texts at once, by Arrow's regular expressions.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy
import pyarrow
import pyarrow.compute as pc

from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs, pair_list

_MOST_ROWS = 300_000
_NOTABLE = 0.005
"""Share of the texts beyond which a fault is worth a warning."""
_LONGEST_BEFORE = 20
_EXAMINED = 5_000
"""Texts that may be misread and are looked at one by one."""
_OF_CP1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
"""What Windows-1252 has for the bytes 0x80 to 0x9F."""
_CONTINUED = f"[\\x{{80}}-\\x{{bf}}{_OF_CP1252}]"
_IN_PYTHON = f"[\x80-\xbf{_OF_CP1252}]"
_MISREAD = (
    f"[ÂÃÄÅÎÏÐÑ]{_CONTINUED}|[àáâãäåæçèéêëìíîï]{_CONTINUED}{{2}}|ï»¿"
    f"|(?:^|[^\\p{{Lu}}])[ÉÊËÌÍ]{_CONTINUED}"  # phonetic letters; a capital word may end before a sign
)
_MISREAD_IN_PYTHON = f"[ÂÃÄÅÎÏÐÑ]{_IN_PYTHON}|[àáâãäåæçèéêëìíîï]{_IN_PYTHON}{{2}}|ï»¿|(?<![A-ZÀ-Þ])[ÉÊËÌÍ]{_IN_PYTHON}"
_LEGIBLE = re.compile(
    r"[\xa0-\u017f\u0370-\u052f\u05d0-\u06ff\u0900-\u0dff\u1e00-\u20ac\u3000-\u9fff\uac00-\ud7a3\ufeff]"
)


@dataclass(frozen=True)
class _Fault:
    """A kind of characters.

    Args:
        pattern: of RE2, what is looked for.
        says: what a sentence says of the texts that have it.
        warns: whether it spoils a training where it is frequent.
        in_python: the pattern in Python's notation, where it differs in more than the codes of characters.
    """

    kind: str
    pattern: str
    says: str
    warns: bool = True
    in_python: str = ""

    def first_in(self, text: str) -> re.Match[str] | None:
        """Return the first place in a text."""
        codes = re.sub(r"\\x\{([0-9a-f]+)\}", lambda match: re.escape(chr(int(match[1], 16))), self.pattern)
        return re.search(self.in_python or codes, text)


_FAULTS = (
    _Fault(
        "misread_encoding",
        _MISREAD,
        "hold UTF-8 that was read as Latin-1 or Windows-1252 ({example}). Read the original file as UTF-8 again",
        in_python=_MISREAD_IN_PYTHON,
    ),
    _Fault(
        "lost_characters",
        "\\x{fffd}",
        "hold the sign for a lost character, U+FFFD: something was read in another encoding than its own, and cannot "
        "be mended here. Make the file again from its original",
    ),
    _Fault(
        "windows_characters",
        r"[\x{80}-\x{84}\x{86}-\x{9f}]",
        "hold control characters U+0080 to U+009F: most likely text in Windows-1252 that was read as Latin-1. Read the "
        "original file as cp1252",
    ),
    _Fault(
        "lost_letters",
        r"\pL\?\p{Ll}",
        "hold question marks within words, perhaps where letters were lost in another encoding",
        warns=False,
        in_python=r"[^\W\d_]\?[^\W\d_]",
    ),
    _Fault(
        "control_characters",
        r"[\x{00}-\x{08}\x{0b}-\x{1f}\x{7f}]",
        "hold control characters, which nobody sees and the model must learn. Take them out",
    ),
    _Fault(
        "invisible_characters",
        r"[\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2069}\x{feff}\x{ad}]",
        "hold characters that are not seen ({example}), such as spaces of no width, marks of direction, soft hyphens "
        "or byte-order marks: what looks the same is then not the same. Take them out",
    ),
    _Fault(
        "hard_spaces",
        r"[\x{a0}\x{2007}\x{202f}]",
        "hold spaces that do not break (U+00A0 or alike), which are other characters than spaces",
        warns=False,
    ),
    _Fault(
        "html",
        r"(?i)&(amp|lt|gt|quot|nbsp|apos|#\d+|#x[0-9a-f]+);"
        r"|</?(a|b|i|u|p|br|em|div|img|span|sup|sub|font|strong|td|tr|li|ul|h[1-6])( [^<>]*)?/?>",
        "hold what is left of a web page, such as {example}",
    ),
    _Fault("escapes", r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}", "hold escaped characters such as {example}"),
)


def strange_characters(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which texts hold characters of a wrong encoding, unseen ones, or remains of web pages."""
    rows = pairs.spread(_MOST_ROWS)
    is_all = len(rows) == pairs.num_texts
    for side in SIDES:
        texts = pairs.texts(side) if is_all else pairs.texts(side).take(pyarrow.array(rows))
        is_misread = numpy.zeros(len(rows), dtype=bool)
        for fault in _FAULTS:
            found = pc.match_substring_regex(texts, fault.pattern).to_numpy()
            places_of = numpy.flatnonzero(found & ~is_misread)  # of which all else follows
            if not len(places_of):
                continue
            examples = texts.take(pyarrow.array(places_of[:_EXAMINED])).to_pylist()
            if fault.kind == "misread_encoding":
                is_certain = numpy.array([misread(text) is not None for text in examples])
                places_of = numpy.append(places_of[: len(examples)][is_certain], places_of[len(examples) :])
                is_misread[places_of] = True
                examples = [text for text in examples if misread(text)]
                if not examples:
                    continue
            yield _finding(pairs, side, fault, rows[places_of], examples, len(rows))


def _finding(
    pairs: RawPairs, side: str, fault: _Fault, rows: numpy.ndarray, examples: list[str], total: int
) -> Finding:
    looked_at = "" if total == pairs.num_texts else " that were looked at"
    says = fault.says.format(example=_EXAMPLES.get(fault.kind, _matched)(examples[0], fault))
    return Finding(
        f"{fault.kind}_in_{side}s",
        f"{part_of(len(rows), total)} {pairs.name} {side}s{looked_at} {says} ({pair_list(rows)}).",
        round(len(rows) / total * pairs.num_texts),
        shown([_around(text, fault) for text in examples[:2]]),
        is_warning=fault.warns and len(rows) >= _NOTABLE * total and len(rows) > 1,
    )


def misread(text: str) -> tuple[str, str] | None:
    """Return a piece of a text that is UTF-8 read as Latin-1 or Windows-1252, and what it was; None without one."""
    for match in re.finditer(_MISREAD_IN_PYTHON, text):
        piece = match[0].lstrip()
        with suppress(UnicodeError):
            meant = b"".join(map(_byte, piece)).decode("utf-8")
            if all(_LEGIBLE.fullmatch(character) for character in meant if not character.isascii()):
                return piece, meant
    return None


def _byte(character: str) -> bytes:
    return character.encode("cp1252") if character in _OF_CP1252 else character.encode("latin-1")


def _matched(text: str, fault: _Fault) -> str:
    match = fault.first_in(text)
    return f"“{match[0]}”" if match else "these"


def _as_code(text: str, fault: _Fault) -> str:
    match = fault.first_in(text)
    return f"U+{ord(match[0]):04X}" if match else "these"


def _as_meant(text: str, fault: _Fault) -> str:
    found = misread(text)
    return f"“{found[0]}” for “{found[1]}”" if found else "these"


_EXAMPLES: dict[str, Callable[[str, _Fault], str]] = {"invisible_characters": _as_code, "misread_encoding": _as_meant}


def _around(text: str, fault: _Fault) -> str:
    """Return a text from shortly before what was found in it, with signs for what cannot be seen."""
    match = fault.first_in(text)
    start = max(0, match.start() - _LONGEST_BEFORE) if match else 0
    return "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in text[start : start + 80])
