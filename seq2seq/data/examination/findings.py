"""A finding: what it is, how often it is there, where, and a sentence for people."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_EXAMPLE = 60
_HIDDEN = {"Cc", "Zl", "Zp", "Cs"}
"""Categories of Unicode: control characters, ends of lines and of paragraphs, halves of surrogate pairs."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that somebody should know.

    Args:
        kind: a name that stays, for programs.
        count: of how many pairs it is so; 0 where nothing is counted.
        examples: texts or places where it is so, shortened.
        is_warning: whether it probably spoils the training, so that `train` says so too.
    """

    kind: str
    sentence: str
    count: int = 0
    examples: tuple[str, ...] = ()
    is_warning: bool = False


def part_of(count: int, total: int) -> str:
    """Return a count among others as a person says it: `811 of 7,363 (11 %)`."""
    return f"{count:,} of {total:,} ({percent(count / total if total else 0.0)})"


def percent(share: float) -> str:
    """Return a share in per cent, with a decimal where that matters; what is there is not 0 %, nor what lacks 100 %."""
    value = 100 * share
    if 0 < value < 0.1:
        return "under 0.1 %"
    if 99.9 < value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if round(value) != value and not 9.95 <= value <= 99 else f"{value:.0f} %"


def shown(texts: Sequence[str]) -> tuple[str, ...]:
    """Return texts short enough for a line, and on one."""
    return tuple(visible(text if len(text) <= _LONGEST_EXAMPLE else f"{text[:_LONGEST_EXAMPLE]}…") for text in texts)


def visible(text: str) -> str:
    """Return a text with control characters and line ends of any kind written out, as in `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c for c in text)


def quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts)
