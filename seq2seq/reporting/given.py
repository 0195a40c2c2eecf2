"""What a report measures a model on: test pairs, and what is known of the pairs that the model was trained on.

A run directory enters; texts leave. A source is as the run's model reads it, with its prefix or tags; `contents` are
what a person would call the sources. The same source with several targets is one pair with several references.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.corpora import open_corpus, open_training, open_validation
from seq2seq.assembly.model_folder import RUN_FILE
from seq2seq.assembly.row_languages import check_one_language
from seq2seq.assembly.run_directory import config_of_run
from seq2seq.data.corpus import Dataset
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.lines import aligned

TEST_FILE = "data/test.jsonl"
"""In a run directory: pairs that were held out from training and from the choice of the checkpoint."""
MOST_TRAINING_ROWS = 200_000
"""Training pairs that are looked at; of more, so many at even distances."""
_TAG = re.compile(r"(?:<[^<>\s]+>|>>[^<>\s]+<<|\[[^\[\]\s]+\])\s*")

Origin = Literal["test", "validation", "files"]


@dataclass(frozen=True)
class TestPairs:
    """N pairs to measure on; sources lack the run's prefix."""

    __test__ = False  # of pytest, which takes the name for a test's

    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    """Of each source, one or more."""
    origin: Origin
    described: str
    """Where they are from, for people."""
    num_blank: int = 0
    """Pairs without text on one side, which were left out."""
    num_more: int = 0
    """Sources beyond `max_rows`, which were left out."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def has_several_references(self) -> bool:
        return any(len(texts) > 1 for texts in self.references)


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs that a model was trained on, or a part of them at even distances."""

    sources: tuple[str, ...]
    """Without the run's prefix."""
    targets: tuple[str, ...]
    num_rows: int
    """Of the whole corpus; -1 of a stream, whose head this is."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def is_whole(self) -> bool:
        return len(self.sources) == self.num_rows

    def num_seen(self, sources: Sequence[str]) -> int:
        """Return how many of these sources are among them."""
        known = set(self.sources)
        return sum(source in known for source in sources)


def config_of(run: Path) -> RunConfig | None:
    """Return the configuration of a run; None of a model folder, which has none."""
    return config_of_run(run) if (run / RUN_FILE).is_file() else None


def pairs_to_test(
    run: Path,
    config: RunConfig | None,
    files: tuple[str | Path, str | Path] | None = None,
    *,
    max_rows: int = 0,
) -> TestPairs:
    """Return the pairs of two files, else the test pairs in the run directory, else those of its validation.

    Args:
        files: of sources and of references.
        max_rows: sources at most, the first ones; 0 takes all.

    Raises:
        ValueError: there are none, the files do not fit together, or rows are in languages of their own.
    """
    if files is not None:
        read = ((texts[0], texts[1]) for texts in aligned(*files))
        return _grouped(read, "files", f"{files[0]} and {files[1]}", max_rows)
    if (run / TEST_FILE).is_file():
        test_corpus = open_corpus(CorpusOptions(path=str(run / TEST_FILE)), "test")
        pairs = ((row["source"], row["target"]) for row in test_corpus)
        return _grouped(pairs, "test", str(run / TEST_FILE), max_rows)
    if config is None:
        raise ValueError(
            f"{run} is a model without its run, so there are no pairs to measure it on; give `--source` and "
            "`--reference`, two files with a text on each line."
        )
    try:
        corpus = open_validation(config.data)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{run} has no {TEST_FILE}, and its validation pairs cannot be read ({_one_line(error)}); give `--source` "
            "and `--reference`, two files with a text on each line."
        ) from error
    check_one_language(corpus, f"{run}: the validation pairs")
    prefixes = [config.data.validated.source_prefix] if config.data.validation.is_named else _prefixes(config)
    found = ((_without_prefix(row["source"], prefixes), row["target"]) for row in corpus)
    return _grouped(found, "validation", "the validation pairs of the run", max_rows)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _grouped(pairs: Iterable[tuple[str, str]], origin: Origin, described: str, max_rows: int) -> TestPairs:
    """Return pairs by their source; raise ValueError where none has text on both sides."""
    by_source: dict[str, dict[str, None]] = {}
    num_blank = 0
    for source, target in pairs:
        if source.strip() and target.strip():
            by_source.setdefault(source, {})[target] = None
        else:
            num_blank += 1
    if not by_source:
        raise ValueError(f"{described}: there is no pair with text on both sides, so nothing to report on.")
    kept = list(islice(by_source.items(), max_rows or None))
    return TestPairs(
        tuple(source for source, _ in kept),
        tuple(tuple(targets) for _, targets in kept),
        origin,
        described,
        num_blank,
        len(by_source) - len(kept),
    )


def training_pairs(config: RunConfig) -> TrainingPairs:
    """Return the pairs that a run was trained on.

    Raises:
        ValueError, OSError: they cannot be read, or not any more.
    """
    corpus = open_training(config.data)
    if isinstance(corpus, Dataset):
        num_rows = len(corpus)
        if num_rows > MOST_TRAINING_ROWS:
            corpus = corpus.select(even_rows(num_rows, MOST_TRAINING_ROWS))
        sources, targets = corpus["source"][:], corpus["target"][:]
    else:
        num_rows = -1
        rows = list(corpus.take(MOST_TRAINING_ROWS))
        sources, targets = [row["source"] for row in rows], [row["target"] for row in rows]
    prefixes = _prefixes(config)
    return TrainingPairs(tuple(_without_prefix(text, prefixes) for text in sources), tuple(targets), num_rows)


def _prefixes(config: RunConfig) -> list[str]:
    """Return the prefixes of all corpora to learn from, the longest first, for one may begin with another."""
    return sorted({corpus.source_prefix for corpus in config.data.corpora}, key=len, reverse=True)


def _without_prefix(source: str, prefixes: Sequence[str]) -> str:
    return next((source[len(prefix) :] for prefix in prefixes if source.startswith(prefix)), source)


def even_rows(num_rows: int, most: int) -> numpy.ndarray:
    """Return at most so many row numbers at even distances."""
    return numpy.unique(numpy.linspace(0, num_rows - 1, min(num_rows, most)).astype(numpy.int64))


def contents(sources: Sequence[str]) -> list[str]:
    """Return sources without the tags in front of them, such as `<de>` or `>>de<<`, of which there may be several.

    A tag is what nearly all of them have there; what a few begin with is part of their text.
    """
    texts = list(sources)
    while True:
        found = [_TAG.match(text) for text in texts]
        if sum(map(bool, found)) <= 0.9 * len(texts):
            return texts
        texts = [text[match.end() :] if match else text for text, match in zip(texts, found, strict=True)]


def tags_in_front(sources: Sequence[str]) -> list[str]:
    """Return the tags in front of each source as one text, such as `<en> <de>`; empty where there is none."""
    texts = contents(sources)
    return [source[: len(source) - len(text)].strip() for source, text in zip(sources, texts, strict=True)]
