"""Whether a model and its export for CTranslate2 say the same, and how fast either is.

Enter a generator, the exported folder and lines; leaves how many lines get the same tokens, and with which scores. Both
sides run CTranslate2's beam search with the run's beam width, length penalty and length limit. Options of the run that
CTranslate2 understands differently are left out.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from seq2seq.assembly.generator import TextGenerator
from seq2seq.assembly.search import inner_search
from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.data.cutting import smallest
from seq2seq.decoding import SEARCHES, Search
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.options import BeamOptions, SearchOptions
from seq2seq.decoding.running.in_process import pad_sources
from seq2seq.engines.ctranslate2_engine import MAX_POSITIONS, require_ctranslate2
from seq2seq.engines.ctranslate2_vocabulary import saved_vocabularies
from seq2seq.generation.corpus import truncated
from seq2seq.generation.hypothesis import Hypothesis, found_or_error
from seq2seq.models.interface import Seq2Seq

DIFFERENT_OPTIONS = (
    "length_normalization",  # it has length^p alone
    "max_length_ratio",  # its limit is one for all sentences
    "min_length",  # it shares the probability of what is forbidden among the rest
    "no_repeat_ngram",  # the same
)
"""Search options that CTranslate2 lacks or gives another meaning, unless they have their default."""


@dataclass(frozen=True)
class Parity:
    """What a comparison found; `largest_score_difference` is over lines with the same tokens, NaN where none has."""

    num_lines: int
    num_equal: int
    largest_score_difference: float
    seconds: float
    ctranslate2_seconds: float
    compute_type: str
    """What CTranslate2 computes in: a processor may lack the type of the weights."""


def different_options(search: Search) -> dict[str, Any]:
    """Return those options of a run's search that CTranslate2 cannot follow, or the search itself as `search`."""
    plain, defaults = inner_search(search), SearchOptions()
    assert isinstance(plain, SearchOptions), "a search of one model has limits"
    values = {name: getattr(plain, name) for name in DIFFERENT_OPTIONS}
    different = {name: value for name, value in values.items() if value != getattr(defaults, name)}
    kind = next(name for name, kind in SEARCHES.items() if type(search) is kind)
    return different if kind in ("greedy", "beam") else {"search": kind} | different


def comparable_search(search: Search) -> BeamSearch:
    """Return the beam search that both sides can run and that is nearest to a run's search.

    CTranslate2 ends a sentence when `beam_width` hypotheses have finished; but without length penalty when nothing
    better can come, as we do without early stopping.
    """
    plain = inner_search(search)
    assert isinstance(plain, SearchOptions), "a search of one model has limits"
    return BeamSearch(
        beam_width=plain.beam_width if isinstance(plain, BeamOptions) else 1,
        length_penalty=plain.length_penalty,
        max_length=plain.max_length,
        early_stopping=plain.length_penalty != 0,
    )


def measure_parity(folder: Path, generator: TextGenerator, lines: Iterable[str]) -> Parity:
    """Decode the lines, but not those without any token, with a model on the CPU and with its export.

    Raises:
        ValueError: CTranslate2 is missing, or no line has a token.
    """
    search, budget = comparable_search(generator.search), generator.batch_tokens
    sources = encoded_sources(generator, lines)
    source_tokens, target_tokens = saved_vocabularies(folder)
    target_start = generator.tokenizer.target_start
    inputs = [[source_tokens[index] for index in source[:-1]] for source in sources]
    translator = open_translator(folder)

    start = time.perf_counter()
    ours = best_hypotheses(generator.model, sources, search, budget, target_start)
    middle = time.perf_counter()
    theirs = translate(translator, inputs, search, budget, [target_tokens[index] for index in target_start])
    end = time.perf_counter()

    differences = [
        abs(hypothesis.normalized_score - score)
        for hypothesis, (tokens, score) in zip(ours, theirs, strict=True)
        if [target_tokens[index] for index in hypothesis.tokens] == tokens
    ]
    return Parity(
        num_lines=len(sources),
        num_equal=len(differences),
        largest_score_difference=max(differences, default=math.nan),
        seconds=middle - start,
        ctranslate2_seconds=end - middle,
        compute_type=translator.compute_type,
    )


def encoded_sources(generator: TextGenerator, lines: Iterable[str]) -> list[list[int]]:
    """Return the ids of each line that has any before end of sentence, cut where CTranslate2 cuts."""
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    encoded = generator.tokenizer.encode_sources([generator.source_prefix + line for _, line in numbered])
    longest = smallest((generator.max_source_tokens, generator.model.max_source_tokens, MAX_POSITIONS))
    sources = [source for source in truncated(encoded, longest, [n for n, _ in numbered]) if len(source) > 1]
    if not sources:
        raise ValueError("There is nothing to compare the two models on: no line holds any text.")
    return sources


def best_hypotheses(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    search: BeamSearch,
    batch_tokens: int,
    target_start: Sequence[int] = (),
) -> list[Hypothesis]:
    """Return each source's best hypothesis that begins with `target_start`, in the order of the sources."""
    best: dict[int, Hypothesis] = {}
    lengths = numpy.array([len(source) for source in sources])
    for batch in length_sorted_batches(lengths, batch_tokens=batch_tokens, beam_width=search.width):
        input_ids, attention_mask = pad_sources([sources[i] for i in batch])
        prefixes = [target_start] * len(batch) if target_start else None
        found = found_or_error(search.search(model, input_ids, attention_mask, prefixes))
        best.update((i, hypotheses[0]) for i, hypotheses in zip(batch, found, strict=True))
    return [best[i] for i in range(len(sources))]


def open_translator(folder: Path) -> Any:
    """Return CTranslate2's translator on the CPU, with as many threads as torch has."""
    return require_ctranslate2().Translator(
        str(folder), device="cpu", compute_type="default", inter_threads=1, intra_threads=torch.get_num_threads()
    )


def translate(
    translator: Any, inputs: list[list[str]], search: BeamSearch, batch_tokens: int, start: list[str]
) -> list[tuple[list[str], float]]:
    """Return each input's best tokens, which begin with `start`, end of sentence included, and their score."""
    results = translator.translate_batch(
        inputs,
        target_prefix=[start] * len(inputs) if start else None,
        beam_size=search.beam_width,
        length_penalty=search.length_penalty,
        max_decoding_length=search.max_length,
        min_decoding_length=0,  # by default it forbids to end at once
        max_input_length=0,
        max_batch_size=max(1, batch_tokens // search.beam_width),
        batch_type="tokens",
        return_scores=True,
        return_end_token=True,  # so that end of sentence counts in the length, as ours does
    )
    return [(result.hypotheses[0], result.scores[0]) for result in results]
