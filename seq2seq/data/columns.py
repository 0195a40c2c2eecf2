"""Which columns of a table hold sources, targets and tags, by their names and by what is in them.

The first rows of a table enter; columns leave with their kind, and the two sides with a reason.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from seq2seq.data.examination.headers import names_language
from seq2seq.data.table_head import Head

Kind = Literal["text", "tag", "number", "id", "empty", "other"]

_SOURCES = (
    "source src input inputs noisy incorrect wrong original informal complex question questions prompt prompts query "
    "article document documents abstract body content context grapheme graphemes word words spelling orthography lemma "
    "written instruction premise before text texts sentence sentences"
)
_TARGETS = (
    "target tgt trg output outputs reference references translation translations summary highlights title headline "
    "answer answers completion response reply corrected correction clean correct right formal simple phoneme phonemes "
    "phones pronunciation ipa form inflected normalized normalised spoken transcription paraphrase after label labels"
)
"""What sources and targets are called; the earlier name is the surer."""
_BESIDE = "id ids lang language languages score scores code url name split tag tags features"
"""What stands in the names of columns that say something of a text, as in `source_lang`."""
_TAGS = "tag tags lang language features feature feats msd morph msds style domain task"
_SPLITS = {"train", "dev", "test", "valid", "validation", "val", "eval"}

_NUMBER = re.compile(r"[-+]?[\d\s:.,/]*\d[\d\s:.,/]*(e[-+]?\d+)?%?")
_CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z]{2,4})?|\S*[;|=+]\S*|[A-Z0-9_.,-]+")
_MOST_TAGS = 300
_LONGEST_TAG = 60
_ROWS_A_TAG = 5
"""How often each value of a column of tags is there on average, at least."""
_ALMOST_ALL = 0.95
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_ORDER = {"text": 0, "tag": 1, "number": 2, "code": 3, "id": 4}
"""What is taken for a side first, where names say nothing."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the first rows.

    Args:
        name: as the options of a corpus call it.
        label: as sentences call it.
        is_named: whether the file itself names it.
    """

    name: str
    label: str
    is_named: bool
    values: list[Any]

    @cached_property
    def texts(self) -> list[str]:
        return [value for value in self.values if isinstance(value, str) and value.strip()]

    @cached_property
    def distinct(self) -> list[str]:
        return sorted(set(self.texts))

    @cached_property
    def kind(self) -> Kind:
        """What is in it."""
        present = [value for value in self.values if value is not None and value != ""]
        if 2 * len(present) < len(self.values):
            return "empty"
        if 2 * sum(isinstance(value, str) for value in present) < len(present):
            return "number" if all(isinstance(value, int | float) for value in present) else "other"
        texts = self.texts
        if _share(bool(_NUMBER.fullmatch(text.strip())) for text in texts) >= _ALMOST_ALL:
            return "number"
        is_word = _share(not re.search(r"\s", text) and bool(re.search(r"\d|/", text)) for text in texts)
        if len(self.distinct) == len(texts) > 1 and is_word >= _ALMOST_ALL:
            return "id"
        is_short = len(self.distinct) <= _MOST_TAGS and max(map(len, self.distinct), default=0) <= _LONGEST_TAG
        is_repeated = len(texts) >= _ROWS_A_TAG * len(self.distinct) and len(texts) == len(self.values)
        return "tag" if is_short and is_repeated and not any(">" in text for text in self.distinct) else "text"

    @cached_property
    def is_code(self) -> bool:
        """Whether it holds codes, as of languages, or bundles of features such as `N;DEF;SG`."""
        named = self.is_named and not set(_TAGS.split()).isdisjoint(self.words)
        return self.kind == "tag" and (
            named or _share(bool(_CODE.fullmatch(text)) for text in self.distinct) >= _ALMOST_ALL
        )

    @property
    def words(self) -> list[str]:
        """The words of its name, of a dotted path of the last part."""
        last = self.name.lower().rsplit(".", 1)[-1]
        return [word for word in re.split(r"[\W_]+", last) if word] if self.is_named else []

    @property
    def rank(self) -> int:
        return _ORDER["code" if self.is_code else self.kind]


@dataclass(frozen=True)
class Sides:
    """The columns of sources and targets, and why these."""

    source: Column
    target: Column
    reason: str


def columns_of(head: Head, has_header: bool) -> list[Column]:
    """Return the columns of the first rows of a table."""
    rows = head.rows[1:] if has_header else head.rows
    names = [str(value) for value in head.rows[0]] if has_header else list(head.names or ())
    found = []
    for place in range(len(head.rows[0])):
        is_named = bool(names) and names.count(names[place]) == 1 and names[place] != ""
        name = names[place] if is_named else str(place)
        ordinal = f"the {_ORDINALS[place]} column" if place < len(_ORDINALS) else f"column {place + 1}"
        label = f"column “{name}”" if is_named else ordinal
        found.append(Column(name, label, is_named, [row[place] for row in rows]))
    return found


def sides_of(path: Path, columns: Sequence[Column]) -> Sides:
    """Return which columns hold sources and targets.

    Raises:
        ValueError: there are not two columns of texts; names those that there are.
    """
    if not columns[0].values:
        raise ValueError(f"{path}: the file holds no rows but its header; give it pairs.")
    usable = [column for column in columns if 2 * len(column.texts) >= len(column.values)]
    if len(usable) < 2:
        kinds = ", ".join(f"{column.label} ({_DESCRIBED[column.kind]})" for column in columns)
        has_numbers = any(column.kind == "number" and not column.texts for column in columns)
        what = 'write numbers as texts, such as `"5"`' if has_numbers else "give each row both"
        raise ValueError(
            f"{path}: two columns of texts are needed, a source and a target, but here is {kinds}; {what}."
        )
    sources, targets = _named(usable, _SOURCES.split()), _named(usable, _TARGETS.split())
    target = next((column for column in targets if column not in sources[:1]), None)
    source = next((column for column in sources if column is not target), None)
    if source is not None and target is not None:
        return Sides(source, target, "so they are called")
    languages = [column for column in usable if column.kind == "text" and any(map(names_language, column.words))]
    if len(languages) >= 2:
        return Sides(languages[0], languages[1], "their names are languages")
    known = source or target
    others = [column for column in usable if column is not known]
    best = sorted(sorted(others, key=lambda column: column.rank)[: 1 if known else 2], key=columns.index)
    if source is not None:
        return Sides(source, best[0], "the name of one, and the first other column of texts")
    if target is not None:
        return Sides(best[0], target, "the name of one, and the first other column of texts")
    return Sides(best[0], best[1], "the only two columns" if len(columns) == 2 else "the first two columns of texts")


def tag_of(columns: Sequence[Column], sides: Sides) -> Column | None:
    """Return the column whose values are to stand before the sources, if there is one."""
    rest = [column for column in columns if column.kind == "tag" and column not in (sides.source, sides.target)]
    rest = [column for column in rest if not constant(column) and not split_column(column)]
    of_target = [column for column in rest if {"target", "tgt", "trg", "to"} & set(column.words)]
    return min(of_target or rest, key=lambda column: (not column.is_code, -len(column.distinct)), default=None)


def constant(column: Column) -> bool:
    return len(column.texts) == len(column.values) and len(column.distinct) == 1


def split_column(column: Column) -> bool:
    """Return whether a column says to which part of a corpus a row belongs."""
    return bool(column.distinct) and {text.strip().lower() for text in column.distinct} <= _SPLITS


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """Return the columns with such names, the surest first."""
    places = {name: place for place, name in enumerate(names)}
    found = [column for column in columns if any(word in places for word in column.words)]
    found = [column for column in found if set(_BESIDE.split()).isdisjoint(column.words)]
    return sorted(found, key=lambda column: min(places[word] for word in column.words if word in places))


def _share(found: Any) -> float:
    values = list(found)
    return sum(values) / max(1, len(values))


_DESCRIBED = {
    "text": "texts",
    "tag": "a few values again and again",
    "number": "numbers",
    "id": "names of rows",
    "empty": "mostly empty",
    "other": "no texts",
}
