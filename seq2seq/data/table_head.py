"""Reads the first rows of a table of which nobody has said how it is written, and finds out.

A path enters; what leaves is the format, what stands between the fields, and some thousand rows. Nothing but a head is
read, and of plain lines a few rows at places spread over the file, so that a file of any size costs the same.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from seq2seq.data.corpus_options import TABLE_ENDINGS, Delimiter
from seq2seq.data.examination.findings import visible
from seq2seq.data.examination.headers import looks_like_names
from seq2seq.data.table_files import DELIMITERS, EMPTY_LINE
from seq2seq.lines import numbered_lines, opened, plain_name

TableFormat = Literal["tsv", "csv", "jsonl", "parquet"]

_HEAD_ROWS = 4_000
_PLACES, _ROWS_A_PLACE = 8, 200
"""Places behind the head at which rows are read, and how many: a file that is sorted has one language in its head."""
_FIRST_BYTES = 2**24
"""A line that is longer is none."""
_MOST_CHARACTERS = 2**25
_USUAL, _MOST = 0.9, 0.5
"""Share of the rows that must have the same number of fields, and the least that will do where nothing fits better."""
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_BINARY = {
    b"PK\x03\x04": "a spreadsheet or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet or document of an old Office",
    b"%PDF": "a PDF document",
    b"SQLite": "a database",
    b"ARROW1": "an Arrow file",
}
_WANTED = "save it as lines of a source, a tab and a target (.tsv), or as CSV, JSONL or Parquet"


@dataclass(frozen=True)
class Head:
    """The first rows of a table.

    Args:
        names: of the columns, where the format has them; None for TSV and CSV, whose first row may be them.
        rows: the values, as many in each row as there are columns; rows of other widths are left out.
    """

    format: TableFormat
    delimiter: Delimiter
    names: tuple[str, ...] | None
    rows: list[list[Any]]


def head_of(path: Path) -> Head:
    """Return the first rows of a file.

    Raises:
        ValueError: there is no such file, or it is empty, no text, or has a single column; says what to do.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file.")
    ending = TABLE_ENDINGS.get(Path(plain_name(path)).suffix.lower())
    with opened(path) as file:
        first = file.read(_FIRST_BYTES)
    if not first.strip():
        raise ValueError(f"{path}: the file is empty.")
    if ending == "parquet" or first.startswith(b"PAR1"):
        return _of_parquet(path)
    check_is_text(path, first)
    if ending == "jsonl" or (ending is None and first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")):
        return _of_json(path, first)
    if len(first) == _FIRST_BYTES and b"\n" not in first:
        raise ValueError(f"{path}:1: a line of over {_FIRST_BYTES:,} bytes; lines must end with a line feed.")
    return _of_lines(path, [text for text in _first_lines(path) if text.strip()], ending)


def check_is_text(path: Path, first: bytes) -> None:
    """Raise ValueError for a file whose first bytes are no text; says what it is, and what to do."""
    if b"\x00" in first and not first.startswith(_MARKS):
        known = next((name for magic, name in _BINARY.items() if first.startswith(magic)), "a binary file, not text")
        raise ValueError(f"{path}: this is {known}; {_WANTED}.")
    if b"\n" not in first and first.count(b"\r") > 1:
        raise ValueError(
            f"{path}: its lines end in carriage returns alone, as on old Macs, where a line feed is expected; convert "
            f"it, as by `tr '\\r' '\\n' < old > new`."
        )


def _first_lines(path: Path) -> Iterator[str]:
    num_characters = 0
    for text in _numbered_texts(path, _HEAD_ROWS):
        num_characters += len(text)
        if num_characters > _MOST_CHARACTERS:
            return
        yield text


def _numbered_texts(path: Path, number: int) -> Iterator[str]:
    return (text for _, text in islice(numbered_lines(path), number))


def _later_lines(path: Path) -> Iterator[str]:
    """Yield lines at places spread over a file of plain lines; none of a small or compressed one."""
    with path.open("rb") as file:
        first = file.read(4)
    with opened(path) as plain:
        if plain.read(4) != first or first.startswith(_MARKS):
            return
    size = path.stat().st_size
    if size < _FIRST_BYTES // 4:
        return
    for place in range(1, _PLACES + 1):
        with path.open("rb") as file:
            file.seek(size * place // (_PLACES + 1))
            piece = file.read(_ROWS_A_PLACE * 1_000)
        whole = piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]
        for _, text in islice(numbered_lines(BytesIO(whole), errors="replace"), _ROWS_A_PLACE):
            yield text


def _of_lines(path: Path, texts: list[str], ending: str | None) -> Head:
    """Return the head of a file of lines: tabs first, unless the file's name says CSV."""
    if not texts:
        raise ValueError(f"{path}: the file is empty.")
    found = []
    rows = [text.split("\t") for text in texts]
    if (share := _same_width(rows)) >= _MOST:
        is_quoted = _quoted_share(rows) >= _USUAL
        found.append((share, "csv" if is_quoted else "tsv", "tab", rows))
    if ending != "tsv" or not found:
        for name, character in DELIMITERS.items():
            if name != "tab":
                records = _csv_records(texts, character)
                share = _same_width(records)
                named = ending == "csv" or (share >= _USUAL and _is_header(records[0]))
                if share >= _MOST and named:
                    found.append((share, "csv", name, records))
    if not found:
        raise ValueError(
            f"{path}: this has one column, the first line of it “{visible(texts[0][:40])}”; give each line a source, a "
            "tab and a target, or name two files, line n of one belonging to line n of the other."
        )
    usual = [one for one in found if one[0] >= _USUAL]
    share, format, delimiter, rows = max(usual or found, key=lambda one: (_is_header(one[3][0]), one[0]))
    if format == "csv":
        rows = _csv_records(texts, DELIMITERS[delimiter])
    else:
        rows = [*rows, *(text.split("\t") for text in _later_lines(path))]
    return Head(format, delimiter, None, _of_usual_width(rows))  # type: ignore[arg-type]


def _is_header(fields: Sequence[str]) -> bool:
    return any(looks_like_names(one, other) for one in fields for other in fields)


def _quoted_share(rows: list[list[str]]) -> float:
    fields = [field for row in rows for field in row]
    return sum(len(field) > 1 and field[0] == field[-1] == '"' for field in fields) / max(1, len(fields))


def _csv_records(texts: list[str], delimiter: str) -> list[list[str]]:
    """Return what a delimiter makes of lines; nothing where it is no valid CSV but for an end that is cut off."""
    records: list[list[str]] = []
    reader = csv.reader((f"{text}\n" for text in texts), delimiter=delimiter, strict=True)
    try:
        records.extend(reader)
    except csv.Error as error:
        return records if "unexpected end" in str(error) else []
    return records


def _same_width(rows: list[list[str]]) -> float:
    """Return the share of the rows that have the most usual number of fields, 0 where that is a single one."""
    if not rows:
        return 0.0
    [(width, count)] = Counter(map(len, rows)).most_common(1)
    return count / len(rows) if width > 1 else 0.0


def _of_usual_width(rows: list[list[Any]]) -> list[list[Any]]:
    [(width, _)] = Counter(map(len, rows)).most_common(1)
    return [row for row in rows if len(row) == width]


def _of_json(path: Path, first: bytes) -> Head:
    """Return the head of objects, nested ones by dotted names."""
    is_array = first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[")
    records = list(islice(_array_records(path, first) if is_array else _object_records(path), _HEAD_ROWS))
    flat = [dict(_flat(record)) for record in records]
    names = tuple(dict.fromkeys(name for record in flat for name in record))
    if not names:
        raise ValueError(f"{path}: the file holds no rows.")
    return Head("jsonl", "comma", names, [[record.get(name) for name in names] for record in flat])


def _object_records(path: Path) -> Iterator[dict[str, Any]]:
    for number, text in islice(numbered_lines(path), _HEAD_ROWS):
        if not text.strip():
            raise ValueError(f"{path}:{number}: {EMPTY_LINE}.")
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}:{number}: not valid JSON ({error}); write one object per line, or one array of objects."
            ) from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: expected a JSON object such as {{...}}, found {text[:40]}.")
        yield record
    for text in _later_lines(path):
        try:
            record = json.loads(text)
        except ValueError:
            continue  # a character in pieces, or a line that reading names
        if isinstance(record, dict):
            yield record


def _array_records(path: Path, first: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array as far as the first bytes hold them whole."""
    text = first.decode("utf-8-sig", errors="ignore").lstrip()[1:]
    decoder, place = json.JSONDecoder(), 0
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        try:
            record, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        if not isinstance(record, dict):
            raise ValueError(f"{path}: expected an array of JSON objects such as [{{...}}], found {str(record)[:40]}.")
        yield record


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _of_parquet(path: Path) -> Head:
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            records = [row for batch in islice(table.iter_batches(_HEAD_ROWS), 1) for row in batch.to_pylist()]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and no damage
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error
    flat = [dict(_flat(record)) for record in records]
    names = tuple(dict.fromkeys(name for record in flat for name in record))
    if not flat:
        raise ValueError(f"{path}: the file holds no rows.")
    return Head("parquet", "comma", names, [[record.get(name) for name in names] for record in flat])
