"""Companions of a run's pairs: texts that models generate (`companion_texts`), what may leak, and rows for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from seq2seq.assembly.companion_texts import DIRECTIONS, CompanionTexts, Texts
from seq2seq.assembly.run_directory import COMPANIONS_FOLDER
from seq2seq.config.schema import CompanionsConfig, RunConfig
from seq2seq.data.companions import CompanionRows, refreshed_rows, share_identical, share_run_away
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
    kept = folder / COMPANIONS_FOLDER if companions.folder is None else Path(companions.folder)
    texts = CompanionTexts(kept, tokenizer, options, accelerator)
    train, newest = training_texts(texts, companions, list(train_corpus["source"]), seed)
    validation = validation_texts(texts, companions, list(validation_corpus["source"]))
    ids, targets = _ids(train, tokenizer), list(train_corpus["target"])
    if accelerator.is_main_process:
        found = leaks(train, targets, newest, validation, list(validation_corpus["target"]))
        target_ids = tokenizer.encode_targets(targets)
        found["run_away"] = sum(share_run_away(companions_ids, target_ids) for companions_ids in ids) / 2
        Tracker(folder, tensorboard=False).log("companions", 0, found)
        print(
            f"{config.run_directory}: {found['identical']:.1%} of the companions are the reference, and "
            f"{found['run_away']:.1%} are left out for their length; their BLEU is {found['bleu_gap']:+.1f} on "
            "training against validation pairs",
            flush=True,
        )
    return Companions(
        CompanionRows(*ids, seed, companions.dropout, companions.scored),
        CompanionRows(*_ids(validation, tokenizer), seed, dropout=0.0, is_scored=False),
    )


def training_texts(
    texts: CompanionTexts, config: CompanionsConfig, sources: Sequence[str], seed: int
) -> tuple[Texts, Sequence[int]]:
    """Return the companions of all pairs, and the rows of those that the newest model has made.

    The first are what the model makes of the sources, or of each fold the model that has not seen it. Each refresh has
    put what a later model makes in pairs in the place of a share of them.
    """
    joined: Texts = {direction: [""] * len(sources) for direction in DIRECTIONS}
    newest: Sequence[int] = range(len(sources))

    def put(name: str, rows: Sequence[int], model: str, *, in_pairs: bool) -> None:
        for direction, found in texts.of(name, [sources[row] for row in rows], model, in_pairs=in_pairs).items():
            for row, text in zip(rows, found, strict=True):
                joined[direction][row] = text

    assert config.model is not None, "a run without companions needs no texts"
    for fold, model in enumerate(config.fold_models):
        put(f"train-{fold}", newest[fold :: len(config.fold_models)], model, in_pairs=False)
    if not config.fold_models:
        put("train", newest, config.model, in_pairs=False)
    for refresh, model in enumerate(config.refreshed_by):
        newest = refreshed_rows(len(sources), refresh, config.refreshed_share, seed).tolist()
        put(f"train-refreshed-{refresh}", newest, model, in_pairs=True)
    return joined, newest


def validation_texts(texts: CompanionTexts, config: CompanionsConfig, sources: Sequence[str]) -> Texts:
    """Return what the newest model makes of the validation sources."""
    assert config.model is not None, "a run without companions needs no texts"
    if not config.refreshed_by:
        return texts.of("validation", sources, config.model)
    name = f"validation-refreshed-{len(config.refreshed_by) - 1}"
    return texts.of(name, sources, config.refreshed_by[-1], in_pairs=True)


def leaks(
    train: Texts, targets: list[str], newest: Sequence[int], validation: Texts, validation_targets: list[str]
) -> dict[str, float]:
    """Return `identical`, the share of companions that are the reference, and `bleu_gap`, by how much their BLEU is
    higher for training pairs than for validation pairs.

    A large gap means that the model knows its training pairs by heart.

    Args:
        newest: rows of the training pairs whose companions come from the model that has made those for validation.
    """
    rows = newest[: len(validation_targets)]
    identical = [share_identical(train[d], targets) for d in DIRECTIONS]
    known = [_bleu([train[d][row] for row in rows], [targets[row] for row in rows]) for d in DIRECTIONS]
    unseen = [_bleu(validation[d], validation_targets) for d in DIRECTIONS]
    return {"identical": sum(identical) / 2, "bleu_gap": (sum(known) - sum(unseen)) / 2}


def _bleu(texts: list[str], references: list[str]) -> float:
    metric = make_metric("bleu")
    return metric.score(metric.statistics(texts, [[text] for text in references]).sum(0)).value


def _ids(texts: Texts, tokenizer: TextTokenizer) -> tuple[list[list[int]], list[list[int]]]:
    return tokenizer.encode_targets(texts["l2r"]), tokenizer.encode_targets(texts["r2l"])
