"""From a configuration to a trained, exported model; read it from top to bottom.

configuration → corpora → tokenizer → batches → model → objective, optimizer → trainer → finishing.
"""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from torch.optim import Optimizer

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.companions import Companions, prepare_companions
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.continuing import Continuation
from seq2seq.assembly.data import build_data, build_loader
from seq2seq.assembly.examination import warn_of_data
from seq2seq.assembly.finishing import finish, next_commands
from seq2seq.assembly.guard import Guards, guard_corpora
from seq2seq.assembly.model import check_start, initialize_from
from seq2seq.assembly.model_card import write_card
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, MODEL_FOLDER, read_model
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.process import keep_freed_memory, prepare_process, several_are_launched
from seq2seq.assembly.run_directory import RunFiles, enter_run_directory, occupied
from seq2seq.assembly.stages import stages
from seq2seq.assembly.start import kept_start, with_start
from seq2seq.assembly.teaching import with_taught_targets
from seq2seq.assembly.validation import build_validation, usable_pairs
from seq2seq.assembly.ways_of_training import build_gradient_rule, build_objective
from seq2seq.config.writing import settings
from seq2seq.data.corpus import Dataset
from seq2seq.data.filters import FilterReport
from seq2seq.data.loader import TrainingLoader
from seq2seq.data.streaming import StreamingLoader
from seq2seq.models.loading import load_model
from seq2seq.models.modes import evaluating
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.recomputation import recompute_layers
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.checkpoint import Checkpoints, TrainingState
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.freezing import Counts, freeze
from seq2seq.training.lora import adapt
from seq2seq.training.loss_by_position import loss_by_position
from seq2seq.training.optimizer import build_optimizer
from seq2seq.training.schedules import schedule_named
from seq2seq.training.tracking import Tracker
from seq2seq.training.trainer import Trainer


def train_in_stages(config: RunConfig, *, is_planned: bool = False) -> TrainingState:
    """Run the trainings that a configuration stands for, each on the processes of the one before.

    Args:
        is_planned: whether somebody has said by now what is odd about the pairs, and will say what to do next.

    Returns:
        Where the last of them ended.

    Raises:
        ValueError: as for `train_stage`.
    """
    configs = stages(with_precision(with_start(config)))
    for stage in configs:
        check_config(stage)  # all before the first, which may take hours
    for stage in configs:
        state = train_stage(stage, is_planned=is_planned)
    if not is_planned and PartialState().is_main_process:
        print("Decode a test set, and score it, by", *next_commands(configs[-1]), sep="\n  ", flush=True)
    return state


def train_stage(config: RunConfig, *, is_planned: bool = False) -> TrainingState:
    """Run one training of a configuration: prepare or resume, train, validate, export, draw; return where it ended.

    Raises:
        ValueError: anything in the configuration or the data that the user must change.
    """
    config = with_start(config)
    check_config(config)
    check_start(config)
    prepare_process(config.training.threads)
    if config.training.precision == "auto":
        config = with_precision(config)
    precision = config.training.precision
    assert precision != "auto", "it is one of the others by now"
    several_are_launched()  # or nobody is waited for
    accelerator = build_accelerator(precision)
    with occupied(Path(config.run_directory), accelerator):
        state = train_alone(config, accelerator, is_planned=is_planned)
    accelerator.wait_for_everyone()
    return state


def train_alone(config: RunConfig, accelerator: Accelerator, *, is_planned: bool = False) -> TrainingState:
    """Run a whole training in a run directory in which no other run is."""
    with accelerator.main_process_first():
        folder = enter_run_directory(config, is_main_process=accelerator.is_main_process)
    learned = with_taught_targets(config, folder, accelerator)
    with accelerator.main_process_first():
        data = build_data(learned, folder)
        guarded = guard_corpora(config, data.tokenizer)
    tokenizer, train_corpus, validation_corpus, fingerprints, mixture = data
    if accelerator.is_main_process and not is_planned:
        warn_of_data(config, data)
    validation_corpus, validation_report = usable_pairs(config, validation_corpus)
    companions = prepare_companions(config, folder, train_corpus, validation_corpus, tokenizer, accelerator)
    loader = build_loader(config, train_corpus, tokenizer, accelerator, companions, mixture)
    export = ModelExport.of(config, tokenizer, kept_start(folder))
    trainer = build_trainer(config, folder, export, loader, validation_corpus, accelerator, companions)
    keep_freed_memory()  # only now: what loading and building freed is with the system again
    trainer.when_resumed = build_continuation(config, folder, fingerprints, loader, accelerator)
    report_data(config, loader, validation_report, trainer, accelerator)
    guards = Guards.of(config, folder, guarded, trainer.model, accelerator)
    if guards is not None:
        guards.start(trainer.tracker)
    state = trainer.run()
    if companions is not None:
        report_positions(trainer, accelerator)
    if accelerator.is_main_process:
        trainer.checkpoints.check_place()
        step = finish(config, folder, export, state)
    if guards is not None:
        accelerator.wait_for_everyone()
        load = partial(load_model, device=accelerator.device, trainable=True)
        exported: Any = read_model(folder / MODEL_FOLDER, load)
        if guards.end(exported, trainer.tracker, state.step):
            write_card(folder / MODEL_FOLDER, folder, config, exported, tokenizer, step)
    return state


def build_continuation(
    config: RunConfig,
    folder: Path,
    fingerprints: dict[str, str],
    loader: TrainingLoader | StreamingLoader,
    accelerator: Accelerator,
) -> Continuation:
    """Return what fits a checkpoint's state to the data of now."""
    record = fingerprints | {
        "batch_tokens": str(config.data.batch_tokens),
        "gradient_accumulation": str(config.training.gradient_accumulation),
        "num_processes": str(accelerator.num_processes),
    }
    return Continuation(folder, record, loader.epoch_again, config.training.accept_changed_data)


def report_data(
    config: RunConfig,
    loader: TrainingLoader | StreamingLoader,
    validation_report: FilterReport,
    trainer: Trainer,
    accelerator: Accelerator,
) -> None:
    """Say on the screen and in the log what the data became."""
    counts = Counts.of(accelerator.unwrap_model(trainer.model))
    facts: dict[str, Any] = {"parameters": counts.all, "parameters_in_training": counts.trained}
    text = str(counts)
    if isinstance(loader, TrainingLoader):
        plan = loader.plan(0)
        facts |= loader.filter_report.as_dict() | {"batches": len(plan.batches), "padding_share": plan.padding_share}
        text += (
            f"; {loader.filter_report}; {len(plan.batches)} micro-batches an epoch, {plan.padding_share:.1%} padding"
        )
        if loader.mixed is not None:
            shares = loader.mixed.shares()
            facts |= {"corpora": {share.label: share.numbers() for share in shares}}
            text += "".join(f"\n  {share}" for share in shares)
    if validation_report.kept < validation_report.rows or validation_report.cut_source:
        facts |= {f"validation_{name}": count for name, count in validation_report.as_dict().items()}
        text += f"; of the validation pairs, {validation_report}"
    if accelerator.is_main_process:
        trainer.tracker.log("data", 0, facts)
        print(f"{config.run_directory}: {text}", flush=True)


def report_positions(trainer: Trainer, accelerator: Accelerator) -> None:
    """Say in which quarter of the validation targets the loss is what, beside companions; see `loss_by_position`.

    A run that had ended has said so already.
    """
    if broadcast_object_list([trainer.tracker.has("positions", trainer.max_steps)])[0]:
        return
    model = accelerator.unwrap_model(trainer.model)
    assert trainer.validation is not None, "a trainer that is built here validates"
    with evaluating(model):
        losses = loss_by_position(model, trainer.validation.batches(), accelerator.reduce)
    if accelerator.is_main_process:
        trainer.tracker.log("positions", trainer.max_steps, losses)
        shown = ", ".join(f"{loss:.3f}" for loss in losses.values())
        print(f"Validation loss beside companions, by quarters of the targets: {shown}", flush=True)


# ---- trainer ---------------------------------------------------------------------------------------------------------


def build_trainer(
    config: RunConfig,
    folder: Path,
    export: ModelExport,
    loader: TrainingLoader | StreamingLoader,
    validation_corpus: Dataset,
    accelerator: Accelerator,
    companions: Companions | None = None,
) -> Trainer:
    """Return the trainer with a fresh model; it resumes by itself from the run's checkpoints."""
    training, optimization, tokenizer = config.training, config.optimizer, export.tokenizer
    max_steps = num_steps(config, loader, accelerator.num_processes)
    torch.manual_seed(training.seed)
    bare_model = Seq2SeqTransformer(export.model_config)
    if training.initialize_from is not None:
        read_model(training.initialize_from, partial(initialize_from, bare_model))
    freeze(
        bare_model,
        training.freeze,
        encoder_layers=training.freeze_encoder_layers,
        decoder_layers=training.freeze_decoder_layers,
    )
    adapt(bare_model, config.lora)
    if training.activation_checkpointing:
        recompute_layers(bare_model)
    model, optimizer = accelerator.prepare(bare_model, optimizer_of(config, bare_model, accelerator))
    ema = ExponentialMovingAverage(model, optimization.ema_decay) if optimization.ema_decay else None
    return Trainer(
        accelerator=accelerator,
        model=model,
        objective=build_objective(config, tokenizer, accelerator.device),
        gradient_rule=build_gradient_rule(config, tokenizer, accelerator),
        optimizer=optimizer,
        schedule=schedule_named(
            optimization.schedule,
            warmup_steps=optimization.warmup_steps,
            max_steps=max_steps,
            learning_rate=optimization.learning_rate,
            final_learning_rate=optimization.final_learning_rate,
        ),
        loader=loader,
        checkpoints=Checkpoints(
            folder / CHECKPOINTS_FOLDER,
            accelerator=accelerator,
            model=model,
            optimizer=optimizer,
            ema=ema,
            keep_checkpoints=max(training.keep_checkpoints, training.average_checkpoints),
            check_place=RunFiles.of(folder).check if accelerator.is_main_process else lambda: None,
            when_best=partial(export.write_best, folder),
        ),
        tracker=Tracker(
            folder, trackers=training.tracker, parameters=settings(config), enabled=accelerator.is_main_process
        ),
        validation=build_validation(config, model, tokenizer, validation_corpus, accelerator, companions),
        ema=ema,
        seed=training.seed,
        max_steps=max_steps,
        max_minutes=training.max_minutes,
        gradient_accumulation=training.gradient_accumulation,
        clip_norm=optimization.clip_norm,
        flooding=optimization.flooding,
        log_every=training.log_every,
        checkpoint_every=training.checkpoint_every,
        validate_every=config.validation.every,
    )


def optimizer_of(config: RunConfig, model: Seq2SeqTransformer, accelerator: Accelerator) -> Optimizer:
    """Return the optimizer of a run.

    Raises:
        ValueError: it does not go with the processes.
    """
    options = config.optimizer
    if options.name != "adamw" and accelerator.distributed_type.value == "FSDP":
        raise ValueError("Under FSDP no process holds whole matrices: set `optimizer.name: adamw`.")
    return build_optimizer(
        model,
        name=options.name,
        learning_rate=options.learning_rate,
        betas=options.betas,
        epsilon=options.epsilon,
        weight_decay=options.weight_decay,
    )


def num_steps(config: RunConfig, loader: TrainingLoader | StreamingLoader, num_processes: int) -> int:
    """Return the steps of a run: `max_steps`, or what `max_epochs` come to if that is less.

    Raises:
        ValueError: that is less than the checkpoints that are to be averaged need.
    """
    training = config.training
    if not training.max_epochs:
        return training.max_steps
    assert isinstance(loader, TrainingLoader), "`checks` refuses epochs of a stream"
    batches_a_step = training.gradient_accumulation * num_processes
    steps = math.ceil(training.max_epochs * len(loader.plan(0).batches) / batches_a_step)
    chosen = min(training.max_steps, max(steps, 1))
    replace(training, max_steps=chosen)  # raises for options that do not fit so few
    return chosen
