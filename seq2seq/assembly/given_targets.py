"""What a generator's model says of targets that are given: their log-probabilities, and which words belong together.

A generator, sources and targets enter; the target is fed to the model token by token, whatever it would have said.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy

from seq2seq.data.cutting import cut_ids, smallest
from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.data.word_alignment import Alignment, aligned_tokens, aligned_words, words_of
from seq2seq.data.word_character_tokenizer import WordCharacterTokenizer
from seq2seq.decoding.algorithms.directions import read_from_right
from seq2seq.decoding.parts.forced_attention import forced_attention
from seq2seq.decoding.parts.options import OneSided, SearchOptions
from seq2seq.decoding.parts.teacher_forcing import target_log_probs
from seq2seq.generation.corpus import truncated
from seq2seq.generation.engine import each_text
from seq2seq.generation.hypothesis import Hypothesis, checked, failure
from seq2seq.generation.output import TextHypothesis
from seq2seq.models.interface import Seq2Seq

if TYPE_CHECKING:
    from seq2seq.assembly.generator import TextGenerator


@dataclass(frozen=True)
class GivenPairs:
    """Pairs as a model is fed them."""

    side: int
    """The end of the target that the model begins at."""
    sources: list[list[int]]
    """Token ids, cut where the model takes no more."""
    targets: list[list[int]]
    """Token ids in the order of generation, end of sentence last."""


def side_of(model: Seq2Seq, search: SearchOptions | None = None) -> int:
    """Return the end that targets are fed from: that of the model or, where it knows both, of the search."""
    order = model.generation_order
    if isinstance(search, OneSided) and search.generation_order != "auto":
        order = search.generation_order
    return RIGHT if order == "r2l" else LEFT


def given_pairs(
    generator: "TextGenerator",
    sources: Sequence[str],
    targets: Sequence[str],
    side: int,
    max_source_tokens: int | None = None,
    first_row: int = 0,
) -> GivenPairs:
    """Return pairs of texts as the model is fed them.

    Raises:
        ValueError: there are more or fewer targets than sources, or something is no text.
    """
    sources, targets = list(each_text(sources)), list(each_text(targets))
    if len(sources) != len(targets):
        raise ValueError(f"There are {len(targets)} targets for {len(sources)} sources; give one for each.")
    tokenizer = generator.tokenizer
    encoded = tokenizer.encode_sources([generator.source_prefix + source for source in sources])
    given = generator.max_source_tokens if max_source_tokens is None else max_source_tokens
    longest = smallest((given, generator.model.max_source_tokens))
    cut = truncated(encoded, longest, range(first_row + 1, first_row + 1 + len(encoded)))
    start = tokenizer.target_start
    generated = [
        ids if tuple(ids[: len(start)]) == start else [*start, *ids] for ids in tokenizer.encode_targets(targets)
    ]
    return GivenPairs(side, cut, [from_right(ids) for ids in generated] if side == RIGHT else generated)


def scored_targets(
    generator: "TextGenerator",
    targets: Sequence[str],
    pairs: GivenPairs,
    search: SearchOptions,
    batch_tokens: int | None = None,
) -> list[TextHypothesis]:
    """Return each target as a hypothesis with what the model gives it; see `TextGenerator.score_targets`."""
    model, longest = generator.model.from_side(pairs.side), generator.model.max_target_tokens
    is_long = [longest is not None and len(ids) > longest for ids in pairs.targets]
    fed = [ids[:1] if long else ids for ids, long in zip(pairs.targets, is_long, strict=True)]
    found = target_log_probs(model, pairs.sources, fed, generator.device, batch_tokens)
    results, start = [], generator.tokenizer.target_start
    for target, ids, long, log_probs in zip(targets, pairs.targets, is_long, found, strict=True):
        if not long:  # what every target begins with costs nothing here as in a search
            log_probs = [*[0.0] * len(start), *log_probs[len(start) :]]
        score = math.fsum(log_probs)
        normalized = score / search.divisor(len(ids))
        [hypothesis] = checked([Hypothesis(tuple(ids), tuple(log_probs), score, normalized, finished=True)])
        if long:
            hypothesis = failure(f"The target has {len(ids)} tokens, of which the model takes {longest}.")
        read = read_from_right(hypothesis) if pairs.side == RIGHT else hypothesis
        scored = TextHypothesis.create(read, generator.tokenizer)
        results.append(scored if hypothesis.error else replace(scored, text=target))
    return results


def aligned_targets(
    generator: "TextGenerator",
    pairs: GivenPairs,
    layer: int | None = None,
    unit: str = "words",
    batch_tokens: int | None = None,
) -> list[Alignment]:
    """Return which words or tokens of each pair belong together; see `TextGenerator.align`."""
    model, tokenizer = generator.model.from_side(pairs.side), generator.tokenizer
    longest = generator.model.max_target_tokens
    fed = [ids if longest is None else cut_ids(ids, longest) for ids in pairs.targets]
    prefix_words = len((generator.source_prefix + "x").split()) - 1  # what touches a source is of its first word
    results = []
    found = forced_attention(model, pairs.sources, fed, generator.device, layer, batch_tokens)
    for weights, source, target in zip(found, pairs.sources, fed, strict=True):
        if pairs.side == RIGHT:
            target, weights = from_right(target), numpy.concatenate([weights[:-1][::-1], weights[-1:]])
        if unit == "tokens":
            results.append(aligned_tokens(weights))
            continue
        side = tokenizer.source
        words = side.words(source) if isinstance(side, WordCharacterTokenizer) else words_of(source, side.decode)
        words = numpy.where(words >= prefix_words, words - prefix_words, -1)
        results.append(aligned_words(weights, words, words_of(target, tokenizer.decode_batch)))
    return results
