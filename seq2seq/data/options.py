"""The options of data: where a corpus is, which pairs are kept and how they are batched, and companions of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seq2seq.config.declaring import MOST_PROCESSES, refuse_unused
from seq2seq.lines import plain_name

Format = Literal["auto", "tsv", "csv", "jsonl", "parquet", "hub"]
Delimiter = Literal["comma", "semicolon", "tab", "bar"]

TABLE_ENDINGS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""The formats of tables by how their files' names end."""


@dataclass(frozen=True)
class PartialCorpusOptions:
    """Where a parallel corpus is read from, in the same way as another one unless an option says otherwise.

    Raises:
        ValueError: options that do not go together.
    """

    source: str | None = None
    """File with one source text per line, aligned with `target`."""
    target: str | None = None
    """File with one target text per line, aligned with `source`."""
    path: str | None = None
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
        if of_files and self.tag_column:
            raise ValueError("`tag_column` needs a table (`path`); two files of lines have no further columns.")
        of_tables = ("format", "name", "split", "source_column", "target_column", "header", "delimiter")
        refuse_unused(self, of_tables, "a table (`path`)", applies=not of_files)

    @property
    def is_named(self) -> bool:
        """Whether it says where its pairs are."""
        return not (self.path is None and self.source is None and self.target is None)

    def completed(self, like: "CorpusOptions") -> "CorpusOptions":
        """Return all options, those that nothing was said about as in `like`."""
        prefix = like.source_prefix if self.source_prefix is None else self.source_prefix
        source_language = self.source_language or like.source_language
        target_language = self.target_language or like.target_language
        if self.path is None:
            return CorpusOptions(
                self.source,
                self.target,
                source_prefix=prefix,
                source_language=source_language,
                target_language=target_language,
                streaming=self.streaming,
            )
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
            source_language=source_language,
            target_language=target_language,
            streaming=self.streaming,
        )

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
    streaming: bool = False
    """Read as a stream, never held on disk as a whole; for corpora that do not fit. Order is shuffled in pools."""

    def completed(self, like: "CorpusOptions") -> "CorpusOptions":
        """Return itself, which leaves nothing open."""
        return self

    def described(self) -> str:
        """Return where sources and targets come from, for people."""
        if self.path is None:
            return f"{self.source} → {self.target}"
        where = f"{self.path}, split {self.split}" if self.format == "hub" else str(self.path)
        tag = f", tagged by column {self.tag_column}" if self.tag_column else ""
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


@dataclass(frozen=True)
class DataOptions:
    """Corpora, filters and batches.

    Raises:
        ValueError: an option is out of range, or options do not go together.
    """

    train: CorpusOptions | tuple[MixedCorpusOptions, ...] = field(default_factory=CorpusOptions)
    """The pairs to learn from; or a list of corpora, `data.train.0` and so on, each with all options of its own, that
    are mixed by `weight` and `temperature`."""
    validation: PartialCorpusOptions = field(default_factory=PartialCorpusOptions)
    """The pairs that choose the checkpoint, read like those of `train`, of a list like its first corpus, where nothing
    else is said; if it names none, those that `num_folds` leaves out of the training."""
    temperature: float = 1.0
    """T of mixing a list of corpora: the share of one is in proportion to weight * pairs^(1/T) (Arivazhagan et al.
    2019, section 4.2). 1 takes all pairs alike; 5 is usual for many languages; very large values give all corpora the
    same share."""
    guard: tuple[GuardOptions, ...] = ()
    """Corpora of general text, `data.guard.0` and so on, that show what a run which starts with trained weights
    forgets: decoded and scored with the metrics of `validation`, and as many pairs of each, before the first step and
    with the exported model. They are read like those of `validation`."""
    max_source_tokens: int = 256
    """Longest source, in tokens with end of sentence; what becomes of longer ones in training is `long_sources`."""
    max_target_tokens: int = 256
    """Longest target, in tokens with end of sentence; longer training pairs are dropped and reported."""
    long_sources: Literal["drop", "cut"] = "drop"
    """What becomes of pairs whose source is too long. `drop` leaves them out of the training; `cut` keeps the first
    tokens of the source and its end of sentence, no more than learned positions, in training, validation and (unless
    `--max-source-tokens` says otherwise) decoding. For titles and summaries, where the beginning of a text is enough;
    targets are never cut."""
    max_length_ratio: float = 0.0
    """Largest ratio of the longer side to the shorter, in tokens; 0 switches this filter off."""
    batch_tokens: int = 4096
    """Budget of one micro-batch on one process: source plus target tokens, padding included."""
    max_batch_rows: int = 0
    """Most pairs in one micro-batch; 0 sets no limit."""
    pool_rows: int = 20000
    """Pairs that a stream shuffles and sorts at a time (only with `streaming`)."""
    num_workers: int = 0
    """Worker processes that tokenise; 0 tokenises in the main process."""
    num_folds: int = 0
    """Parts that the training pairs are dealt into, one after another, when one of them is left out; 0 uses all. With
    20 and no `validation`, every twentieth pair is validated on."""
    left_out_fold: int = 0
    """The part that is left out, counted from 0."""

    def __post_init__(self) -> None:
        for name in ("max_source_tokens", "max_target_tokens", "batch_tokens", "pool_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}.")
        for name in ("max_length_ratio", "max_batch_rows", "num_workers", "num_folds"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, but is {getattr(self, name)}.")
        if self.num_workers > MOST_PROCESSES:
            raise ValueError(f"`num_workers` must be at most {MOST_PROCESSES:,}, but is {self.num_workers}.")
        if self.long_sources == "cut" and self.max_source_tokens < 2:
            raise ValueError("`max_source_tokens` must be at least 2 where `long_sources` are cut: one is the end.")
        if self.num_folds and not 0 <= self.left_out_fold < self.num_folds:
            raise ValueError(f"`left_out_fold` ({self.left_out_fold}) must be below `num_folds` ({self.num_folds}).")
        self._check_mixing()
        self._check_guard()
        if self.num_folds and self.streaming:
            raise ValueError("`num_folds` are of a corpus that is held on disk; leave out `train.streaming`.")
        refuse_unused(self, ("left_out_fold",), "num_folds", applies=self.num_folds > 0)
        refuse_unused(self, ("pool_rows",), "train.streaming: true", applies=self.streaming)

    def _check_mixing(self) -> None:
        """Raise ValueError for corpora that cannot be mixed, or for mixing a single one."""
        is_list = isinstance(self.train, tuple)
        refuse_unused(self, ("temperature",), "a list of corpora in `train`", applies=is_list)
        if self.temperature <= 0:
            raise ValueError(f"`temperature` must be above 0, but is {self.temperature}.")
        if not isinstance(self.train, tuple):
            return
        if not self.train:
            raise ValueError("`train` is a list without a corpus; name one.")
        labels = labels_of(self.train)
        for place, corpus in enumerate(self.train):
            if not corpus.is_named:
                raise ValueError(f"`train.{place}` names no data: set its `path`, or its `source` and `target`.")
            if corpus.streaming:
                raise ValueError(
                    f"`train.{place}` ({labels[place]}) is `streaming`, but of a list of corpora a share is drawn by "
                    "the numbers of its pairs, which a stream has not; leave it out, or stream a single corpus."
                )

    def _check_guard(self) -> None:
        """Raise ValueError for guard corpora that cannot be told apart or read."""
        labels = labels_of(self.guard)
        for place, corpus in enumerate(self.guard):
            if not corpus.is_named:
                raise ValueError(f"`guard.{place}` names no data: set its `path`, or its `source` and `target`.")
            if corpus.streaming:
                raise ValueError(f"`guard.{place}` ({labels[place]}) is read as a whole; leave out `streaming`.")

    @property
    def corpora(self) -> tuple[CorpusOptions, ...]:
        """All corpora to learn from."""
        return self.train if isinstance(self.train, tuple) else (self.train,)

    @property
    def validated(self) -> CorpusOptions:
        """The pairs that choose the checkpoint, with all options."""
        return self.validation.completed(self.corpora[0])

    @property
    def streaming(self) -> bool:
        """Whether the pairs to learn from are read as a stream."""
        return self.corpora[0].streaming

    @property
    def source_prefix(self) -> str:
        """What stands before every source that is learned from."""
        prefixes = {corpus.source_prefix for corpus in self.corpora}
        return prefixes.pop() if len(prefixes) == 1 else ""


@dataclass(frozen=True)
class CompanionOptions:
    """What the directions of a model with an `interaction` see of each other in training: hypotheses of a model, since
    the reference would give away the answers.

    Raises:
        ValueError: an option is out of range, or would do nothing.
    """

    model: str | None = None
    """Run or model folder of a `bidirectional` model that generates them. `self` stands for this run's own first stage,
    which learns both directions without interaction."""
    first_steps: int = 0
    """Optimizer steps of the first stage, with `model: self`."""
    folds: int = 0
    """With `model: self`, parts of the training pairs whose companions are generated by a model that has not seen them,
    trained like the first stage on the others, but never from `training.initialize_from`; 0 lets the first stage
    generate all."""
    fold_models: tuple[str, ...] = ()
    """Runs that have left out one fold each, in their order, and generate its companions; given by `folds`."""
    refreshes: int = 0
    """With `model: self`, how often in training a share of the companions is generated anew, by the model as it is by
    then, with its interaction on. The steps are cut into so many parts and one more, each a run with its own warm-up
    and schedule that starts with the weights of the one before."""
    refreshed_share: float = 0.2
    """Share of the training pairs whose companions a refresh generates; all others keep theirs. Pairs take turns."""
    refreshed_by: tuple[str, ...] = ()
    """Runs that have generated a share each, in their order; given by `refreshes`."""
    folder: str | None = None
    """Where companions are kept; by default `companions` in the run directory."""
    beam_width: int = 1
    """Beam width of generating them; 1 is greedy."""
    dropout: float = 0.1
    """Probability that the two directions of a target do not see each other."""
    scored: bool = False
    """Whether the tokens of a companion are predicted too, as in the authors' code, and not only the reference's.
    Whatever the model does wrong it then learns; docs/results/interaction.md has what that took."""

    def __post_init__(self) -> None:
        if self.beam_width < 1:
            raise ValueError(f"`beam_width` must be at least 1, but is {self.beam_width}.")
        if not 0.0 <= self.dropout <= 1.0:
            raise ValueError(f"`dropout` must be between 0 and 1, but is {self.dropout}.")
        if not 0.0 < self.refreshed_share <= 1.0:
            raise ValueError(f"`refreshed_share` must be above 0 and at most 1, but is {self.refreshed_share}.")
        for name in ("first_steps", "folds", "refreshes"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, but is {getattr(self, name)}.")
        refuse_unused(self, ("first_steps", "folds", "refreshes"), "model: self", applies=self.model == "self")
        others = ("fold_models", "folder", "beam_width", "dropout", "scored")
        refuse_unused(self, others, "companions that have a `model`", applies=self.model is not None)
