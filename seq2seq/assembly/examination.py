"""From a configuration and its data to what is noteworthy about them, before a training starts.

`data.examination` looks at the pairs; what is added here takes the rest of the configuration: metrics, search, model.
"""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import numpy
import torch

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.corpora import open_training, open_validation
from seq2seq.assembly.data import RunData, filter_options
from seq2seq.assembly.model import build_model_config
from seq2seq.assembly.search import default_search, inner_search
from seq2seq.assembly.validation import usable_pairs
from seq2seq.data.corpus import Corpus, Dataset, problems_of
from seq2seq.data.examination.examination import Examination, examine, findings_of, too_few_pairs
from seq2seq.data.examination.examined import Examined
from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.limits import PairLimits
from seq2seq.data.filters import filter_pairs
from seq2seq.data.loader import empty_lengths, tokenize_corpus
from seq2seq.data.mixture import CorpusShare, MixedRows
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.metrics.sacre import bleu
from seq2seq.models.transformer import Seq2SeqTransformer

STREAM_HEAD_ROWS = 10_000
"""Pairs of a stream that are examined."""
_JUDGED_TARGETS = 500
_FEW = 0.05
"""Share of targets with four words below which BLEU says nothing."""
_NOTABLE = 0.01


def examine_data(config: RunConfig, data: RunData) -> Examination:
    """Return what is known of a run's pairs; of a stream, of its first ones."""
    train, validation = subjects(config, data)
    findings = [
        *problems_of_reading(config),
        *noteworthy(config, train, validation, data.tokenizer),
        *unusable_pairs(config, data),
    ]
    return examine(train, validation, data.tokenizer, findings, shares_of(config, train, data))


def warn_of_data(config: RunConfig, data: RunData) -> None:
    """Say in a line each what probably spoils the training; `prepare` says more.

    What was warned of in reading is not said again.
    """
    found = [finding for finding in noteworthy(config, *subjects(config, data), data.tokenizer) if finding.is_warning]
    for finding in found:
        print(f"{config.run_directory}: warning: {finding.sentence}", flush=True)
    if found:
        print(f"{config.run_directory}: `seq2seq prepare` with the same options shows examples.", flush=True)


def subjects(config: RunConfig, data: RunData) -> tuple[Examined, Examined]:
    """Return the corpora of a run as what is examined."""
    of_training = [corpus.source_prefix for corpus in config.data.corpora]
    is_named = config.data.validation.is_named
    option = "data.validation" if is_named else "data.train"
    of_validation = [config.data.validated.source_prefix] if is_named else of_training
    firsts = None
    if data.mixture is not None:
        starts = numpy.cumsum((0, *data.mixture.sizes))
        firsts = {f"data.train.{place}": int(first) for place, first in enumerate(starts[:-1])}
    train = Examined.of("training", "data.train", held(data.train, data.tokenizer), of_training, firsts)
    return train, Examined.of("validation", option, data.validation, of_validation)


def shares_of(config: RunConfig, train: Examined, data: RunData) -> list[CorpusShare]:
    """Return how much an epoch has of each corpus of a list; nothing for a single one."""
    if data.mixture is None:
        return []
    kept = kept_rows(train, limits_of(config, data.tokenizer))
    return MixedRows(data.mixture, kept, config.training.seed).shares()


def kept_rows(train: Examined, limits: PairLimits) -> numpy.ndarray:
    """Return the rows that are trained on."""
    options = asdict(limits)
    del options["batch_tokens"]
    return filter_pairs(train.lengths("source"), train.lengths("target"), **options)[0]


def noteworthy(config: RunConfig, train: Examined, validation: Examined, tokenizer: TextTokenizer) -> Iterator[Finding]:
    """Yield all findings but those of reading the files."""
    limits = limits_of(config, tokenizer)
    yield from findings_of(train, validation, tokenizer, limits)
    yield from few_pairs(config, train, limits, tokenizer)
    yield from short_targets(config, validation)
    yield from cut_outputs(config, validation)


def held(corpus: Corpus, tokenizer: TextTokenizer) -> Dataset:
    """Return a corpus that is tokenised and on disk: itself, or the head of a stream."""
    if isinstance(corpus, Dataset):
        return corpus
    rows = [{name: row[name] for name in ("source", "target")} for row in corpus.take(STREAM_HEAD_ROWS)]
    return tokenize_corpus(Dataset.from_list(rows), tokenizer)


def limits_of(config: RunConfig, tokenizer: TextTokenizer) -> PairLimits:
    """Return what the pairs must keep to in training."""
    options: dict[str, Any] = filter_options(config) | empty_lengths(tokenizer)
    return PairLimits(**{field.name: options[field.name] for field in fields(PairLimits)})


def problems_of_reading(config: RunConfig) -> Iterator[Finding]:
    """Yield what was warned of when the files were read, now or by an earlier command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corpora = [open_training(config.data), open_validation(config.data)]
    problems = (problem for corpus in corpora if isinstance(corpus, Dataset) for problem in problems_of(corpus))
    for problem in dict.fromkeys(problems):
        yield Finding("uneven_rows", problem, is_warning=True)


def unusable_pairs(config: RunConfig, data: RunData) -> Iterator[Finding]:
    """Yield that validation leaves pairs out which the model cannot take; training itself says so too."""
    _, report = usable_pairs(config, data.validation)
    if count := report.rows - report.kept:
        yield Finding(
            "unusable_pairs",
            f"{part_of(count, report.rows)} validation pairs are longer than the model or a batch takes and left out.",
            count,
            is_warning=count >= _NOTABLE * report.rows,
        )


def few_pairs(config: RunConfig, train: Examined, limits: PairLimits, tokenizer: TextTokenizer) -> Iterator[Finding]:
    """Yield that there are few pairs for the model; one that has learnt elsewhere needs fewer."""
    if config.training.initialize_from is not None or config.data.streaming:
        return
    target_lengths, kept = train.lengths("target"), kept_rows(train, limits)
    with torch.device("meta"):
        model = Seq2SeqTransformer(build_model_config(config, tokenizer))
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    yield from too_few_pairs(len(kept), int(target_lengths[kept].sum()), num_parameters)


def short_targets(config: RunConfig, validation: Examined) -> Iterator[Finding]:
    """Yield that BLEU, which is asked for, has nothing to count."""
    if "bleu" not in config.validation.metrics or not len(validation.targets):
        return
    targets = validation.sample("target", validation.spread(_JUDGED_TARGETS))
    metric = bleu()
    short = [text for text in targets if not metric.ngrams(text)[-1]]
    if len(targets) - len(short) < _FEW * len(targets):
        yield Finding(
            "short_for_bleu",
            f"{part_of(len(short), len(targets))} validation targets have fewer than four words between spaces, and "
            "BLEU counts sequences of four: it will be 0, or chance. Set `validation.metrics` and "
            "`validation.select_by` to chrf or exact_match.",
            len(short),
            shown(short[:3]),
            is_warning=config.validation.select_by == "bleu",
        )


def cut_outputs(config: RunConfig, validation: Examined) -> Iterator[Finding]:
    """Yield that what is generated ends before many of the targets do."""
    search = inner_search(config.decoding or default_search(config.model.generation_order))
    if not isinstance(search, SearchOptions):
        return
    lengths, limit = validation.lengths("target"), search.max_length
    if count := int((lengths > limit).sum()):
        yield Finding(
            "cut_outputs",
            f"{part_of(count, len(validation))} validation targets are longer than what is generated, the `max_length` "
            f"({limit:,}) of `decoding`; {int(lengths.max()):,} is enough for all.",
            count,
            is_warning=count >= _NOTABLE * len(validation),
        )
