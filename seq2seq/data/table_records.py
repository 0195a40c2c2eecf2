"""Reads tables of pairs whole, row by row, so that each row can be written back with something added.

A path or `-` enters; for each row leaves a `Record`: where it stands, its source and target, and all that it holds. A
row without texts on both sides is a record with an error, in its place. `table_files` is for who wants two columns of
a table that must be right.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from seq2seq.data.corpus_options import TABLE_ENDINGS
from seq2seq.data.table_files import csv_records, json_records, missing_column, nested_value, present_lines
from seq2seq.lines import aligned, is_stream, name_of, plain_name

KINDS = ("tsv", "csv", "jsonl", "parquet")
COLUMNS = ("source", "target")
"""What the columns of the two sides are called, or in a table without names the first two."""


@dataclass(frozen=True)
class Record:
    """One row of a table."""

    number: int
    """Of its first line, counted from 1; the header is one."""
    source: str
    target: str
    values: dict[str, Any] = field(default_factory=dict)
    """Everything in the row by the names of columns; without names these are numbers, counted from 0."""
    error: str | None = None
    """Why there are no texts."""


def table_kind(path: str) -> str:
    """Return the format that a file's ending says, TSV for any other."""
    return TABLE_ENDINGS.get(Path(plain_name(path)).suffix.lower(), "tsv")


def aligned_records(source: str, target: str) -> Iterator[Record]:
    """Yield the pairs of two files, line n with line n.

    Raises:
        ValueError: they have different numbers of lines.
    """
    for number, pair in enumerate(aligned(source, target), start=1):
        yield Record(number, pair[0], pair[1], dict(zip(COLUMNS, pair, strict=True)))


def table_records(
    path: str, kind: str, columns: tuple[str, str] = COLUMNS, *, has_names: bool = False
) -> Iterator[Record]:
    """Yield the rows of a table.

    Args:
        columns: names of the two sides, or numbers counted from 0.
        has_names: whether the first line of a TSV or CSV file names the columns; it is no row.

    Raises:
        ValueError: there is no such file, no such column, or the file is no table of that kind.
    """
    if kind in ("tsv", "csv"):
        yield from _of_fields(path, kind, columns, has_names)
        return
    numbered = json_records(Path(path)) if kind == "jsonl" else _parquet_records(path)
    for number, values in numbered:
        if not isinstance(values, dict):
            yield Record(number, "", "", {}, "the line holds no JSON object")
            continue
        location = f"{name_of(path)}:{number}"
        if number == 1:  # a name that is wrong is a mistake of the command, and no fault of a row
            for column in columns:
                nested_value(values, column, location)
        try:
            found = [nested_value(values, column, location) for column in columns]
        except ValueError as error:
            yield Record(number, "", "", values, str(error).removeprefix(f"{location}: "))
        else:
            yield _record(number, found, columns, values)


def _of_fields(path: str, kind: str, columns: tuple[str, str], header: bool) -> Iterator[Record]:
    rows: Iterator[tuple[int, list[str]]]
    if kind == "csv":
        rows = csv_records(Path(path))
    else:
        rows = ((number, line.split("\t")) for number, line in present_lines(Path(path)))
    names = next(rows)[1] if header else []
    indices = [_index(path, column, names, header) for column in columns]
    width = len(names)
    for number, fields in rows:
        width = width or len(fields)
        values = {names[i] if i < len(names) else str(i): text for i, text in enumerate(fields)}
        if len(fields) > width or len(fields) <= max(indices):
            wrong = f"the row has {len(fields)} field{'s' * (len(fields) != 1)}, not {max(width, 1 + max(indices))}"
            yield Record(number, "", "", values, wrong)
        else:
            yield _record(number, [fields[index] for index in indices], columns, values)


def _index(path: str, column: str, names: list[str], header: bool) -> int:
    if column in names:
        return names.index(column)
    if column.isdecimal():
        return int(column)
    if not header and column in COLUMNS:
        return COLUMNS.index(column)
    if header:
        raise missing_column(f"{name_of(path)}:1", column, names)
    raise ValueError(f"{name_of(path)}: column {column!r} is a name, but the table is read as one without a header.")


def _record(number: int, found: list[Any], columns: tuple[str, str], values: dict[str, Any]) -> Record:
    for column, value in zip(columns, found, strict=True):
        if not isinstance(value, str):
            return Record(number, "", "", values, f"column {column!r} holds {value!r}, which is not text")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return Record(number, "", "", values, f"column {column!r} holds half a surrogate pair: no character")
    return Record(number, found[0], found[1], values)


def _parquet_records(path: str) -> Iterator[tuple[int, Any]]:
    if is_stream(path):
        raise ValueError(f"{name_of(path)}: a Parquet file is read from its end, which a stream does not have.")
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error
