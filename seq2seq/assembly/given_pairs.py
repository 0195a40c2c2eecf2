"""Pairs that a program has in memory, as a file that a run reads like any other.

Lists of pairs, data frames, data sets of `datasets`, or two lists of texts enter; a JSONL file leaves, whose name is a
hash of what it holds. So a run is whole without the program that began it, and the same pairs are the same file.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.data.table_files import missing_column, nested_value
from seq2seq.files import written

Row = dict[str, Any]
_AT_A_TIME = 1000
"""Rows of a data set that are taken at a time."""


def is_named(pairs: Any) -> bool:
    """Return whether pairs are given by where they are: a path, or those of two files that go together."""
    if isinstance(pairs, tuple) and len(pairs) == 2:
        return all(isinstance(part, str | Path) for part in pairs)
    return isinstance(pairs, str | Path)


def write_pairs(pairs: Any, folder: Path, name: str, columns: Sequence[str]) -> tuple[Path, int]:
    """Return a file that holds pairs, written unless it is there, and their number.

    Args:
        pairs: see `given_rows`.
        name: what they are, as in `train`: for the file's name and messages.
        columns: the columns of source, target and, if sources have one, their tag.

    Raises:
        ValueError: what is given holds no pairs of texts; names the row.
    """
    passes_once = hasattr(pairs, "__iter__") and not hasattr(pairs, "__len__")
    given = list(pairs) if passes_once else pairs
    digest, number = hashlib.sha256(), 0
    for line in _lines(given, name, columns):
        digest.update(line)
        number += 1
    if not number:
        raise ValueError(f"`{name}` holds no pairs.")
    path = folder / f"{name}-{digest.hexdigest()[:16]}.jsonl"
    if not path.is_file():  # a file appears whole or not at all
        folder.mkdir(parents=True, exist_ok=True)
        with written(path, "wb") as file:
            file.writelines(_lines(given, name, columns))
    return path, number


def _lines(pairs: Any, name: str, columns: Sequence[str]) -> Iterator[bytes]:
    """Yield a line of JSON for each pair."""
    for number, row in enumerate(given_rows(pairs, name, columns)):
        for column, value in row.items():
            if not isinstance(value, str):
                raise ValueError(f"`{name}`, row {number}: {column!r} is {value!r}, which is not text.")
        try:
            yield json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
        except UnicodeEncodeError:
            raise ValueError(f"`{name}`, row {number}: half a surrogate pair, which is no character.") from None


def given_rows(pairs: Any, name: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the values of the columns of each row.

    Args:
        pairs: a list (or any iterable) of pairs `(source, target)` or of rows with named columns; two lists in a tuple
            `(sources, targets)`; whatever has named columns: a dictionary of lists, a `datasets.Dataset`, a data frame.

    Raises:
        ValueError: it is none of these, there is no such column, or columns are of unequal lengths.
    """
    if isinstance(pairs, str | bytes | Path):
        raise ValueError(f"`{name}` is a single text; give pairs, or the path of a file of them.")
    if isinstance(pairs, tuple) and len(pairs) == 2 and not _is_pair_of_pairs(pairs):
        return _of_columns(dict(zip(columns, pairs, strict=False)), name, columns)
    if isinstance(pairs, Mapping):
        if any(hasattr(part, "column_names") for part in pairs.values()):
            raise ValueError(f"`{name}` holds several data sets ({', '.join(map(str, pairs))}); give one of them.")
        return _of_columns(pairs, name, columns)
    if hasattr(pairs, "column_names") and hasattr(pairs, "iter"):
        return _of_data_set(pairs, name, columns)
    if hasattr(pairs, "columns"):
        return _of_columns({str(column): pairs[column] for column in pairs.columns}, name, columns)
    if not hasattr(pairs, "__iter__"):
        raise ValueError(f"`{name}` is {pairs!r}; give a list of pairs, a table with columns, or the path of a file.")
    return (_of_entry(entry, f"`{name}`, row {number}", columns) for number, entry in enumerate(pairs))


def _is_pair_of_pairs(pairs: tuple) -> bool:
    """Return whether a tuple of two is rather two pairs than all sources and all targets."""
    return all(isinstance(part, tuple) and len(part) == 2 for part in pairs)


def _of_columns(table: Mapping[str, Any], name: str, columns: Sequence[str]) -> Iterator[Row]:
    """Return the rows of a table that holds whole columns."""
    chosen = {}
    for column in columns:
        if column not in table:
            raise _no_column(name, column, list(map(str, table)))
        if isinstance(table[column], str) or not hasattr(table[column], "__iter__"):
            raise ValueError(f"`{name}`: {column!r} is a single text; a column is a list of some.")
        chosen[column] = list(table[column])
    if len(set(map(len, chosen.values()))) > 1:
        lengths = ", ".join(f"{column!r} has {len(values)}" for column, values in chosen.items())
        raise ValueError(f"`{name}`: columns go together row by row, but {lengths}.")
    return (dict(zip(chosen, values, strict=True)) for values in zip(*chosen.values(), strict=True))


def _of_data_set(pairs: Any, name: str, columns: Sequence[str]) -> Iterator[Row]:
    names = list(pairs.column_names or [])
    for column in columns:
        if names and column not in names and column.split(".")[0] not in names:
            raise _no_column(name, column, names)
    number = 0
    for batch in pairs.iter(batch_size=_AT_A_TIME):
        for values in zip(*batch.values(), strict=True):
            record = dict(zip(batch, values, strict=True))
            yield {column: nested_value(record, column, f"`{name}`, row {number}") for column in columns}
            number += 1


def _of_entry(entry: Any, place: str, columns: Sequence[str]) -> Row:
    if isinstance(entry, Mapping):
        return {column: nested_value(dict(entry), column, place) for column in columns}
    if isinstance(entry, str | bytes) or not hasattr(entry, "__len__") or len(entry) != len(columns):
        wanted = "(source, target)" if len(columns) == 2 else "(source, target, tag)"
        raise ValueError(f"{place}: expected a pair {wanted}, but found {_shortened(entry)}.")
    return dict(zip(columns, entry, strict=True))


def _no_column(name: str, column: str, names: list[str]) -> ValueError:
    section = f"data.{name}"
    return ValueError(
        f"{missing_column(f'`{name}`', column, names)} Say which are meant by `{section}.source_column` and "
        f"`{section}.target_column`."
    )


def _shortened(entry: Any, longest: int = 60) -> str:
    text = repr(entry)
    return text if len(text) <= longest else f"{text[:longest]}…"
