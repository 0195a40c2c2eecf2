"""From a configuration to the pairs that it names, and to what is known of them.

The corpora of a list stand one after another in one data set, so that whatever follows knows a single corpus; where
each begins, and how much of it an epoch has, is in the `Mixture`.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from seq2seq.assembly.continuing import TRAIN, VALIDATION
from seq2seq.data.corpus import Corpus, Dataset, concatenated, read_corpus
from seq2seq.data.corpus_options import CorpusOptions, labels_of
from seq2seq.data.fingerprints import corpus_fingerprint
from seq2seq.data.mixture import Mixture
from seq2seq.data.options import DataOptions

_OF_MIXING = ("weight", "label")
"""Options of a corpus that do not say how it is read."""


def open_corpus(corpus: CorpusOptions, option: str) -> Corpus:
    """Return the corpus that a section describes; its name stands in the error of one that names no data."""
    if not corpus.is_named:
        raise ValueError(f"`{option}` names no data: set `{option}.path`, or `{option}.source` and `{option}.target`.")
    options = asdict(corpus)
    for name in _OF_MIXING:
        options.pop(name, None)
    return read_corpus(**options)


def open_whole_training(data: DataOptions) -> list[Corpus]:
    """Return the corpora to learn from, with the pairs that are left out."""
    if not isinstance(data.train, tuple):
        return [open_corpus(data.train, "data.train")]
    return [open_corpus(corpus, f"data.train.{place}") for place, corpus in enumerate(data.train)]


def open_training(data: DataOptions) -> Corpus:
    """Return the pairs to learn from, those of a list one corpus after another: all but the fold that is left out."""
    return _fold(data, is_left_out=False) if data.num_folds else concatenated(open_whole_training(data))


def open_validation(data: DataOptions) -> Dataset:
    """Return the pairs to validate on: those that are named, else the fold that is left out.

    Raises:
        ValueError: there are neither.
    """
    if data.validation.is_named:
        return open_corpus(dataclasses.replace(data.validated, streaming=False), "data.validation")
    if not data.num_folds:
        raise ValueError(
            "`data.validation` names no data: set `data.validation.path`, or `data.validation.source` and "
            "`data.validation.target`, or `data.num_folds` to 20 to hold every twentieth training pair out."
        )
    return _fold(data, is_left_out=True)


def open_guards(data: DataOptions) -> Iterator[tuple[str, CorpusOptions, Dataset]]:
    """Yield what each guard corpus is called, all its options, and its pairs."""
    for place, (label, corpus) in enumerate(zip(labels_of(data.guard), data.guard, strict=True)):
        options = corpus.completed(data.corpora[0])
        yield label, options, open_corpus(options, f"data.guard.{place}")


def mixture_of(data: DataOptions) -> Mixture | None:
    """Return how the corpora of a list are mixed; None for a single one."""
    if not isinstance(data.train, tuple):
        return None
    sizes = [len(corpus) for corpus in open_whole_training(data)]
    rows = _rows_of_fold(data, sum(sizes), is_left_out=False) if data.num_folds else numpy.arange(sum(sizes))
    ends = numpy.searchsorted(rows, numpy.cumsum(sizes))
    return Mixture(
        labels=labels_of(data.train),
        sizes=tuple(numpy.diff(ends, prepend=0).tolist()),
        weights=tuple(corpus.weight for corpus in data.train),
        temperature=data.temperature,
    )


def _fold(data: DataOptions, *, is_left_out: bool) -> Dataset:
    """Return the training pairs of the fold that is left out, or all others; raise ValueError if there are none."""
    assert not data.streaming, "`checks` refuses folds of a stream"
    corpus = concatenated(open_whole_training(data))
    rows = _rows_of_fold(data, len(corpus), is_left_out=is_left_out)
    if not len(rows):
        raise ValueError(
            f"There {'is 1 pair' if len(corpus) == 1 else f'are {len(corpus)} pairs'}, too few to hold a part of "
            f"`data.num_folds` ({data.num_folds}) out; give more, or name pairs to validate on in `data.validation`."
        )
    return corpus.select(rows)


def _rows_of_fold(data: DataOptions, num_rows: int, *, is_left_out: bool) -> numpy.ndarray:
    """Return the rows of the fold that is left out, or all others; they are dealt through the corpora of a list."""
    in_fold = numpy.arange(num_rows) % data.num_folds == data.left_out_fold
    return (in_fold == is_left_out).nonzero()[0]


def fingerprints_of(data: DataOptions, train: Corpus, validation: Dataset) -> dict[str, str]:
    """Return what the pairs of both corpora are, by `TRAIN` and `VALIDATION`.

    Folds are known by all pairs and their number: to gather their own would take a hundred times as long. Of a list
    the sizes tell where one corpus ends and the next begins.
    """
    corpora = open_whole_training(data) if data.num_folds or isinstance(data.train, tuple) else [train]
    fold = f", fold {data.left_out_fold} of {data.num_folds}" if data.num_folds else ""
    of_train = corpus_fingerprint(concatenated(corpora), stream_facts(data.corpora[0]))
    if isinstance(data.train, tuple):
        of_train += f" of {' + '.join(str(len(corpus)) for corpus in corpora)}"
    of_validation = corpus_fingerprint(validation) if data.validation.is_named else f"{of_train}{fold}"
    return {TRAIN: f"{of_train}{' but' if fold else ''}{fold}", VALIDATION: of_validation}


def stream_facts(corpus: CorpusOptions) -> dict[str, Any]:
    """Return what is known of a stream without reading it: the sizes of its files, or its name on the Hub."""
    files = [Path(path) for path in (corpus.source, corpus.target, corpus.path) if path is not None]
    if any(file.exists() for file in files):
        return {"bytes": [file.stat().st_size for file in files if file.is_file()]}
    return {"path": corpus.path, "name": corpus.name, "split": corpus.split}
