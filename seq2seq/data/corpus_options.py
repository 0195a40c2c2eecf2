"""Where a corpus is and how its rows are read: one to train on, alone or among others, to validate on, or a guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seq2seq.config.declaring import Place, refuse_unused
from seq2seq.lines import plain_name

Format = Literal["auto", "tsv", "csv", "jsonl", "parquet", "hub"]
Delimiter = Literal["comma", "semicolon", "tab", "bar"]

LANGUAGES = ("source_language", "target_language")
"""Options of a corpus, and columns of one whose rows say what languages they are of."""
TABLE_ENDINGS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""The formats of tables by how their files' names end."""


@dataclass(frozen=True)
class PartialCorpusOptions:
    """Where a parallel corpus is read from, in the same way as another one unless an option says otherwise.

    Raises:
        ValueError: options that do not go together.
    """

    source: Place | None = None
    """File with one source text per line, aligned with `target`."""
    target: Place | None = None
    """File with one target text per line, aligned with `source`."""
    path: Place | None = None
    """Table with both sides: a .tsv, .csv, .jsonl, .json or .parquet file, or the name of a data set on the Hub."""
    format: Format | None = None
    """Format of `path`; `auto` goes by the file's ending and takes a name that is no file for a Hub data set. `null` is
    that of `data.train` for a file of the same ending, otherwise `auto`."""
    name: str | None = None
    """Configuration (subset) of a Hub data set; `null` is that of `data.train` for the same data set."""
    split: str = "train"
    """Split of a Hub data set."""
    source_column: str | None = None
    """Column of the source text: a name, a dotted path such as `translation.en`, or a number counted from 0; `null` is
    as in `data.train`."""
    target_column: str | None = None
    """Column of the target text: a name, a dotted path such as `translation.de`, or a number counted from 0; `null` is
    as in `data.train`."""
    header: bool | None = None
    """Whether the first line of a TSV or CSV file names the columns; `null` is as in `data.train`. Without such a line
    `source` is column 0 and `target` column 1."""
    delimiter: Delimiter | None = None
    """What stands between the fields of a CSV file; `null` is as in `data.train` for a file of the same ending,
    otherwise a comma."""
    source_prefix: str | None = None
    """Text put before every source text, for example `translate English to German: `; `null` is as in `data.train`, an
    empty text is none."""
    tag_column: str | None = None
    """Column whose value v is put before the source text as the tag `<v>` and a space (a language tag); white space in
    it becomes `_`. `null` is as in `data.train`, an empty text is none."""
    source_language: str | None = None
    """Language of the sources, for a pretrained model of many, as its tokenizer calls it, such as `eng_Latn`; `null` is
    as in `data.train`."""
    target_language: str | None = None
    """Language of the targets, likewise."""
    source_language_column: str | None = None
    """Column with the language of each row's source, in the place of `source_language`; `null` is as in `data.train`,
    an empty text is none."""
    target_language_column: str | None = None
    """Column with the language of each row's target, likewise."""
    streaming: bool = False
    """Read as a stream, never held on disk as a whole; for corpora that do not fit. Order is shuffled in pools.
    Pairs to validate on never are."""

    def __post_init__(self) -> None:
        of_files = self.source is not None or self.target is not None
        if self.path is not None and of_files:
            raise ValueError(
                "Give either `source` and `target`, two aligned files, or `path`, one table or Hub data set."
            )
        if of_files and (self.source is None or self.target is None):
            raise ValueError("`source` and `target` go together: give the file of the other side too.")
        columns = {f"{side}_column": side for side in LANGUAGES}
        for name in ("tag_column", *columns):
            if of_files and getattr(self, name):
                raise ValueError(f"`{name}` needs a table (`path`); two files of lines have no further columns.")
        for name, side in columns.items():
            if getattr(self, name) and getattr(self, side):
                raise ValueError(f"`{side}` is of all rows and `{name}` of each; give one of them.")
            if getattr(self, name) and self.streaming:
                raise ValueError(f"`{name}` is for corpora that are held; a stream has one `{side}`.")
        of_tables = ("format", "name", "split", "source_column", "target_column", "header", "delimiter")
        refuse_unused(self, of_tables, "a table (`path`)", applies=not of_files)

    @property
    def is_named(self) -> bool:
        """Whether it says where its pairs are."""
        return not (self.path is None and self.source is None and self.target is None)

    def completed(self, like: "CorpusOptions") -> "CorpusOptions":
        """Return all options, those that nothing was said about as in `like`."""
        prefix = like.source_prefix if self.source_prefix is None else self.source_prefix
        languages = self._languages_like(like)
        if self.path is None:
            return CorpusOptions(self.source, self.target, source_prefix=prefix, streaming=self.streaming, **languages)
        is_same_kind = like.path is not None and _ending(self.path) == _ending(like.path)
        return CorpusOptions(
            path=self.path,
            format=self.format or (like.format if is_same_kind else "auto"),
            name=like.name if self.name is None and self.path == like.path else self.name,
            split=self.split,
            source_column=like.source_column if self.source_column is None else self.source_column,
            target_column=like.target_column if self.target_column is None else self.target_column,
            header=like.header if self.header is None else self.header,
            delimiter=self.delimiter or (like.delimiter if is_same_kind else "comma"),
            source_prefix=prefix,
            tag_column=(like.tag_column if self.tag_column is None else self.tag_column) or None,
            streaming=self.streaming,
            **languages,
        )

    def _languages_like(self, like: "CorpusOptions") -> dict[str, Any]:
        """Return the options of languages: of each side its own, of all rows or of each, else those of `like`."""
        found: dict[str, Any] = {}
        for side in LANGUAGES:
            column = f"{side}_column"
            of_all, of_each = getattr(self, side), getattr(self, column)
            if of_all is None and of_each is None:
                of_all, of_each = getattr(like, side), self.path and getattr(like, column)
            found |= {side: of_all, column: of_each or None}
        return found

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """Of its sources and of its targets."""
        return self.source_language, self.target_language


@dataclass(frozen=True)
class CorpusOptions(PartialCorpusOptions):
    """Where one parallel corpus is read from: two line-aligned files, or one table.

    Raises:
        ValueError: options that do not go together.
    """

    format: Format = "auto"
    """Format of `path`; `auto` goes by the file's ending and takes a name that is no file for a Hub data set."""
    name: str | None = None
    """Configuration (subset) of a Hub data set."""
    source_column: str = "source"
    """Column of the source text: a name, a dotted path such as `translation.en`, or a number counted from 0."""
    target_column: str = "target"
    """Column of the target text: a name, a dotted path such as `translation.de`, or a number counted from 0."""
    header: bool = False
    """Whether the first line of a TSV or CSV file names the columns. Without one, `source` is column 0 and `target`
    column 1."""
    delimiter: Delimiter = "comma"
    """What stands between the fields of a CSV file."""
    source_prefix: str = ""
    """Text put before every source text, for example `translate English to German: `."""
    tag_column: str | None = None
    """Column whose value v is put before the source text as the tag `<v>` and a space (a language tag); white space in
    it becomes `_`."""
    source_language: str | None = None
    """Language of the sources, for a pretrained model of many, as its tokenizer calls it, such as `eng_Latn`."""
    target_language: str | None = None
    """Language of the targets, likewise."""
    source_language_column: str | None = None
    """Column with the language of each row's source, in the place of `source_language`."""
    target_language_column: str | None = None
    """Column with the language of each row's target, likewise."""
    streaming: bool = False
    """Read as a stream, never held on disk as a whole; for corpora that do not fit. Order is shuffled in pools."""

    def completed(self, like: "CorpusOptions") -> "CorpusOptions":
        """Return itself, which leaves nothing open."""
        return self

    @property
    def kept(self) -> tuple[str, ...]:
        """What is kept of a row: source, target, and the languages that it says."""
        return ("source", "target", *(side for side in LANGUAGES if getattr(self, f"{side}_column")))

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read: those of what is kept, in its order, and behind them that of a tag."""
        kept = [getattr(self, f"{name}_column") for name in self.kept]
        return [*kept, self.tag_column] if self.tag_column else kept

    def described(self) -> str:
        """Return where sources and targets come from, for people."""
        if self.path is None:
            return f"{self.source} → {self.target}"
        where = f"{self.path}, split {self.split}" if self.format == "hub" else str(self.path)
        tag = f", tagged by column {self.tag_column}" if self.tag_column else ""
        named = [self.columns[place] for place in range(2, len(self.kept))]
        tag += f", languages in column {' and '.join(named)}" if named else ""
        prefix = f", behind “{self.source_prefix}”" if self.source_prefix else ""
        columns = [self.source_column, self.target_column]
        if not self.header and (self.format if self.format != "auto" else _ending(self.path)[1:]) in ("tsv", "csv"):
            columns = [{"source": "0", "target": "1"}.get(column, column) for column in columns]
        return f"{where}, column {columns[0]} → column {columns[1]}{tag}{prefix}"


def _ending(path: str) -> str:
    return Path(plain_name(path)).suffix.lower()


@dataclass(frozen=True)
class MixedCorpusOptions(CorpusOptions):
    """One of several corpora to learn from.

    Raises:
        ValueError: options that do not go together, or a weight that is none.
    """

    weight: float = 1.0
    """What the share of this corpus is multiplied with, beside the other corpora; see `data.temperature`."""
    label: str | None = None
    """What this corpus is called on the screen and in the log; `null` is the name of its file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight <= 0:
            raise ValueError(
                f"`weight` must be above 0, but is {self.weight}; leave out a corpus that is not to count."
            )


@dataclass(frozen=True)
class GuardOptions(PartialCorpusOptions):
    """A corpus of general text, on which a model that is tuned is compared with what it was.

    Raises:
        ValueError: options that do not go together.
    """

    label: str | None = None
    """What this corpus is called on the screen and in the log; `null` is the name of its file."""


def labels_of(corpora: Sequence[MixedCorpusOptions | GuardOptions]) -> tuple[str, ...]:
    """Return what corpora are called: their labels, else the names of their files, numbered where two are the same.

    Raises:
        ValueError: two have the same.
    """
    files = [None if corpus.label else _name(corpus) for corpus in corpora]
    found = [
        corpus.label or (str(file) if files.count(file) == 1 else f"{file}-{place}")
        for place, (corpus, file) in enumerate(zip(corpora, files, strict=True))
    ]
    if twice := next((label for label in found if found.count(label) > 1), None):
        raise ValueError(f"Two corpora are called {twice!r}; give each a `label` of its own.")
    return tuple(found)


def _name(corpus: PartialCorpusOptions) -> str:
    """Return the name of a corpus' file without its ending, or that of a data set on the Hub."""
    file = Path(plain_name(str(corpus.path or corpus.source)))
    return "-".join(filter(None, [file.stem if file.suffix.lower() in TABLE_ENDINGS else file.name, corpus.name]))
