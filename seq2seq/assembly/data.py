"""From a configuration to its corpora, tokenizer and batches."""

import dataclasses
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy
from accelerate import Accelerator

from seq2seq.assembly.companions import Companions
from seq2seq.assembly.generator import model_folder
from seq2seq.assembly.run_directory import TOKENIZER_FOLDER
from seq2seq.config.schema import CorpusConfig, DataConfig, RunConfig
from seq2seq.data.corpus import Corpus, Dataset, read_corpus
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.streaming import StreamingLoader
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import new_folder

STREAM_TOKENIZER_ROWS = 200_000
"""Pairs at the head of a stream that its tokenizer is trained on."""


def build_data(config: RunConfig, folder: Path) -> tuple[TextTokenizer, Corpus, Dataset]:
    """Return tokenizer and corpora; the training corpus is tokenised unless it is a stream."""
    train_corpus, validation_corpus = open_training(config.data), open_validation(config.data)
    tokenizer = build_tokenizer(config, folder / TOKENIZER_FOLDER, train_corpus)
    workers = config.data.num_workers
    if not config.data.train.streaming:
        train_corpus = tokenize_corpus(train_corpus, tokenizer, num_workers=workers)
    return tokenizer, train_corpus, tokenize_corpus(validation_corpus, tokenizer, num_workers=workers)


def open_training(data: DataConfig) -> Corpus:
    """Return the pairs to learn from: all but the fold that is left out."""
    return _fold(data, is_left_out=False) if data.num_folds else open_corpus(data.train, "data.train")


def open_validation(data: DataConfig) -> Dataset:
    """Return the pairs to validate on: those that are named, else the fold that is left out.

    Raises:
        ValueError: there are neither.
    """
    if names_data(data.validation):
        return open_corpus(dataclasses.replace(data.validation, streaming=False), "data.validation")
    if not data.num_folds:
        raise ValueError(
            "`data.validation` names no data: set `data.validation.path`, or `data.validation.source` and "
            "`data.validation.target`, or `data.num_folds` to 20 to hold every twentieth training pair out."
        )
    return _fold(data, is_left_out=True)


def _fold(data: DataConfig, *, is_left_out: bool) -> Dataset:
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


def names_data(corpus: CorpusConfig) -> bool:
    """Return whether a section says where its pairs are."""
    return not (corpus.path is None and corpus.source is None and corpus.target is None)


def open_corpus(corpus: CorpusConfig, option: str) -> Corpus:
    """Return the corpus that a section describes; its name stands in the error of one that names no data."""
    if not names_data(corpus):
        raise ValueError(f"`{option}` names no data: set `{option}.path`, or `{option}.source` and `{option}.target`.")
    return read_corpus(**asdict(corpus))


def build_tokenizer(config: RunConfig, folder: Path, corpus: Corpus) -> TextTokenizer:
    """Return the run's tokenizer: the one in `folder`, else one loaded or trained by the configuration, kept there."""
    if folder.is_dir():
        return TextTokenizer.load(folder, sampling=config.tokenizer.sampling)
    run = config.tokenizer.from_run or config.training.initialize_from
    if run is not None:
        return _kept(TextTokenizer.load(model_folder(run), sampling=config.tokenizer.sampling), folder)
    options = asdict(config.tokenizer)
    path, target_path, _ = (options.pop(name) for name in ("path", "target_path", "from_run"))
    if path is not None:
        tokenizer = TextTokenizer.from_pretrained(
            path, target_path, special_tokens=config.tokenizer.special_tokens, sampling=config.tokenizer.sampling
        )
    else:
        rows = corpus.take(STREAM_TOKENIZER_ROWS) if config.data.train.streaming else corpus
        sources = (row["source"] for row in rows)
        targets = (row["target"] for row in rows)
        tokenizer = TextTokenizer.train(sources, targets, **options)
    return _kept(tokenizer, folder)


def _kept(tokenizer: TextTokenizer, folder: Path) -> TextTokenizer:
    """Return the tokenizer after writing it into a folder that appears whole or not at all."""
    with new_folder(folder) as unfinished:
        tokenizer.save(unfinished)
    return tokenizer


def build_loader(
    config: RunConfig,
    corpus: Corpus,
    tokenizer: TextTokenizer,
    accelerator: Accelerator,
    companions: Companions | None = None,
) -> TrainingLoader | StreamingLoader:
    """Return the endless stream of this process's micro-batches."""
    options = filter_options(config.data) | {
        "seed": config.training.seed,
        "num_processes": accelerator.num_processes,
        "process_index": accelerator.process_index,
        "arrange": companions.train if companions else Arranged(config.model.generation_order),
    }
    if config.data.train.streaming:
        return StreamingLoader(corpus, tokenizer, pool_rows=config.data.pool_rows, **options)
    return TrainingLoader(corpus, tokenizer, **options)


def filter_options(data: DataConfig) -> dict[str, Any]:
    """Return what decides which pairs are kept and how they are batched."""
    names = ("max_source_tokens", "max_target_tokens", "max_length_ratio", "batch_tokens", "max_batch_rows")
    return {name: getattr(data, name) for name in names}
