"""One configuration as the runs it stands for, each an ordinary run that begins where others ended."""

from dataclasses import replace
from pathlib import Path

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.run_directory import COMPANIONS_FOLDER
from seq2seq.data.options import CompanionOptions, TeachingOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.models.transformer.options import without_interaction

FIRST_STAGE, FOLD, PART = "first_stage", "fold_{}", "part_{}"
TEACHER, RIGHT_TEACHER = "teacher", "right_teacher"
"""Folders in the run directory."""


def stages(config: RunConfig) -> list[RunConfig]:
    """Return the configurations to be run in turn: several with `companions.model: self` or `teaching.model: self`.

    Of companions the first learns both directions without interaction. With folds, as many others do, each without one
    part of the pairs. The last starts with the weights of the first, and with companions that the first has generated,
    or for each fold the model that has not seen it. With refreshes it is cut into parts, before each of which, but the
    first, a share of the companions is generated anew by the part before. For teaching see `taught_stages`.

    Raises:
        ValueError: a first stage has no steps, there is a single fold or a fold of folds, folds would begin with
            weights that know their pairs, or refreshes are more than the steps allow.
    """
    companions, teaching = config.companions, config.teaching
    if companions.model != "self" and teaching.model != "self":
        return [config]
    if config.data.guard:
        several = "companions" if companions.model == "self" else "teaching"
        raise ValueError(
            f"`data.guard` compares the beginning of one run with its end, but `{several}.model: self` makes several; "
            "leave it out, or train the stages as runs of their own."
        )
    if teaching.model == "self":
        return taught_stages(config)
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


def taught_stages(config: RunConfig) -> list[RunConfig]:
    """Return the training of a run's own teacher, that of the one from the right if it has one, and the run's.

    The later ones start with the weights of the first, whose rate of learning they need not reach again.

    Raises:
        ValueError: the later trainings have no steps, or the first is not from the left.
    """
    teaching, folder = config.teaching, Path(config.run_directory)
    if teaching.steps < 1:
        raise ValueError("`teaching.model: self` is followed by trainings; give their steps as `teaching.steps`.")
    if teaching.right_model == "self" and config.model.generation_order != "l2r":
        raise ValueError(
            "`teaching.right_model: self` is beside a model from the left, but `model.generation_order` is "
            f"{config.model.generation_order}; set it to l2r, or leave `right_model` out."
        )
    first = replace(config, run_directory=str(folder / TEACHER), teaching=TeachingOptions())
    validation = config.validation
    later = replace(
        config,
        training=replace(
            config.training,
            max_steps=teaching.steps,
            max_epochs=0.0,
            max_minutes=teaching.max_minutes,
            initialize_from=first.run_directory,
        ),
        optimizer=replace(
            config.optimizer,
            learning_rate=teaching.learning_rate,
            warmup_steps=None,
            final_learning_rate=min(config.optimizer.final_learning_rate, teaching.learning_rate),
        ),
        validation=replace(validation, every=min(validation.every, max(1, teaching.steps // 2))),
    )
    right = replace(
        later,
        run_directory=str(folder / RIGHT_TEACHER),
        model=replace(config.model, generation_order="r2l"),
        teaching=TeachingOptions(),
    )
    has_right = teaching.right_model == "self"
    resolved = TeachingOptions(
        model=first.run_directory,
        right_model=right.run_directory if has_right else teaching.right_model,
        beam_width=teaching.beam_width,
        rescoring_weight=teaching.rescoring_weight,
        source_language=teaching.source_language,
        target_language=teaching.target_language,
        folder=teaching.folder,
    )
    return [first, *([right] if has_right else []), replace(later, teaching=resolved)]


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
