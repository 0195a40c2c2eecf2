"""How files of pairs are to be read, found out from their first rows.

Paths enter; what leaves are the options of a corpus, and a sentence for each thing that was decided, so that a person
sees at once what was misunderstood. A column of few values that come again and again becomes a tag in front of the
sources; numbers and names of rows are left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.data.columns import Column, columns_of, constant, sides_of, split_column, tag_of
from seq2seq.data.corpus import tag_of_value
from seq2seq.data.corpus_options import TABLE_ENDINGS, CorpusOptions
from seq2seq.data.examination.findings import quoted, shown
from seq2seq.data.examination.headers import looks_like_names
from seq2seq.data.table_head import Head, check_is_text, head_of
from seq2seq.files import is_special
from seq2seq.lines import STANDARD, aligned, opened, plain_name

_HEAD_LINES = 4_000
_TAG = re.compile(r"(<[^<>\s]{1,40}>|>>[\w-]{2,12}<<|\[[A-Z_-]{2,20}\])(?=\s)")
_MOST_TAGS = 300
_ROWS_A_TAG = 5
_ALL_BUT = 0.95
"""Share of the sources that must begin with a tag."""
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_CALLED = {
    "tsv": "fields separated by tabs (TSV)",
    "csv": "CSV, fields separated by {}",
    "jsonl": "JSON objects",
    "parquet": "a Parquet file",
}
_DELIMITERS = {"comma": "commas", "semicolon": "semicolons", "tab": "tabs", "bar": "vertical bars"}


@dataclass(frozen=True)
class Recognized:
    """How files are to be read.

    Args:
        corpus: the options that read them.
        reasons: a sentence for each thing that was decided.
        special_tokens: tags that stand in front of sources, or will, of those rows that were looked at; see
            `leading_tags` for all.
    """

    corpus: CorpusOptions
    reasons: tuple[str, ...]
    special_tokens: tuple[str, ...] = ()


def recognized(paths: Sequence[str | Path]) -> Recognized:
    """Return how a table, two line-aligned files, or a data set of the Hub is to be read.

    Raises:
        ValueError: no pairs can be found in it; says what was found and what to do.
    """
    names = [str(path) for path in paths]
    if not 1 <= len(names) <= 2:
        raise ValueError(f"{len(names)} files were named; give one table of pairs, or two files of lines.")
    for name in names:
        if name == STANDARD or is_special(name):
            raise ValueError(f"{name}: a pipe can be read only once; write what comes out of it into a file first.")
    if len(names) == 2:
        return _of_lines(names[0], names[1])
    path = Path(names[0])
    if path.is_dir() or (not path.exists() and _may_be_of_the_hub(names[0])):
        reason = f"{names[0]} is read as a data set of the Hub, its columns “source” and “target”."
        return Recognized(CorpusOptions(path=names[0], format="hub"), (reason,))
    return _of_table(path, head_of(path))


def leading_tags(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the tags that stand in front of almost all sources, such as `<en>`, sorted; nothing where there are none.

    Of several in a row each is one.
    """
    found: set[str] = set()
    rest = list(sources)
    while rest:
        matches = [_TAG.match(text) for text in rest]
        values = {match[1] for match in matches if match}
        is_usual = sum(match is not None for match in matches) >= _ALL_BUT * len(rest)
        if not is_usual or len(values) > min(_MOST_TAGS, max(1, len(rest) // _ROWS_A_TAG)):
            break
        found |= values
        rest = [text[match.end() :].lstrip() for text, match in zip(rest, matches, strict=True) if match]
    return tuple(sorted(found))


def _may_be_of_the_hub(name: str) -> bool:
    return bool(_HUB_NAME.fullmatch(name)) and Path(plain_name(name)).suffix.lower() not in {*TABLE_ENDINGS, ".txt"}


def _of_lines(source: str, target: str) -> Recognized:
    """Return how two files are read, line n of one belonging to line n of the other."""
    for name in (source, target):
        if not Path(name).is_file():
            raise ValueError(f"{name}: there is no such file.")
        with opened(name) as file:
            first = file.read(2**20)
        if not first.strip():
            raise ValueError(f"{name}: the file is empty.")
        if Path(plain_name(name)).suffix.lower() == ".parquet":
            raise ValueError(f"{name}: of two files each has a text per line; give a Parquet table alone.")
        check_is_text(Path(name), first)
    pairs = list(islice(aligned(source, target), _HEAD_LINES))
    for place, name in enumerate((source, target)):
        if not any(pair[place].strip() for pair in pairs):
            raise ValueError(f"{name}: the file is empty.")
    if all(text.count("\t") for pair in pairs for text in pair):
        raise ValueError(
            f"{source} and {target} are tables, each with both sides; give one of them, or two files of lines."
        )
    reasons = [f"Line n of {source} is a source, and line n of {target} its target."]
    tags = leading_tags([texts[0] for texts in pairs])
    return Recognized(CorpusOptions(source, target), (*reasons, *_about_tags(tags)), tags)


def _of_table(path: Path, head: Head) -> Recognized:
    has_header = head.names is None and is_header(head.rows)
    columns = columns_of(head, has_header)
    sides = sides_of(path, columns)
    tag = tag_of(columns, sides)
    is_table = head.format in ("tsv", "csv")
    called = _CALLED[head.format].format(_DELIMITERS[head.delimiter])
    reasons = [f"{path} is read as {called}."]
    if is_table:
        first = quoted(shown([str(value) for value in head.rows[0]]))
        reasons.append(
            f"Its first line names the columns: {first}."
            if has_header
            else "Its first line is a pair and no names of columns."
        )
    reasons.append(f"Sources are {sides.source.label}, targets {sides.target.label}: {sides.reason}.")
    tags: tuple[str, ...] = ()
    if tag is not None:
        tags = tuple(tag_of_value(value) for value in tag.distinct)
        examples = quoted(shown([tag_of_value(value) for value in tag.distinct[:3]]))
        reasons.append(
            f"{tag.label[:1].upper()}{tag.label[1:]} has {len(tag.distinct):,} different values that come again and "
            f"again: each is put before its source as a tag, as in {examples}."
        )
    else:
        tags = leading_tags([str(value) for value in sides.source.values])
        reasons.extend(_about_tags(tags))
    used = (sides.source, sides.target, tag)
    reasons.extend(_why_left_out(column) for column in columns if column not in used)
    corpus = CorpusOptions(
        path=str(path),
        format="auto" if _format_by_ending(path) == head.format else head.format,
        source_column=sides.source.name,
        target_column=sides.target.name,
        header=has_header,
        delimiter=head.delimiter if head.format == "csv" else "comma",
        tag_column=None if tag is None else tag.name,
    )
    return Recognized(corpus, tuple(reasons), tags)


def _format_by_ending(path: Path) -> str | None:
    return TABLE_ENDINGS.get(Path(plain_name(path)).suffix.lower())


def _about_tags(tags: tuple[str, ...]) -> list[str]:
    if not tags:
        return []
    more = ", …" if len(tags) > 4 else ""
    return [f"Sources begin with a tag, one of {len(tags):,} ({', '.join(tags[:4])}{more}): each is one token."]


def _why_left_out(column: Column) -> str:
    label = f"{column.label[:1].upper()}{column.label[1:]}"
    if constant(column):
        return f"{label} is left out: it holds the same in every row."
    if split_column(column):
        return f"{label} is left out: it says which part a row belongs to ({', '.join(column.distinct)})."
    why = {
        "number": "it holds numbers",
        "id": "its values are all different and look like names of rows",
        "other": "it holds no texts",
        "empty": "it is empty in most rows",
        "text": "two columns of texts are enough",
        "tag": "one column of tags is enough",
    }[column.kind]
    return f"{label} is left out: {why}."


def is_header(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether the first row names the columns, by what it says or by how unlike the others it is."""
    first, others = [str(value).strip() for value in rows[0]], rows[1:]
    if any(looks_like_names(one, other) for place, one in enumerate(first) for other in first[place + 1 :]):
        return True
    if not others or not all(re.fullmatch(r"[^\W\d][\w .()-]{0,24}", text) for text in first):
        return False
    columns = [[str(row[place]) for row in others] for place in range(len(first))]
    if any(all(re.fullmatch(r"[-+]?[\d.,]+%?", text.strip()) for text in column) for column in columns):
        return True  # over numbers stands a word
    short = [sum(len(text.split()) <= 2 for text in column) / len(others) for column in columns]
    is_short = all(len(text.split()) <= 2 for text in first)
    return is_short and len(set(first)) == len(first) and len(others) >= 20 and max(short) < 0.02
