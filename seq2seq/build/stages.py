"""One configuration as the runs it stands for, each an ordinary run that begins where others ended."""

from dataclasses import replace
from pathlib import Path

from seq2seq.config.schema import CompanionsConfig, RunConfig

FIRST_STAGE, FOLD = "first_stage", "fold_{}"
"""Folders in the run directory."""


def stages(config: RunConfig) -> list[RunConfig]:
    """Return the configurations to be run in turn: with `companions.model: self` several, otherwise one.

    The first learns both directions without interaction. With folds, as many others do, each without one part of the
    pairs. The last starts with the weights of the first, and with companions that the first has generated, or for each
    fold the model that has not seen it.

    Raises:
        ValueError: a first stage has no steps, or there is a single fold.
    """
    companions = config.companions
    if companions.model != "self":
        return [config]
    if companions.first_steps < 1:
        raise ValueError("`companions.model: self` has a first stage; give its steps as `companions.first_steps`.")
    if companions.folds < 0 or companions.folds == 1:
        raise ValueError(f"`companions.folds` must be 0, or 2 or more, but is {companions.folds}.")
    folder = Path(config.run_directory)
    first = replace(
        config,
        run_directory=str(folder / FIRST_STAGE),
        model=replace(config.model, interaction="none"),
        training=replace(config.training, max_steps=companions.first_steps),
        companions=CompanionsConfig(),
    )
    folds = [
        replace(
            first,
            run_directory=str(folder / FOLD.format(fold)),
            data=replace(config.data, num_folds=companions.folds, left_out_fold=fold),
            tokenizer=replace(config.tokenizer, from_run=first.run_directory),
        )
        for fold in range(companions.folds)
    ]
    last = replace(
        config,
        training=replace(config.training, initialize_from=first.run_directory),
        companions=replace(
            companions,
            model=first.run_directory,
            first_steps=0,
            folds=0,
            fold_models=tuple(fold.run_directory for fold in folds),
        ),
    )
    return [first, *folds, last]
