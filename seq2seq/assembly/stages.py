"""One configuration as the runs it stands for, each an ordinary run that begins where others ended."""

from dataclasses import replace
from pathlib import Path

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.run_directory import COMPANIONS_FOLDER
from seq2seq.data.options import CompanionOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.models.transformer.options import without_interaction

FIRST_STAGE, FOLD, PART = "first_stage", "fold_{}", "part_{}"
"""Folders in the run directory."""


def stages(config: RunConfig) -> list[RunConfig]:
    """Return the configurations to be run in turn: with `companions.model: self` several, otherwise one.

    The first learns both directions without interaction. With folds, as many others do, each without one part of the
    pairs. The last starts with the weights of the first, and with companions that the first has generated, or for each
    fold the model that has not seen it. With refreshes it is cut into parts, before each of which, but the first, a
    share of the companions is generated anew by the part before.

    Raises:
        ValueError: a first stage has no steps, there is a single fold or a fold of folds, folds would begin with
            weights that know their pairs, or refreshes are more than the steps allow.
    """
    companions = config.companions
    if companions.model != "self":
        return [config]
    if config.data.guard:
        raise ValueError(
            "`data.guard` compares the beginning of one run with its end, but `companions.model: self` makes several; "
            "leave it out, or train the stages as runs of their own."
        )
    if companions.first_steps < 1:
        raise ValueError("`companions.model: self` has a first stage; give its steps as `companions.first_steps`.")
    if companions.folds < 0 or companions.folds == 1:
        raise ValueError(f"`companions.folds` must be 0, or 2 or more, but is {companions.folds}.")
    if companions.folds and config.data.num_folds:
        raise ValueError("`companions.folds` deals the pairs into folds of its own; set `data.num_folds` to 0.")
    if companions.folds and config.training.initialize_from is not None:
        raise ValueError(
            f"With `companions.folds` every model would begin with the weights of {config.training.initialize_from}, "
            "which may know by heart the pairs that a fold leaves out. Train a run for each fold from weights that do "
            "not (`data.num_folds`, `data.left_out_fold`), and name them in `companions.fold_models`, and the run "
            "that has learned from all pairs in `companions.model`."
        )
    check_refreshes(config)
    folder = Path(config.run_directory)
    first = replace(
        config,
        run_directory=str(folder / FIRST_STAGE),
        model=without_interaction(config.model),
        training=replace(config.training, max_steps=companions.first_steps),
        companions=CompanionOptions(),
    )
    folds = [
        replace(
            first,
            run_directory=str(folder / FOLD.format(fold)),
            data=replace(config.data, num_folds=companions.folds, left_out_fold=fold),
            tokenizer=TokenizerOptions(from_run=first.run_directory, sampling=config.tokenizer.sampling),
        )
        for fold in range(companions.folds)
    ]
    interacting = replace(
        companions,
        model=first.run_directory,
        first_steps=0,
        folds=0,
        refreshes=0,
        fold_models=tuple(fold.run_directory for fold in folds),
    )
    return [first, *folds, *parts(replace(config, companions=interacting), first.run_directory, companions.refreshes)]


def parts(config: RunConfig, first: str, refreshes: int) -> list[RunConfig]:
    """Return the parts of training with interaction, in turn; without refreshes, the whole as one.

    All parts keep their companions in one folder, so that none is generated twice.

    Args:
        first: run that the first part starts from; each other starts from the part before.
    """
    companions, count = config.companions, refreshes + 1
    folder = Path(config.run_directory)
    runs = [*(str(folder / PART.format(part)) for part in range(count - 1)), config.run_directory]
    if count > 1 and companions.folder is None:
        companions = replace(companions, folder=str(folder / COMPANIONS_FOLDER))
    ends = [config.training.max_steps * part // count for part in range(count + 1)]
    return [
        replace(
            config,
            run_directory=run,
            training=replace(config.training, max_steps=ends[part + 1] - ends[part], initialize_from=before),
            companions=replace(companions, refreshed_by=tuple(runs[:part])),
        )
        for part, (run, before) in enumerate(zip(runs, [first, *runs], strict=False))
    ]


def check_refreshes(config: RunConfig) -> None:
    """Raise ValueError for refreshes that cannot be made."""
    companions, max_steps = config.companions, config.training.max_steps
    if companions.refreshes >= max_steps:
        raise ValueError(
            f"`companions.refreshes` must be below `training.max_steps` ({max_steps}), but is {companions.refreshes}."
        )
