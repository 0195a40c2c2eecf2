"""Reads tables of pairs whole, row by row, so that each row can be written back with something added.

A path or `-` enters; for each row leaves a `Record`: where it stands, its source and target, and all that it holds. A
row without texts on both sides is a record with an error, in its place. A row that is too short is filled with empty
fields, and of one that is too long all are kept, so that what is written back lacks nothing and stands in its column.
`table_files` is for who wants two columns of a table that must be right.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from seq2seq.data.corpus_options import TABLE_ENDINGS
from seq2seq.data.table_files import (
    LOOKED_AT_ROWS,
    csv_records,
    json_records,
    missing_column,
    nested_value,
    present_lines,
)
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
    """What is in the row by the names of columns; without names these are numbers, counted from 0."""
    error: str | None = None
    """Why there are no texts."""
    surplus: tuple[str, ...] = ()
    """Fields behind the last column, of a row that has too many."""


@dataclass(frozen=True)
class Table:
    """The rows of a table, which can be read once."""

    rows: Iterator[Record]
    names: tuple[str, ...] = ()
    """Of its columns, where the file says them before any row."""

    def __iter__(self) -> Iterator[Record]:
        return self.rows


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


def table_records(path: str, kind: str, columns: tuple[str, str] = COLUMNS, *, has_names: bool = False) -> Table:
    """Return a table, of which its rows are read as they are asked for.

    Args:
        columns: names of the two sides, or numbers counted from 0.
        has_names: whether the first line of a TSV or CSV file names the columns; it is no row.

    Raises:
        ValueError: there is no such file, no such column, two have the same name, or the file is no table of that kind.
    """
    if kind in ("tsv", "csv"):
        return _of_fields(path, kind, columns, has_names)
    if kind == "jsonl":
        return Table(_of_objects(path, json_records(Path(path)), columns))
    names = _parquet_names(path)
    return Table(_of_objects(path, _parquet_records(path), columns), names)


def _of_objects(path: str, numbered: Iterator[tuple[int, Any]], columns: tuple[str, str]) -> Iterator[Record]:
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


def _of_fields(path: str, kind: str, columns: tuple[str, str], header: bool) -> Table:
    rows: Iterator[tuple[int, list[str]]]
    if kind == "csv":
        rows = csv_records(Path(path))
    else:
        rows = ((number, line.split("\t")) for number, line in present_lines(Path(path)))
    names = next(rows)[1] if header else []
    _refuse_twice(f"{name_of(path)}:1", names)
    indices = [_index(path, column, names, header) for column in columns]
    return Table(_rows_of_fields(rows, columns, indices, names), tuple(names))


def _rows_of_fields(
    rows: Iterator[tuple[int, list[str]]], columns: tuple[str, str], indices: list[int], names: list[str]
) -> Iterator[Record]:
    if not names:  # one row that lacks something, such as the first, does not say how many fields the others have
        first = list(islice(rows, LOOKED_AT_ROWS))
        usual = Counter(len(fields) for _, fields in first).most_common(1)
        names = [str(index) for index in range(max(usual[0][0] if usual else 0, 1 + max(indices)))]
        rows = chain(first, rows)
    width = len(names)
    for number, fields in rows:
        values: dict[str, Any] = dict(zip(names, chain(fields, [""] * (width - len(fields))), strict=False))
        if len(fields) > width or len(fields) <= max(indices):
            wrong = f"the row has {len(fields)} field{'s' * (len(fields) != 1)}, not {max(width, 1 + max(indices))}"
            yield Record(number, "", "", values, wrong, tuple(fields[width:]))
        else:
            yield _record(number, [fields[index] for index in indices], columns, values)


def _refuse_twice(location: str, names: Sequence[str]) -> None:
    """Raise ValueError if two columns have the same name, under which a row could hold one of them alone."""
    for name, number in Counter(names).items():
        if number > 1:
            raise ValueError(f"{location}: {number} columns have the name {name!r}; give each its own.")


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


def _parquet_names(path: str) -> tuple[str, ...]:
    if is_stream(path):
        raise ValueError(f"{name_of(path)}: a Parquet file is read from its end, which a stream does not have.")
    try:
        names = pyarrow.parquet.read_schema(path).names
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error
    _refuse_twice(path, names)
    return tuple(names)


def _parquet_records(path: str) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error
