"""Reads columns of text out of local files: lines, TSV, CSV, JSON and Parquet, plain or compressed.

A path and column names enter; what leaves is, for each row, where it stands and the values of those columns. Lines
end at "\\n" (or "\\r\\n") and nowhere else: U+0085, U+2028, form feeds and lone carriage returns belong to the text.
Whatever is wrong with a file is a ValueError that names the file and the line, counted from 1.
"""

import csv
import difflib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from seq2seq.lines import is_stream, name_of, numbered_lines

TableRow = tuple[int, list[Any]]
"""The number of a row's first line, counted from 1, and the values of the columns that were asked for."""

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
"""What may stand between the fields of a CSV file, by name."""
_LONGEST_CSV_FIELD = 2**31 - 1
"""The csv module refuses fields beyond 131,072 characters unless told otherwise; whole documents are longer."""

LOOKED_AT_ROWS = 100
"""First rows of a table without a header that say how many fields its rows have."""
_SHOWN_LINES = 5
"""Lines that a warning names."""


EMPTY_LINE = "the line is empty, where a row of the table is expected; take it out"


def present_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line, without its end.

    Raises:
        ValueError: there is no such file, it is empty, or a line is not UTF-8.
    """
    return _some(path, keep_ends=False)


def tsv_rows(path: Path, columns: Sequence[str], header: bool) -> Iterator[TableRow]:
    """Yield the columns' values of each row. Fields are what stands between tabs; TSV knows no quotes.

    A row of more fields than the header or, without one, most rows is left out, with a warning: a tab within a text
    shifts what is behind it into another column.
    """
    records = ((number, line.split("\t")) for number, line in present_lines(path))
    return _table_rows(path, records, columns, header)


def csv_rows(path: Path, columns: Sequence[str], header: bool, delimiter: str) -> Iterator[TableRow]:
    """Yield the columns' values of each row; a quoted field may hold delimiters, doubled quotes and line ends.

    Rows of more fields than others are left out as in `tsv_rows`.
    """
    others = {name: character for name, character in DELIMITERS.items() if name != delimiter}
    return _table_rows(path, csv_records(path, DELIMITERS[delimiter]), columns, header, others)


def json_rows(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
    """Yield the columns' values of each object: one object per line, or one array of objects that is the whole file.

    A dotted column such as `translation.en` leads into nested objects.
    """
    for number, record in json_records(path):
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: expected a JSON object such as {{...}}, found {_shortened(record)}.")
        yield number, [nested_value(record, column, f"{path}:{number}") for column in columns]


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
    """Yield the columns' values of each row; dotted columns lead into structs. Rows are counted from 1."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = {column if column in names else column.split(".")[0] for column in columns}
            number = 0
            for batch in file.iter_batches(columns=[name for name in names if name in wanted]):
                for record in batch.to_pylist():
                    number += 1
                    yield number, [nested_value(record, column, f"{path}:{number}", names) for column in columns]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and no damage
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error


def nested_value(record: dict[str, Any], column: str, location: str, names: Sequence[str] | None = None) -> Any:
    """Return the value under a column's name or, where no such name is, at the end of its dotted path.

    Raises:
        ValueError: there is none; the columns that there are, and the nearest, are named.
    """
    if column in record:
        return record[column]
    value: Any = record
    for name in column.split("."):
        if not isinstance(value, dict) or name not in value:
            raise missing_column(location, column, [*_dotted_names(record), *(names or ())])
        value = value[name]
    return value


def missing_column(location: str, column: str, names: Sequence[str]) -> ValueError:
    """Return the error for a column that is not among `names`."""
    known = list(dict.fromkeys(names))
    near = difflib.get_close_matches(column, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(
        f"{location}: there is no column {column!r}; the columns are {', '.join(map(repr, known))}.{hint}"
    )


def _some(path: Path, *, keep_ends: bool) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that must be there and hold some."""
    if not is_stream(path) and not path.exists():
        raise ValueError(f"{path}: there is no such file.")
    number = 0
    for number, line in numbered_lines(path, keep_ends=keep_ends):
        yield number, line
    if number == 0:
        raise ValueError(f"{name_of(path)}: {'there is nothing on it' if is_stream(path) else 'the file is empty'}.")


def _table_rows(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    columns: Sequence[str],
    header: bool,
    other_delimiters: Mapping[str, str] | None = None,
) -> Iterator[TableRow]:
    names = next(records)[1] if header else []
    indices = [_column_index(path, column, names, header) for column in columns]
    num_fields = max(indices) + 1
    for number, fields in _of_usual_width(path, records, len(names)):
        if not "".join(fields).strip() and len(fields) < num_fields:
            raise ValueError(f"{path}:{number}: {EMPTY_LINE}.")
        if len(fields) < num_fields:
            hint = _other(fields, other_delimiters or {})
            raise ValueError(
                f"{path}:{number}: column {num_fields - 1} (counted from 0) is needed, "
                f"but this row has {len(fields)} field{'s' * (len(fields) != 1)}.{hint}"
            )
        yield number, [fields[index] for index in indices]


def _other(fields: list[str], delimiters: Mapping[str, str]) -> str:
    """Return what to set if a row of a single field has another delimiter in it."""
    found = next((name for name, character in delimiters.items() if len(fields) == 1 and character in fields[0]), None)
    return f" If fields are parted by another character, set `delimiter: {found}`." if found else ""


def _of_usual_width(
    path: Path, records: Iterator[tuple[int, list[str]]], num_names: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that have no more fields than there are names, or than most of the first rows; warn of the others.

    One of fewer fields is yielded, since what its end lacks may be empty, and counted in a warning.
    """
    first = list(islice(records, LOOKED_AT_ROWS))
    width = num_names
    if not width and first:
        [(width, _)] = Counter(len(fields) for _, fields in first).most_common(1)
    if num_names and 2 * sum(len(fields) > width for _, fields in first) > len(first):
        raise ValueError(
            f"{path}:1: the header names {width} columns, but the rows behind it have more fields, as in line "
            f"{first[0][0]}; give each column a name."
        )
    wider, narrower = [], []
    for number, fields in chain(first, records):
        if len(fields) > width:
            wider.append(number)
            continue
        if len(fields) < width:
            narrower.append(number)
        yield number, fields
    usual = f"the {width} that {'the header names' if num_names else 'others have'}"
    if wider:
        warnings.warn(
            f"{path}:{wider[0]}: {_rows_of(wider)} more fields than {usual} and {'is' if len(wider) == 1 else 'are'} "
            "left out; a separator within a text would shift what is behind it.",
            stacklevel=1,
        )
    if narrower:
        warnings.warn(
            f"{path}:{narrower[0]}: {_rows_of(narrower)} fewer fields than {usual}; if a separator is missing within, "
            "the columns behind it are shifted.",
            stacklevel=1,
        )


def _rows_of(numbers: list[int]) -> str:
    """Return how many rows there are, the first lines, and a verb: `3 rows (lines 1, 152, 204) have`."""
    shown = ", ".join(map(str, numbers[:_SHOWN_LINES])) + (", …" if len(numbers) > _SHOWN_LINES else "")
    if len(numbers) == 1:
        return f"1 row (line {shown}) has"
    return f"{len(numbers):,} rows (lines {shown}) have"


def _column_index(path: Path, column: str, names: list[str], header: bool) -> int:
    if column in names:
        return names.index(column)
    if column.isdecimal():
        return int(column)
    if header:
        raise missing_column(f"{path}:1", column, names)
    raise ValueError(
        f"{path}: column {column!r} is a name, but the file is read as one without a header. Set `header: true` if its "
        "first line names the columns, or give the column's number, counted from 0."
    )


def csv_records(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each row's first line, and its fields."""
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    reader = csv.reader((line for _, line in _some(path, keep_ends=True)), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}:{number}: not valid CSV: {error}.") from None
        yield number, fields


def json_records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line with what it holds; of one array that is the whole file, its entries."""
    texts = present_lines(path)
    first_number, first = next(texts)
    if first.lstrip().startswith("["):
        whole = "\n".join([first, *(line for _, line in texts)])
        yield from enumerate(_parse(path, 1, whole), start=1)
        return
    yield first_number, _parse(path, first_number, first)
    for number, line in texts:
        yield number, _parse(path, number, line)


def _parse(path: Path, number: int, text: str) -> Any:
    if not text.strip():
        raise ValueError(f"{path}:{number}: {EMPTY_LINE}.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        raise ValueError(f"{path}:{line}: not valid JSON (column {error.colno}): {error.msg}.") from None
    except RecursionError:
        raise ValueError(f"{path}:{number}: JSON that is nested too deep.") from None


def _dotted_names(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _dotted_names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _shortened(value: Any, longest: int = 40) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else text[:longest] + "..."


COLUMN_READERS: dict[str, Callable[..., Iterator[TableRow]]] = {
    "tsv": tsv_rows,
    "csv": csv_rows,
    "jsonl": lambda path, columns, header: json_rows(path, columns),
    "parquet": lambda path, columns, header: parquet_rows(path, columns),
}
"""Readers by format, of a path, columns and whether there is a header, which matters to TSV and CSV only; CSV takes a
delimiter too."""
