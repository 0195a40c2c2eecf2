"""One configuration as the runs it stands for, each an ordinary run that begins where the one before ended."""

from dataclasses import replace
from pathlib import Path

from seq2seq.config.schema import CompanionsConfig, RunConfig

FIRST_STAGE = "first_stage"
"""Folder of the first stage in the run directory."""


def stages(config: RunConfig) -> list[RunConfig]:
    """Return the configurations to be run in turn: with `companions.model: self` two, otherwise one.

    The first learns both directions without interaction; the second starts with its weights, and with companions that
    it has generated.

    Raises:
        ValueError: a first stage has no steps.
    """
    if config.companions.model != "self":
        return [config]
    if config.companions.first_steps < 1:
        raise ValueError("`companions.model: self` has a first stage; give its steps as `companions.first_steps`.")
    first = replace(
        config,
        run_directory=str(Path(config.run_directory) / FIRST_STAGE),
        model=replace(config.model, interaction="none"),
        training=replace(config.training, max_steps=config.companions.first_steps),
        companions=CompanionsConfig(),
    )
    second = replace(
        config,
        training=replace(config.training, initialize_from=first.run_directory),
        companions=replace(config.companions, model=first.run_directory, first_steps=0),
    )
    return [first, second]
