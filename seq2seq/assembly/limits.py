"""Lengths of a configuration that do not fit together."""

import math

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.search import inner_search
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.gradients.parameter_search import LENGTH_FACTOR, ParameterSearch
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.sequences import SequenceObjective


def check_limits(config: RunConfig) -> None:
    """Raise ValueError for sequences that are longer than the model has positions for."""
    positions = config.model.longest
    if positions is None:
        return
    for name, length in longest(config).items():
        if length > positions and config.model.positions == "learned":
            raise ValueError(
                f"{name} allows {length} tokens, but with `model.positions: learned` there are no more than "
                f"`model.max_positions` ({positions}); lower the one or raise the other."
            )
        if length > positions:
            raise ValueError(
                f"{name} allows {length} tokens, but the model that training starts with takes no more than "
                f"{positions}; lower it."
            )


def longest_source(config: RunConfig) -> int:
    """Return how many tokens a source may have in training; where long ones are cut, no more than positions."""
    bounds = [config.data.max_source_tokens]
    if config.data.long_sources == "cut" and config.model.longest is not None:
        bounds.append(config.model.longest)
    return min(bounds)


def cut_length(config: RunConfig) -> int | None:
    """Return the tokens that sources are cut at in training and validation; None where they are not."""
    return longest_source(config) if config.data.long_sources == "cut" else None


def longest(config: RunConfig) -> dict[str, int]:
    """Return how long the sequences are that a run may put into its model, by the option that says so."""
    data, objective = config.data, config.objective
    lengths = {
        "`data.max_source_tokens`": longest_source(config),
        "`data.max_target_tokens`": data.max_target_tokens,  # companions are no longer either
    }
    if config.decoding is not None:
        searches = [inner_search(config.decoding)]
        if isinstance(config.decoding, MinimumBayesRisk):
            searches.append(config.decoding.samples)
        lengths["the `max_length` of `decoding`"] = max(
            search.max_length for search in searches if isinstance(search, SearchOptions)
        )
    if isinstance(objective, SequenceObjective):
        limits: CandidateSearch = config.objective.candidates
        of_references = math.ceil(data.max_target_tokens * limits.max_length_ratio)
        lengths["the `max_length` of `objective`"] = min(limits.max_length, of_references)
    if isinstance(config.gradient, ParameterSearch):  # whose hypotheses may be longer than references
        lengths["`data.max_target_tokens`"] = int(LENGTH_FACTOR * data.max_target_tokens)
    return lengths
