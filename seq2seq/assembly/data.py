"""From a configuration and its corpora to tokenizer and batches."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from accelerate import Accelerator

from seq2seq.assembly.companions import Companions
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.continuing import TRAIN, check_pairs
from seq2seq.assembly.corpora import fingerprints_of, mixture_of, open_training, open_validation
from seq2seq.assembly.limits import longest_source
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, TOKENIZER_FOLDER, read_model
from seq2seq.assembly.row_languages import ONE_START, check_spoken
from seq2seq.assembly.start import fitted, kept_start
from seq2seq.data.corpus import Corpus, Dataset
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.mixture import Mixture, an_epoch
from seq2seq.data.options import DataOptions
from seq2seq.data.streaming import StreamingLoader
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import new_folder
from seq2seq.training.checkpoint_folder import newest_data

STREAM_TOKENIZER_ROWS = 200_000
"""Pairs at the head of a stream that its tokenizer is trained on."""
TRAINED_ON = "trained_on.json"
"""Says, in a tokenizer's folder, which pairs it was trained on."""


class RunData(NamedTuple):
    """Tokenizer, corpora and what they are; the training corpus is tokenised unless it is a stream.

    Of a list of corpora to learn from, the training corpus has all, one after another.
    """

    tokenizer: TextTokenizer
    train: Corpus
    validation: Dataset
    fingerprints: dict[str, str]
    mixture: Mixture | None = None
    """Of a list of corpora, how they are mixed."""


def build_data(config: RunConfig, folder: Path) -> RunData:
    """Return the data of a run.

    Raises:
        ValueError: the run has begun with other pairs, or the corpora cannot be read.
    """
    train, validation, mixture = open_training(config.data), open_validation(config.data), mixture_of(config.data)
    fingerprints = fingerprints_of(config.data, train, validation)
    recorded, accepts_changes = newest_data(folder / CHECKPOINTS_FOLDER), config.training.accept_changed_data
    check_pairs(folder, recorded, fingerprints, accepts_changes=accepts_changes)
    learned = train if mixture is None else train.select(an_epoch(mixture))
    tokenizer = build_tokenizer(config, folder / TOKENIZER_FOLDER, learned, fingerprints[TRAIN])
    tokenizer = fitted(tokenizer, kept_start(folder))
    validated = config.data.validated
    spoken = tokenizer.speaking(*validated.languages)
    workers = config.data.num_workers
    check_spoken(validation, spoken, "data.validation")
    if isinstance(train, Dataset):
        check_spoken(train, tokenizer, "data.train")
        parts = parts_of(config.data, tokenizer, mixture, len(train))
        train = tokenize_corpus(train, tokenizer, num_workers=workers, parts=parts)
    validation = tokenize_corpus(validation, spoken, num_workers=workers)
    return RunData(spoken, train, validation, fingerprints, mixture)


def parts_of(
    data: DataOptions, tokenizer: TextTokenizer, mixture: Mixture | None, num_rows: int
) -> list[tuple[int, TextTokenizer]]:
    """Return the row behind the last of each corpus to learn from, and a tokenizer of its languages.

    Raises:
        ValueError: there is no such language, or a decoder that starts from one would need several.
    """
    languages = [(corpus.source_language, corpus.target_language) for corpus in data.corpora]
    if len({target for _, target in languages}) > 1 and tokenizer.languages.is_start:
        raise ValueError(f"`data.train`: {ONE_START}")
    if len(set(languages)) == 1 or mixture is None:
        return [(num_rows, tokenizer.speaking(*languages[0]))]
    ends = numpy.cumsum(mixture.sizes).tolist()
    return [(end, tokenizer.speaking(*spoken)) for end, spoken in zip(ends, languages, strict=True)]


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
    rows = corpus.take(STREAM_TOKENIZER_ROWS) if config.data.streaming else corpus
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
    mixture: Mixture | None = None,
) -> TrainingLoader | StreamingLoader:
    """Return the endless stream of this process's micro-batches."""
    options = filter_options(config) | {
        "seed": config.training.seed,
        "num_processes": accelerator.num_processes,
        "process_index": accelerator.process_index,
        "arrange": companions.train if companions else Arranged(config.model.generation_order),
    }
    if config.data.streaming:
        return StreamingLoader(corpus, tokenizer, pool_rows=config.data.pool_rows, **options)
    return TrainingLoader(corpus, tokenizer, mixture=mixture, **options)


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
