"""From a configuration to a trained, exported model; read it from top to bottom.

configuration → corpora → tokenizer → batches → model → objective, optimizer → trainer → run/model.
"""

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import gather_object

from seq2seq.build.export import chosen_checkpoints, export_model
from seq2seq.build.generator import PRECISIONS
from seq2seq.build.process import keep_freed_memory, prepare_process
from seq2seq.build.run_directory import CHECKPOINTS_FOLDER, MODEL_FOLDER, TOKENIZER_FOLDER, enter_run_directory
from seq2seq.build.search import build_search
from seq2seq.config.schema import CorpusConfig, DataConfig, RunConfig
from seq2seq.data.corpus import Corpus, Dataset, read_corpus
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, ValidationLoader, tokenize_corpus
from seq2seq.data.streaming import StreamingLoader
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.batches import InProcess
from seq2seq.decoding.corpus import decode_lines
from seq2seq.gradients.base import Backprop
from seq2seq.metrics import make_metric
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.packing import decoding_copy
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.checkpoint import Checkpoints, TrainingState
from seq2seq.training.curves import plot_curves
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.optimizer import build_optimizer
from seq2seq.training.schedules import schedule_named
from seq2seq.training.tracking import Tracker
from seq2seq.training.trainer import Trainer
from seq2seq.training.validation import Validation

STREAM_TOKENIZER_ROWS = 200_000
"""Pairs at the head of a stream that its tokenizer is trained on."""


def train(config: RunConfig) -> None:
    """Run a whole training: prepare or resume, train, validate, export, draw.

    Raises:
        ValueError: anything in the configuration or the data that the user must change.
    """
    check_config(config)
    transformers.utils.logging.disable_progress_bar()
    prepare_process(config.training.threads)
    keep_freed_memory()
    accelerator = build_accelerator(config.training.precision)
    with accelerator.main_process_first():
        folder = enter_run_directory(config)
        tokenizer, train_corpus, validation_corpus = build_data(config, folder)
    loader = build_loader(config, train_corpus, tokenizer, accelerator)
    model_config = build_model_config(config, tokenizer)
    trainer = build_trainer(config, folder, model_config, tokenizer, loader, validation_corpus, accelerator)
    report_data(config, loader, trainer, accelerator)
    state = trainer.run()
    if accelerator.is_main_process:
        finish(config, folder, model_config, tokenizer, state)
    accelerator.wait_for_everyone()
    accelerator.end_training()


def check_config(config: RunConfig) -> None:
    """Raise ValueError for options that do not fit together, before any work is done."""
    training, validation = config.training, config.validation
    for metric in validation.metrics:
        make_metric(metric)
    if validation.select_by != "loss" and validation.select_by not in validation.metrics:
        raise ValueError(
            f"`validation.select_by` is {validation.select_by!r}, which is neither `loss` nor one of "
            f"`validation.metrics` ({', '.join(validation.metrics) or 'none'})."
        )
    if training.average_checkpoints * training.checkpoint_every > training.max_steps:
        raise ValueError(
            f"`training.average_checkpoints` is {training.average_checkpoints}, but {training.max_steps} steps with a "
            f"checkpoint every {training.checkpoint_every} leave fewer; lower it or `training.checkpoint_every`."
        )
    build_search(asdict(config.decoding), config.model.generation_order)


# ---- data ------------------------------------------------------------------------------------------------------------


def build_data(config: RunConfig, folder: Path) -> tuple[TextTokenizer, Corpus, Dataset]:
    """Return tokenizer and corpora; the training corpus is tokenised unless it is a stream."""
    train_corpus = open_corpus(config.data.train, "data.train")
    validation_corpus = open_corpus(dataclasses.replace(config.data.validation, streaming=False), "data.validation")
    tokenizer = build_tokenizer(config, folder / TOKENIZER_FOLDER, train_corpus)
    workers = config.data.num_workers
    if not config.data.train.streaming:
        train_corpus = tokenize_corpus(train_corpus, tokenizer, num_workers=workers)
    return tokenizer, train_corpus, tokenize_corpus(validation_corpus, tokenizer, num_workers=workers)


def open_corpus(corpus: CorpusConfig, option: str) -> Corpus:
    """Return the corpus that a section describes; its name stands in the error of one that names no data."""
    if corpus.path is None and corpus.source is None and corpus.target is None:
        raise ValueError(f"`{option}` names no data: set `{option}.path`, or `{option}.source` and `{option}.target`.")
    return read_corpus(**asdict(corpus))


def build_tokenizer(config: RunConfig, folder: Path, corpus: Corpus) -> TextTokenizer:
    """Return the run's tokenizer: the one in `folder`, else one loaded or trained by the configuration, kept there."""
    if folder.is_dir():
        return TextTokenizer.load(folder, sampling=config.tokenizer.sampling)
    options = asdict(config.tokenizer)
    path, target_path = options.pop("path"), options.pop("target_path")
    if path is not None:
        tokenizer = TextTokenizer.from_pretrained(
            path, target_path, special_tokens=config.tokenizer.special_tokens, sampling=config.tokenizer.sampling
        )
    else:
        rows = corpus.take(STREAM_TOKENIZER_ROWS) if config.data.train.streaming else corpus
        sources = (row["source"] for row in rows)
        targets = (row["target"] for row in rows)
        tokenizer = TextTokenizer.train(sources, targets, **options)
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    tokenizer.save(temporary)
    temporary.replace(folder)
    return tokenizer


def build_loader(
    config: RunConfig, corpus: Corpus, tokenizer: TextTokenizer, accelerator: Accelerator
) -> TrainingLoader | StreamingLoader:
    """Return the endless stream of this process's micro-batches."""
    options = filter_options(config.data) | {
        "seed": config.training.seed,
        "num_processes": accelerator.num_processes,
        "process_index": accelerator.process_index,
        "arrange": Arranged(config.model.generation_order),
    }
    if config.data.train.streaming:
        return StreamingLoader(corpus, tokenizer, pool_rows=config.data.pool_rows, **options)
    return TrainingLoader(corpus, tokenizer, **options)


def filter_options(data: DataConfig) -> dict[str, Any]:
    """Return what decides which pairs are kept and how they are batched."""
    names = ("max_source_tokens", "max_target_tokens", "max_length_ratio", "batch_tokens", "max_batch_rows")
    return {name: getattr(data, name) for name in names}


def report_data(
    config: RunConfig, loader: TrainingLoader | StreamingLoader, trainer: Trainer, accelerator: Accelerator
) -> None:
    """Say on the screen and in the log what the training data became."""
    model = accelerator.unwrap_model(trainer.model)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    facts: dict[str, float] = {"parameters": num_parameters}
    text = f"{num_parameters:,} parameters"
    if isinstance(loader, TrainingLoader):
        plan = loader.plan(0)
        facts |= loader.filter_report.as_dict() | {"batches": len(plan.batches), "padding_share": plan.padding_share}
        text += (
            f"; {loader.filter_report}; {len(plan.batches)} micro-batches an epoch, {plan.padding_share:.1%} padding"
        )
    if accelerator.is_main_process:
        trainer.tracker.log("data", 0, facts)
        print(f"{config.run_directory}: {text}", flush=True)


# ---- model and trainer -----------------------------------------------------------------------------------------------


def build_model_config(config: RunConfig, tokenizer: TextTokenizer) -> Seq2SeqTransformerConfig:
    """Return the model's own configuration: the section, with what the tokenizer decides."""
    return Seq2SeqTransformerConfig(
        **asdict(config.model),
        vocab_size=tokenizer.target_vocab_size,
        source_vocab_size=tokenizer.source_vocab_size,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
    )


def build_trainer(
    config: RunConfig,
    folder: Path,
    model_config: Seq2SeqTransformerConfig,
    tokenizer: TextTokenizer,
    loader: TrainingLoader | StreamingLoader,
    validation_corpus: Dataset,
    accelerator: Accelerator,
) -> Trainer:
    """Return the trainer with a fresh model; it resumes by itself from the run's checkpoints."""
    training, optimization = config.training, config.optimizer
    torch.manual_seed(training.seed)
    bare_model = Seq2SeqTransformer(model_config)
    bare_optimizer = build_optimizer(
        bare_model,
        name=optimization.name,
        learning_rate=optimization.learning_rate,
        betas=optimization.betas,
        epsilon=optimization.epsilon,
        weight_decay=optimization.weight_decay,
    )
    model, optimizer = accelerator.prepare(bare_model, bare_optimizer)
    ema = ExponentialMovingAverage(model, optimization.ema_decay) if optimization.ema_decay else None
    objective = CrossEntropy(config.objective.label_smoothing)
    return Trainer(
        accelerator=accelerator,
        model=model,
        objective=objective,
        gradient_rule=Backprop(),
        optimizer=optimizer,
        schedule=schedule_named(
            optimization.schedule,
            warmup_steps=optimization.warmup_steps,
            max_steps=training.max_steps,
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
        ),
        tracker=Tracker(folder, tensorboard=training.tensorboard, enabled=accelerator.is_main_process),
        validation=Validation(
            accelerator=accelerator,
            model=model,
            objective=objective,
            batches=lambda: ValidationLoader(
                validation_corpus,
                tokenizer,
                batch_tokens=config.data.batch_tokens,
                num_processes=accelerator.num_processes,
                process_index=accelerator.process_index,
                arrange=Arranged(config.model.generation_order),
            ),
            decode=build_validation_decoder(config, model, tokenizer, validation_corpus, accelerator),
            select_by=config.validation.select_by,
            patience=config.validation.patience,
        ),
        ema=ema,
        seed=training.seed,
        max_steps=training.max_steps,
        max_minutes=training.max_minutes,
        gradient_accumulation=training.gradient_accumulation,
        clip_norm=optimization.clip_norm,
        clipping=optimization.clipping,
        flooding=optimization.flooding,
        log_every=training.log_every,
        checkpoint_every=training.checkpoint_every,
        validate_every=config.validation.every,
    )


def build_validation_decoder(
    config: RunConfig, model: torch.nn.Module, tokenizer: TextTokenizer, corpus: Dataset, accelerator: Accelerator
) -> Callable[[], dict[str, float]] | None:
    """Return the function that decodes the validation pairs and scores them, or None without metrics.

    Raises:
        ValueError: the model is sharded, so that no process could decode by itself.
    """
    validation = config.validation
    if not validation.metrics:
        return None
    if accelerator.distributed_type.value == "FSDP":
        raise ValueError("Under FSDP no process holds the whole model: leave `validation.metrics` empty.")
    rows = corpus.select(range(min(validation.max_rows or len(corpus), len(corpus))))
    sources, references = list(rows["source"]), [[target] for target in rows["target"]]
    options = asdict(config.decoding) | {"method": "beam", "beam_width": validation.beam_width, "n_best": 1}
    search = build_search(options, config.model.generation_order)
    bare_model = accelerator.unwrap_model(model)
    index, num_processes = accelerator.process_index, accelerator.num_processes

    def decode() -> dict[str, float]:
        share = sources[index::num_processes]
        copy = decoding_copy(bare_model, PRECISIONS[config.training.precision])
        searcher = InProcess(copy, search, accelerator.device)
        found = decode_lines(share, searcher, tokenizer, config.decoding.batch_tokens)
        texts = interleaved(gather_object([[nbest.text for nbest in found]]))
        return {name: score_of(name, texts, references) for name in validation.metrics}

    return decode


def interleaved(shares: Sequence[Sequence[str]]) -> list[str]:
    """Return the items of process r of n, which are numbers r, r + n, …, in their order."""
    texts = [""] * sum(map(len, shares))
    for index, share in enumerate(shares):
        texts[index :: len(shares)] = share
    return texts


def score_of(name: str, texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    metric = make_metric(name)
    return metric.score(metric.statistics(texts, references).sum(0)).value


# ---- the end ---------------------------------------------------------------------------------------------------------


def finish(
    config: RunConfig,
    folder: Path,
    model_config: Seq2SeqTransformerConfig,
    tokenizer: TextTokenizer,
    state: TrainingState,
) -> None:
    """Export the model, draw the curves, and say where both are."""
    checkpoints = chosen_checkpoints(folder / CHECKPOINTS_FOLDER, config.training.average_checkpoints, state.best.step)
    export_model(
        folder / MODEL_FOLDER,
        checkpoints,
        model_config,
        tokenizer,
        asdict(config.decoding),
        config.data.train.source_prefix,
    )
    steps = ", ".join(path.name for path in checkpoints)
    drawn = plot_curves(folder)
    print(f"Trained {state.step} steps in {state.seconds / 60:.1f} minutes; curves: {drawn or 'matplotlib is missing'}")
    print(f"Exported {steps} to {folder / MODEL_FOLDER}")
