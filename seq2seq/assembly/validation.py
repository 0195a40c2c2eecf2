"""From a configuration to the validation of its run: which pairs, in what batches, and how they are decoded."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from seq2seq.assembly.companions import Companions
from seq2seq.assembly.configuration import RunConfig, label_smoothing_of
from seq2seq.assembly.languages import with_languages
from seq2seq.assembly.limits import cut_length
from seq2seq.assembly.precision import PRECISIONS
from seq2seq.assembly.scoring import score_texts
from seq2seq.assembly.search import changed_search, complete_search, within_reach
from seq2seq.assembly.start import kept_start
from seq2seq.data.corpus import Dataset
from seq2seq.data.corpus_options import LANGUAGES
from seq2seq.data.filters import FilterReport, filter_pairs
from seq2seq.data.generation_order import Arranged, num_starts
from seq2seq.data.loader import Languages, ValidationLoader, corpus_lengths, rows_by_languages, said_languages
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import BATCH_TOKENS
from seq2seq.generation.corpus import decode_lines
from seq2seq.models.transformer.packing import decoding_copy
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.options import ValidationOptions
from seq2seq.training.validation import DecodingFailed, Validation, described_error


def usable_pairs(config: RunConfig, corpus: Dataset) -> tuple[Dataset, FilterReport]:
    """Return the tokenised validation pairs without those that the model cannot take, and a report of these.

    These are pairs with a side that is longer than learned positions, or than the longest training pair and a whole
    batch: what would not fit into memory, and so would end every validation. Sources are cut where those of training
    are.

    Raises:
        ValueError: no pair is left.
    """
    data = config.data
    longest = max(validation_budget(config), data.max_source_tokens + data.max_target_tokens)
    if config.model.longest is not None:
        longest = min(longest, config.model.longest)
    cut_at = cut_length(config)
    rows, report = filter_pairs(
        *corpus_lengths(corpus),
        max_source_tokens=longest if cut_at is None else cut_at,
        max_target_tokens=longest,
        cut_sources=cut_at is not None,
        empty_source_length=-1,
        empty_target_length=-1,
    )
    if len(corpus) and not len(rows):
        raise ValueError(f"No validation pair is left that has no more than {longest} tokens a side: {report}.")
    return (corpus if report.kept == report.rows else corpus.select(rows)), report


def validation_budget(config: RunConfig) -> int:
    """Return the tokens of a batch whose loss is measured."""
    return config.validation.batch_tokens or config.data.batch_tokens


def build_validation(
    config: RunConfig,
    model: torch.nn.Module,
    tokenizer: TextTokenizer,
    corpus: Dataset,
    accelerator: Accelerator,
    companions: Companions | None,
) -> Validation:
    """Return how the model, as prepared by the accelerator, is judged on these pairs."""
    return Validation(
        accelerator=accelerator,
        model=model,
        objective=CrossEntropy(label_smoothing=label_smoothing_of(config)),  # comparable, whatever is trained
        batches=lambda: ValidationLoader(
            corpus,
            tokenizer,
            longest_source=cut_length(config),
            batch_tokens=validation_budget(config),
            num_processes=accelerator.num_processes,
            process_index=accelerator.process_index,
            arrange=companions.validation if companions else Arranged(config.model.generation_order),
        ),
        decode=build_validation_decoder(config, model, tokenizer, corpus, accelerator),
        num_starts=num_starts(config.model.generation_order),
        select_by=config.validation.select_by,
        patience=config.validation.patience,
    )


def build_validation_decoder(
    config: RunConfig, model: torch.nn.Module, tokenizer: TextTokenizer, corpus: Dataset, accelerator: Accelerator
) -> Callable[[], dict[str, float]] | None:
    """Return the function that decodes the validation pairs and scores them, or None without metrics.

    It raises `DecodingFailed`, on all processes alike, if one of them could not decode its share.

    Raises:
        ValueError: the model is sharded, so that no process could decode by itself.
    """
    if not config.validation.metrics:
        return None
    pairs = decoded_pairs(config, corpus)
    bare_model = accelerator.unwrap_model(model)
    decoder = build_decoder(config, tokenizer, accelerator)

    def decode() -> dict[str, float]:
        texts = decoder(bare_model, pairs)
        return scores_of(texts, pairs.references, config.validation.metrics, **told_metrics(config.validation))

    return decode


class DecodedPairs(NamedTuple):
    """What a validation decodes."""

    sources: list[str]
    references: list[list[str]]
    languages: list[Languages]
    """Of each pair, where rows say them; otherwise none."""


def decoded_pairs(config: RunConfig, corpus: Dataset) -> DecodedPairs:
    """Return the pairs of a corpus that a validation decodes."""
    rows = corpus.select(range(min(config.validation.max_rows or len(corpus), len(corpus))))
    columns = [name for name in (*LANGUAGES, "source", "target") if name in rows.column_names]
    table = rows.with_format("arrow").select_columns(columns)[:]
    references = [[target] for target in table["target"].to_pylist()]
    return DecodedPairs(table["source"].to_pylist(), references, said_languages(table))


def build_decoder(
    config: RunConfig, tokenizer: TextTokenizer, accelerator: Accelerator
) -> Callable[[Any, DecodedPairs], list[str]]:
    """Return the function from a model and pairs to the texts of their sources; all processes call it, and share these.

    It raises `DecodingFailed`, on all processes alike, if one of them could not decode its share.

    Raises:
        ValueError: the model is sharded, so that no process could decode by itself.
    """
    if accelerator.distributed_type.value == "FSDP":
        raise ValueError("Under FSDP no process holds the whole model: leave `validation.metrics` empty.")
    batch_tokens = config.validation.batch_tokens or BATCH_TOKENS
    index, num_processes = accelerator.process_index, accelerator.num_processes
    cut_at = cut_length(config)
    shortened = tokenizer if cut_at is None else tokenizer.cutting_sources(cut_at)
    start = kept_start(Path(config.run_directory))

    def decoded_share(model: Any, pairs: DecodedPairs) -> list[str]:
        sources, languages = pairs.sources[index::num_processes], pairs.languages[index::num_processes]
        copy = decoding_copy(model, PRECISIONS[config.training.precision])
        found = [""] * len(sources)
        for spoken, places in rows_by_languages(languages or [(None, None)] * len(sources)).items():
            search, speaker = validation_search(config, model.max_target_tokens), shortened.speaking(*spoken)
            if start is not None:
                _, framed, rules = with_languages(model, speaker, start.rules(model), (None, None))
                search, speaker.target_start = rules.applied(search), framed.target_start
            searcher = InProcess(copy, search, accelerator.device)
            texts = decode_lines([sources[place] for place in places], searcher, speaker, batch_tokens)
            for place, nbest in zip(places, texts, strict=True):
                found[place] = nbest.text
        return found

    def decode(model: Any, pairs: DecodedPairs) -> list[str]:
        share, problem = [], None
        try:
            share = decoded_share(model, pairs)
        except Exception as error:  # the others wait for this process, so it must tell them
            problem = described_error(error)
        shares, problems = zip(*gather_object([(share, problem)]), strict=True)
        if any(problems):
            raise DecodingFailed(next(filter(None, problems)))
        return in_input_order(shares)

    return decode


def validation_search(config: RunConfig, max_target_tokens: int | None) -> Search:
    """Return the search of a validation: that of decoding, by a beam of the validation's width, without `mbr`."""
    order = config.model.generation_order
    chosen = {"method": "beam", "beam_width": config.validation.beam_width, "n_best": 1, "mbr": "none"}
    if order == "interleaved":
        chosen["rescore"] = "none"  # it takes a second model, which a training has not
    beam = changed_search(config.decoding, chosen, order)
    return complete_search(within_reach(beam, max_target_tokens), order, None)


def in_input_order(shares: Sequence[Sequence[str]]) -> list[str]:
    """Return the items of process r of n, which are numbers r, r + n, …, in their order."""
    texts = [""] * sum(map(len, shares))
    for index, share in enumerate(shares):
        texts[index :: len(shares)] = share
    return texts


def told_metrics(options: ValidationOptions) -> dict[str, str]:
    """Return what the metrics of a validation are told."""
    return {"sentence_separator": options.sentence_separator} if options.sentence_separator else {}


def scores_of(
    texts: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str], **options: str
) -> dict[str, float]:
    """Return the value of each metric by its name."""
    found = score_texts(texts, references, metrics, **options)
    return {name: score.value for name, score in zip(metrics, found, strict=True)}
