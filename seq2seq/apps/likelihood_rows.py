"""The rows of `seq2seq likelihood`: how a pair with its score is written, and which pairs are kept.

Records of a table and their scores enter; lines leave, as text (the score alone), TSV and CSV (the table with columns
added) or JSONL (everything).
"""

import csv
import heapq
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any

from seq2seq.assembly.pair_scores import PairScore
from seq2seq.data.table_records import Record
from seq2seq.generation.output import one_line

FORMATS = ("text", "tsv", "csv", "jsonl")
ADDED = (
    *("score", "log_prob", "num_tokens", "perplexity", "token_log_probs"),
    *("reverse_log_prob", "reverse_num_tokens", "alignment", "error"),
)
"""What may be added to a table as a column; in JSONL all of it, and `tokens`."""

Row = tuple[Record, PairScore]


class RowWriter:
    """Turns rows into lines.

    Args:
        columns: of `ADDED`, those that a table gets.
        header: whether the table names its columns.
    """

    def __init__(self, output_format: str, columns: Sequence[str], *, header: bool) -> None:
        self.output_format = output_format
        self.columns = columns
        self.header = header
        self.names: Sequence[str] = ()

    def first_lines(self, names: Sequence[str]) -> list[str]:
        """Return what stands before the rows, the names of a table's columns, which all rows then have."""
        if self.header and self.output_format in ("tsv", "csv"):
            self.names = names
            self._refuse_twice("`--columns`: ", names, self.columns)
            return [self._fields([*names, *self.columns])]
        return []

    def line(self, record: Record, score: PairScore) -> str:
        """Return the line of a row; in a table, fields that are too many stand behind what is added.

        Raises:
            ValueError: the table has a column already that is to be added, or lacks one for what the row holds.
        """
        said = score.fields()
        if self.output_format == "text":
            return _shown(said.get("score"))
        place = f"Row {record.number}: "
        if self.output_format == "jsonl":
            surplus = {str(i): text for i, text in enumerate(record.surplus, start=len(record.values))}
            self._refuse_twice(place, record.values, [*surplus, *said])
            return _as_json(record.values | surplus | said)
        if self.header:
            self._refuse_unknown(place, record.values)
        values = [record.values.get(name) for name in self.names] if self.header else [*record.values.values()]
        added = [_shown(said.get(name)) for name in self.columns]
        return self._fields([*map(_as_field, values), *added, *record.surplus])

    def _fields(self, fields: Sequence[str]) -> str:
        if self.output_format == "tsv":
            return "\t".join(one_line(field).replace("\t", " ") for field in fields)
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow(fields)
        return buffer.getvalue()

    def _refuse_twice(self, place: str, names: Iterable[str], added: Iterable[str]) -> None:
        for name in added:
            if name in names:
                raise ValueError(
                    f"{place}the table has a column `{name}` already, and one of that name is to be "
                    "added; rename it, or write `--format text`, which is the scores alone."
                )

    def _refuse_unknown(self, place: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.names:
                raise ValueError(
                    f"{place}it has {name!r}, for which the table has no column, since the columns are those of the "
                    "first row; write `--format jsonl`, which keeps everything."
                )


def _as_json(value: Any) -> str:
    """Return a value as JSON; half a character stays what it is, but by its number."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if _is_text(text) else json.dumps(value, default=str)


def _as_field(value: Any) -> str:
    """Return a value of a table as a field of one, empty for what is not there."""
    if isinstance(value, str):
        return value if _is_text(value) else value.encode(errors="replace").decode()
    return "" if value is None else _as_json(value)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    """Return what is added as a field of a table, or as a line of text: of what is not there an empty one."""
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:.6f}" if isinstance(value, float) else _as_field(value)


def above(rows: Iterable[Row], least: float) -> Iterator[Row]:
    """Yield the rows whose score is at least so much."""
    return ((record, score) for record, score in rows if score.score is not None and score.score >= least)


def best_lines(rows: Iterable[tuple[str, PairScore]], share: float) -> Iterator[str]:
    """Yield the lines of the best share of all rows in their order; the lines wait on disk until all are scored.

    Of rows with the same score the first ones are kept; those that failed are none of the best.
    """
    scores: list[float | None] = []
    with TemporaryFile("w+b") as file:
        ends = [0]
        for line, score in rows:
            scores.append(score.score)
            ends.append(ends[-1] + file.write(line.encode()))
        ranked = ((score, -place) for place, score in enumerate(scores) if score is not None)
        kept = {-place for _, place in heapq.nlargest(round(share * len(scores)), ranked)}
        file.seek(0)
        for place, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
            text = file.read(end - start)
            if place in kept:
                yield text.decode()
