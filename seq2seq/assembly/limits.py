"""Lengths and counts of a configuration that are out of range or do not fit together."""

import math

from seq2seq.assembly.sequence_objective import SEQUENCE_OBJECTIVES
from seq2seq.config.schema import RunConfig
from seq2seq.gradients.parameter_search import LENGTH_FACTOR

COUNTS = {
    "training": ("log_every", "checkpoint_every", "average_checkpoints", "max_minutes"),
    "validation": ("every", "patience", "max_rows", "batch_tokens"),
}
"""Options of which 0 switches something off and no less is meant."""


def check_limits(config: RunConfig) -> None:
    """Raise ValueError for a count below 0, for more checkpoints to average than there will be, and for sequences that
    are longer than the model has positions for."""
    for section, names in COUNTS.items():
        for name in names:
            if not (value := getattr(getattr(config, section), name)) >= 0:
                raise ValueError(f"`{section}.{name}` must be 0 or more, but is {value}.")
    _check_average(config)
    if config.model.positions == "learned":
        for name, length in longest(config).items():
            if length > config.model.max_positions:
                raise ValueError(
                    f"`{name}` allows {length} tokens, but with `model.positions: learned` there are no more than "
                    f"`model.max_positions` ({config.model.max_positions}); lower the one or raise the other."
                )


def longest(config: RunConfig) -> dict[str, int]:
    """Return how long the sequences are that a run may put into its model, by the option that says so."""
    data, candidates = config.data, config.candidates
    lengths = {
        "data.max_source_tokens": data.max_source_tokens,
        "data.max_target_tokens": data.max_target_tokens,  # companions are no longer either
        "decoding.max_length": config.decoding.max_length,
    }
    if config.objective.kind in SEQUENCE_OBJECTIVES:
        of_references = math.ceil(data.max_target_tokens * candidates.max_length_ratio)
        lengths["candidates.max_length"] = min(candidates.max_length, of_references)
    if config.gradient.kind == "parameter_search":  # whose hypotheses may be longer than references
        lengths["data.max_target_tokens"] = int(LENGTH_FACTOR * data.max_target_tokens)
    return lengths


def _check_average(config: RunConfig) -> None:
    training = config.training
    every = training.checkpoint_every or training.max_steps
    if training.average_checkpoints * every >= training.max_steps + every:
        raise ValueError(
            f"`training.average_checkpoints` is {training.average_checkpoints}, but {training.max_steps} steps with a "
            f"checkpoint every {every} leave fewer; lower it or `training.checkpoint_every`."
        )
