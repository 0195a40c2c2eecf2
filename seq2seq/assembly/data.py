"""From a configuration to its corpora, tokenizer and batches."""

import dataclasses
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from accelerate import Accelerator

from seq2seq.assembly.companions import Companions
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.continuing import TRAIN, VALIDATION, check_pairs
from seq2seq.assembly.limits import longest_source
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, TOKENIZER_FOLDER, read_model
from seq2seq.assembly.start import fitted, kept_start
from seq2seq.data.corpus import Corpus, Dataset, read_corpus
from seq2seq.data.fingerprints import corpus_fingerprint
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.options import CorpusOptions, DataOptions
from seq2seq.data.streaming import StreamingLoader
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import new_folder
from seq2seq.training.checkpoint_folder import newest_data

STREAM_TOKENIZER_ROWS = 200_000
"""Pairs at the head of a stream that its tokenizer is trained on."""
TRAINED_ON = "trained_on.json"
"""Says, in a tokenizer's folder, which pairs it was trained on."""


class RunData(NamedTuple):
    """Tokenizer, corpora and what they are; the training corpus is tokenised unless it is a stream."""

    tokenizer: TextTokenizer
    train: Corpus
    validation: Dataset
    fingerprints: dict[str, str]


def build_data(config: RunConfig, folder: Path) -> RunData:
    """Return the data of a run.

    Raises:
        ValueError: the run has begun with other pairs, or the corpora cannot be read.
    """
    train, validation = open_training(config.data), open_validation(config.data)
    fingerprints = fingerprints_of(config.data, train, validation)
    recorded, accepts_changes = newest_data(folder / CHECKPOINTS_FOLDER), config.training.accept_changed_data
    check_pairs(folder, recorded, fingerprints, accepts_changes=accepts_changes)
    tokenizer = build_tokenizer(config, folder / TOKENIZER_FOLDER, train, fingerprints[TRAIN])
    tokenizer = fitted(tokenizer, kept_start(folder))
    workers = config.data.num_workers
    if isinstance(train, Dataset):
        train = tokenize_corpus(train, tokenizer, num_workers=workers)
    return RunData(tokenizer, train, tokenize_corpus(validation, tokenizer, num_workers=workers), fingerprints)


def fingerprints_of(data: DataOptions, train: Corpus, validation: Dataset) -> dict[str, str]:
    """Return what the pairs of both corpora are, by `TRAIN` and `VALIDATION`.

    Folds are known by all pairs and their number: to gather their own would take a hundred times as long.
    """
    whole = open_corpus(data.train, "data.train") if data.num_folds else train
    fold = f", fold {data.left_out_fold} of {data.num_folds}" if data.num_folds else ""
    of_train = corpus_fingerprint(whole, stream_facts(data.train))
    of_validation = corpus_fingerprint(validation) if data.validation.is_named else f"{of_train}{fold}"
    return {TRAIN: f"{of_train}{' but' if fold else ''}{fold}", VALIDATION: of_validation}


def stream_facts(corpus: CorpusOptions) -> dict[str, Any]:
    """Return what is known of a stream without reading it: the sizes of its files, or its name on the Hub."""
    files = [Path(path) for path in (corpus.source, corpus.target, corpus.path) if path is not None]
    if any(file.exists() for file in files):
        return {"bytes": [file.stat().st_size for file in files if file.is_file()]}
    return {"path": corpus.path, "name": corpus.name, "split": corpus.split}


def open_training(data: DataOptions) -> Corpus:
    """Return the pairs to learn from: all but the fold that is left out."""
    return _fold(data, is_left_out=False) if data.num_folds else open_corpus(data.train, "data.train")


def open_validation(data: DataOptions) -> Dataset:
    """Return the pairs to validate on: those that are named, else the fold that is left out.

    Raises:
        ValueError: there are neither.
    """
    if data.validation.is_named:
        corpus = data.validation.completed(data.train)
        return open_corpus(dataclasses.replace(corpus, streaming=False), "data.validation")
    if not data.num_folds:
        raise ValueError(
            "`data.validation` names no data: set `data.validation.path`, or `data.validation.source` and "
            "`data.validation.target`, or `data.num_folds` to 20 to hold every twentieth training pair out."
        )
    return _fold(data, is_left_out=True)


def _fold(data: DataOptions, *, is_left_out: bool) -> Dataset:
    """Return the training pairs of the fold that is left out, or all others; raise ValueError if there are none."""
    assert not data.train.streaming, "`checks` refuses folds of a stream"
    corpus = open_corpus(data.train, "data.train")
    in_fold = numpy.arange(len(corpus)) % data.num_folds == data.left_out_fold
    rows = (in_fold == is_left_out).nonzero()[0]
    if not len(rows):
        raise ValueError(
            f"`data.num_folds` ({data.num_folds}) parts one of which is left out need more pairs than {len(corpus)}."
        )
    return corpus.select(rows)


def open_corpus(corpus: CorpusOptions, option: str) -> Corpus:
    """Return the corpus that a section describes; its name stands in the error of one that names no data."""
    if not corpus.is_named:
        raise ValueError(f"`{option}` names no data: set `{option}.path`, or `{option}.source` and `{option}.target`.")
    return read_corpus(**asdict(corpus))


def build_tokenizer(config: RunConfig, folder: Path, corpus: Corpus, fingerprint: str | None = None) -> TextTokenizer:
    """Return the run's tokenizer: the one in `folder`, else one loaded or trained by the configuration, kept there.

    One that was trained on other pairs, for a run that has no checkpoint yet, is made anew.

    Args:
        fingerprint: of the corpus; None takes the one in `folder` whatever it was trained on.
    """
    has_begun = any((folder.parent / CHECKPOINTS_FOLDER).glob("step-*"))
    if folder.is_dir() and (has_begun or fingerprint is None or trained_on(folder) in (None, fingerprint)):
        return TextTokenizer.load(folder, sampling=config.tokenizer.sampling)
    run = config.tokenizer.from_run or config.training.initialize_from
    if run is not None:
        load = partial(TextTokenizer.load, sampling=config.tokenizer.sampling)
        return _kept(read_model(run, load), folder)
    options = asdict(config.tokenizer)
    path, target_path, _ = (options.pop(name) for name in ("path", "target_path", "from_run"))
    if path is not None:
        tokenizer = TextTokenizer.from_pretrained(
            path, target_path, special_tokens=config.tokenizer.special_tokens, sampling=config.tokenizer.sampling
        )
        return _kept(tokenizer, folder)
    rows = corpus.take(STREAM_TOKENIZER_ROWS) if config.data.train.streaming else corpus
    sources = (row["source"] for row in rows)
    targets = (row["target"] for row in rows)
    return _kept(TextTokenizer.train(sources, targets, **options), folder, fingerprint)


def trained_on(folder: Path) -> str | None:
    """Return the fingerprint of the pairs that a kept tokenizer was trained on; None where it does not say."""
    path = folder / TRAINED_ON
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is damaged; delete {folder} to have the tokenizer made again.") from None


def _kept(tokenizer: TextTokenizer, folder: Path, fingerprint: str | None = None) -> TextTokenizer:
    """Return the tokenizer after writing it into a folder that appears whole or not at all."""
    with new_folder(folder) as unfinished:
        tokenizer.save(unfinished)
        if fingerprint is not None:
            (unfinished / TRAINED_ON).write_text(json.dumps({"fingerprint": fingerprint}) + "\n", encoding="utf-8")
    return tokenizer


def build_loader(
    config: RunConfig,
    corpus: Corpus,
    tokenizer: TextTokenizer,
    accelerator: Accelerator,
    companions: Companions | None = None,
) -> TrainingLoader | StreamingLoader:
    """Return the endless stream of this process's micro-batches."""
    options = filter_options(config) | {
        "seed": config.training.seed,
        "num_processes": accelerator.num_processes,
        "process_index": accelerator.process_index,
        "arrange": companions.train if companions else Arranged(config.model.generation_order),
    }
    if config.data.train.streaming:
        return StreamingLoader(corpus, tokenizer, pool_rows=config.data.pool_rows, **options)
    return TrainingLoader(corpus, tokenizer, **options)


def filter_options(config: RunConfig) -> dict[str, Any]:
    """Return what decides which pairs are kept and how they are batched."""
    data = config.data
    return {
        "max_source_tokens": longest_source(config),
        "cut_sources": data.long_sources == "cut",
        "max_target_tokens": data.max_target_tokens,
        "max_length_ratio": data.max_length_ratio,
        "batch_tokens": data.batch_tokens,
        "max_batch_rows": data.max_batch_rows,
    }
