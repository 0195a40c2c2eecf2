"""Companions of a run's pairs: texts that models generate (`companion_texts`), what may leak, and rows for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from seq2seq.build.companion_texts import DIRECTIONS, CompanionTexts, Texts
from seq2seq.build.run_directory import COMPANIONS_FOLDER
from seq2seq.config.schema import CompanionsConfig, RunConfig
from seq2seq.data.companions import CompanionRows, share_identical
from seq2seq.data.corpus import Corpus, Dataset
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.metrics import make_metric
from seq2seq.training.tracking import Tracker


@dataclass(frozen=True)
class Companions:
    """Rows with companions: for training, and of the validation pairs, where only references are scored."""

    train: CompanionRows
    validation: CompanionRows


def prepare_companions(
    config: RunConfig,
    folder: Path,
    train_corpus: Corpus,
    validation_corpus: Dataset,
    tokenizer: TextTokenizer,
    accelerator: Accelerator,
) -> Companions | None:
    """Return rows with companions, which are generated or read, or None for a run without any."""
    companions, seed = config.companions, config.training.seed
    if companions.model is None:
        return None
    limits = {"n_best": 1, "max_length": config.data.max_target_tokens, "mbr": "none"}
    options = {"beam_width": companions.beam_width} | limits
    texts = CompanionTexts(folder / COMPANIONS_FOLDER, tokenizer, options, accelerator)
    train = training_texts(texts, companions, list(train_corpus["source"]))
    validation = texts.of("validation", list(validation_corpus["source"]), companions.model)
    if accelerator.is_main_process:
        found = leaks(train, list(train_corpus["target"]), validation, list(validation_corpus["target"]))
        Tracker(folder, tensorboard=False).log("companions", 0, found)
        print(
            f"{config.run_directory}: {found['identical']:.1%} of the companions are the reference; their BLEU is "
            f"{found['bleu_gap']:+.1f} on training against validation pairs",
            flush=True,
        )
    return Companions(
        CompanionRows(*_ids(train, tokenizer), seed, companions.dropout, companions.scored),
        CompanionRows(*_ids(validation, tokenizer), seed, dropout=0.0, is_scored=False),
    )


def training_texts(texts: CompanionTexts, config: CompanionsConfig, sources: Sequence[str]) -> Texts:
    """Return what the model makes of the training sources, or of each fold the model that has not seen it."""
    if not config.fold_models:
        assert config.model is not None, "a run without companions needs no texts"
        return texts.of("train", sources, config.model)
    joined: Texts = {direction: [""] * len(sources) for direction in DIRECTIONS}
    for fold, model in enumerate(config.fold_models):
        part = slice(fold, None, len(config.fold_models))
        for direction, found in texts.of(f"train-{fold}", sources[part], model).items():
            joined[direction][part] = found
    return joined


def leaks(train: Texts, targets: list[str], validation: Texts, validation_targets: list[str]) -> dict[str, float]:
    """Return `identical`, the share of companions that are the reference, and `bleu_gap`, by how much their BLEU is
    higher for training pairs than for validation pairs.

    A large gap means that the model knows its training pairs by heart.
    """
    count = len(validation_targets)
    identical = [share_identical(train[d], targets) for d in DIRECTIONS]
    known = [_bleu(train[d][:count], targets[:count]) for d in DIRECTIONS]
    unseen = [_bleu(validation[d], validation_targets) for d in DIRECTIONS]
    return {"identical": sum(identical) / 2, "bleu_gap": (sum(known) - sum(unseen)) / 2}


def _bleu(texts: list[str], references: list[str]) -> float:
    metric = make_metric("bleu")
    return metric.score(metric.statistics(texts, [[text] for text in references]).sum(0)).value


def _ids(texts: Texts, tokenizer: TextTokenizer) -> tuple[list[list[int]], list[list[int]]]:
    return tokenizer.encode_targets(texts["l2r"]), tokenizer.encode_targets(texts["r2l"])
