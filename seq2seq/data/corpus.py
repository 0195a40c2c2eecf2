"""Reads a parallel corpus: two aligned files, one table, or a data set of the Hub.

What leaves is always the same: a memory-mapped `Dataset`, or an `IterableDataset` when streaming, with the text columns
`source` and `target`. Local files are read by `table_files` and kept as Arrow under a name that depends on their
size, time of change and all options, so a changed file is read again, and a failed reading leaves nothing behind.
"""

import atexit
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy
import pyarrow
from datasets import Dataset, IterableDataset, concatenate_datasets, config, load_dataset

from seq2seq.data.corpus_options import LANGUAGES, TABLE_ENDINGS, CorpusOptions
from seq2seq.data.kept_files import is_whole, keep_record, recorded_problems
from seq2seq.data.table_files import COLUMN_READERS, missing_column, nested_value
from seq2seq.files import fingerprint, written
from seq2seq.lines import aligned, is_stream, plain_name, spooled

Corpus: TypeAlias = Dataset | IterableDataset

_CACHE_VERSION = 4
"""Raise it when the same files and options would be read as other rows than before."""
_WRITTEN_ROWS = 10_000
TEXT_BLOCK_ROWS = 10_000
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")

Pairs = Iterator[tuple[str, ...]]
"""Source and target, and the languages that rows say, if they do."""


def read_corpus(*, cache_directory: str | Path | None = None, **options: Any) -> Corpus:
    """Return the corpus with the columns `source` and `target`, and of `LANGUAGES` those that rows say.

    A stream is checked while it is iterated, anything else before this returns.

    Args:
        options: those of `CorpusOptions`.
        cache_directory: where the Arrow file is kept; by default in the cache of `datasets`.

    Raises:
        ValueError: the options do not fit together, or the data is not as they say: named with file and line.
    """
    corpus = CorpusOptions(**options)
    if not corpus.is_named:
        raise ValueError("Give either `source` and `target`, two aligned files, or `path`, one table or Hub data set.")
    found = _pairs_of_files(corpus)
    if found is None:
        rows = _hub_rows(str(corpus.path), corpus.name, corpus.split, corpus.streaming, cache_directory)
        return _hub_pairs(rows, str(corpus.path), corpus.columns, corpus.kept, corpus.source_prefix)
    pairs, files = found
    if corpus.streaming:
        return IterableDataset.from_generator(_as_records, gen_kwargs={"pairs": pairs})
    described = [[str(part) for part in pairs.args if not isinstance(part, Path)], pairs.func.__name__, corpus.kept]
    return _memory_mapped(pairs, corpus.kept, files, described, cache_directory)


def streamed_pairs(corpus: CorpusOptions) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a corpus one by one, without what rows say of languages; nothing of it is kept.

    Raises:
        ValueError: as `read_corpus`, where the reading comes to it.
    """
    found = _pairs_of_files(corpus)
    if found is not None:
        for source, target, *_ in found[0]():
            yield source, target
        return
    rows = _hub_rows(str(corpus.path), corpus.name, corpus.split, True, None)
    for row in _hub_pairs(rows, str(corpus.path), corpus.columns, corpus.kept, corpus.source_prefix):
        yield row["source"], row["target"]


def _pairs_of_files(corpus: CorpusOptions) -> tuple["partial[Pairs]", list[Path]] | None:
    """Return what reads the pairs of local files, and the files; None for a data set of the Hub."""
    if corpus.path is None:
        assert corpus.source is not None and corpus.target is not None, "the options say so"  # noqa: PT018
        files = [_regular(Path(corpus.source)), _regular(Path(corpus.target))]
        return partial(_aligned_pairs, files[0], files[1], corpus.source_prefix), files
    path, columns = str(corpus.path), corpus.columns
    kind = _format(path, corpus.format)
    if kind == "hub":
        return None
    files = [_regular(Path(path))]
    if kind in ("tsv", "csv") and not corpus.header:
        positions = {"source": "0", "target": "1"}
        columns = [positions.get(column, column) for column in columns]
    if kind != "csv" and corpus.delimiter != "comma":
        raise ValueError(f"{path}: `delimiter` belongs to CSV and would do nothing here; leave it out.")
    others = (corpus.delimiter,) if kind == "csv" else ()
    facts = (tuple(columns), len(corpus.kept), corpus.header, corpus.source_prefix)
    return partial(_table_pairs, files[0], kind, *facts, *others), files


def concatenated(corpora: Sequence[Corpus]) -> Corpus:
    """Return the pairs of all corpora, one after another; nothing is copied. Where rows of some say languages, those
    of others say none."""
    if len(corpora) == 1:
        return corpora[0]
    said = [name for name in LANGUAGES if any(name in (corpus.column_names or ()) for corpus in corpora)]
    return concatenate_datasets([_with_columns(corpus, said) for corpus in corpora])


def _with_columns(corpus: Corpus, names: Sequence[str]) -> Corpus:
    for name in names:
        if name not in (corpus.column_names or ()):
            assert isinstance(corpus, Dataset), "a stream has no languages of rows"
            corpus = corpus.add_column(name, pyarrow.nulls(len(corpus), pyarrow.string()))
    return corpus


def text_blocks(corpus: Dataset, rows: numpy.ndarray | None = None) -> Iterator[tuple[list[str], list[str]]]:
    """Yield sources and targets of these rows, by default of all, so many at a time that no list holds a corpus."""
    chosen = corpus.select_columns(["source", "target"])
    for block in (chosen if rows is None else chosen.select(rows)).iter(TEXT_BLOCK_ROWS):
        yield block["source"], block["target"]


def _format(path: str, format: str) -> str:
    """Return the format's name, for `auto` by the ending of `path`."""
    if format != "auto":
        if format != "hub" and format not in COLUMN_READERS:
            raise ValueError(f"`format` is {format!r}; the formats are auto, hub, {', '.join(COLUMN_READERS)}.")
        return format
    ending = Path(plain_name(path)).suffix.lower()
    if ending in TABLE_ENDINGS:
        return TABLE_ENDINGS[ending]
    if Path(path).exists() and not Path(path).is_dir():
        raise ValueError(f"{path}: the ending does not tell the format; set `format` to {', '.join(COLUMN_READERS)}.")
    if Path(path).is_dir() or _HUB_NAME.fullmatch(path):
        return "hub"
    raise ValueError(f"{path}: there is no such file, and it cannot be the name of a Hub data set.")


def _aligned_pairs(source: Path, target: Path, source_prefix: str) -> Pairs:
    empty = True
    for source_text, target_text in aligned(source, target):
        empty = False
        yield source_prefix + source_text, target_text
    if empty:
        raise ValueError(f"{source}: the file is empty.")


def _table_pairs(
    path: Path, kind: str, columns: tuple[str, ...], num_kept: int, header: bool, source_prefix: str, *delimiter: str
) -> Pairs:
    """Yield the pairs of a table; a delimiter is given for CSV alone."""
    empty = True
    for number, values in COLUMN_READERS[kind](path, columns, header, *delimiter):
        empty = False
        yield _pair(values, columns, num_kept, source_prefix, f"{path}:{number}")
    if empty:
        raise ValueError(f"{path}: the file holds no rows.")


def tag_of_value(value: str) -> str:
    """Return the tag of a column's value, which is one word."""
    return f"<{'_'.join(value.split())}>"


def _pair(
    values: list[Any], columns: Sequence[str], num_kept: int, source_prefix: str, location: str
) -> tuple[str, ...]:
    """Return what is kept of one row, the source behind its prefix and, as in decoding, its tag behind that."""
    for column, value in zip(columns, values, strict=True):
        if not isinstance(value, str):
            raise ValueError(f"{location}: column {column!r} holds {value!r}, which is not text.")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{location}: column {column!r} holds half a surrogate pair: no character.") from None
    source, *others = values[:num_kept]
    return source_prefix + "".join(f"{tag_of_value(tag)} " for tag in values[num_kept:]) + source, *others


def _as_records(pairs: Callable[[], Pairs]) -> Iterator[dict[str, str]]:
    for source, target in pairs():  # a stream has no languages of rows
        yield {"source": source, "target": target}


def _memory_mapped(
    pairs: Callable[[], Pairs],
    names: Sequence[str],
    files: list[Path],
    options: list[Any],
    cache_directory: str | Path | None,
) -> Dataset:
    """Return the pairs from the Arrow file kept for these files and options, written first where it is missing."""
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file}: there is no such file.")
    states = [_state(file) for file in files]
    key = hashlib.sha256(json.dumps([_CACHE_VERSION, states, options]).encode()).hexdigest()[:32]
    directory = Path(cache_directory or Path(config.HF_DATASETS_CACHE) / "seq2seq")
    cached = directory / f"corpus-{key}.arrow"
    if not is_whole(cached):
        directory.mkdir(parents=True, exist_ok=True)
        _write_arrow(pairs(), names, cached)
    corpus = Dataset.from_file(str(cached))
    for problem in problems_of(corpus):
        warnings.warn(problem, stacklevel=1)
    return corpus


def problems_of(corpus: Dataset) -> list[str]:
    """Return what was to be warned of when the files of a corpus were read, now or by an earlier command."""
    return [problem for file in corpus.cache_files for problem in recorded_problems(Path(file["filename"]))]


_streams: dict[Path, Path] = {}
"""The copies of pipes, which a process reads once, however often it opens a corpus."""
_copies = ExitStack()
atexit.register(_copies.close)


def _regular(file: Path) -> Path:
    """Return a file that can be read more than once: itself, or the copy of a pipe."""
    if not is_stream(file):
        return file
    if file not in _streams:
        _streams[file] = _copies.enter_context(spooled(file))
    return _streams[file]


def _state(file: Path) -> list[Any]:
    """Return what says which text a file holds: of the copy of a pipe its content."""
    if file in _streams.values():
        return [fingerprint(file)]
    return [str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns]


def _write_arrow(pairs: Pairs, names: Sequence[str], path: Path) -> None:
    """Write all pairs, or nothing: the file takes its name only when it is whole.

    A record follows of its content, and of the warnings of reading, which concern each command that uses the file.
    """
    with warnings.catch_warnings(record=True) as caught, written(path, "wb") as file:
        warnings.simplefilter("always")
        schema = pyarrow.schema(dict.fromkeys(names, pyarrow.string()))
        with pyarrow.ipc.new_stream(file, schema) as writer:
            while rows := list(islice(pairs, _WRITTEN_ROWS)):
                columns = [pyarrow.array(column, pyarrow.string()) for column in zip(*rows, strict=True)]
                writer.write_batch(pyarrow.record_batch(columns, schema=schema))
    keep_record(path, [str(warning.message) for warning in caught if warning.category is UserWarning])


def _hub_rows(path: str, name: str | None, split: str, streaming: bool, cache_directory: str | Path | None) -> Corpus:
    cache = str(cache_directory) if cache_directory else None
    try:
        return load_dataset(path, name, split=split, streaming=streaming, cache_dir=cache)
    except Exception as error:  # network, permissions, names, formats: dozens of types, none of them ours
        raise ValueError(f"Cannot read split {split!r} of the data set {path!r}: {error}") from error


def _hub_pairs(rows: Corpus, path: str, columns: list[str], kept: Sequence[str], source_prefix: str) -> Corpus:
    names = list(rows.column_names or [])
    for column in columns:
        if names and column not in names and column.split(".")[0] not in names:
            raise missing_column(path, column, names)

    def pairs_of(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[str]]:
        pairs = []
        for position, index in enumerate(indices):
            record = {name: values[position] for name, values in batch.items()}
            values = [nested_value(record, column, f"{path}:{index + 1}") for column in columns]
            pairs.append(_pair(values, columns, len(kept), source_prefix, f"{path}:{index + 1}"))
        return dict(zip(kept, map(list, zip(*pairs, strict=True)), strict=True))

    return rows.map(pairs_of, batched=True, with_indices=True, remove_columns=names or None)
