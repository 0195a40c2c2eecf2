"""Companions of a run's pairs: texts that models generate (`companion_texts`), what may leak, and rows for training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy
from accelerate import Accelerator

from seq2seq.assembly.companion_texts import CompanionTexts, Texts
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.limits import cut_length
from seq2seq.assembly.run_directory import COMPANIONS_FOLDER
from seq2seq.data.companions import CompanionRows, refreshed_rows, share_run_away
from seq2seq.data.corpus import Corpus, Dataset, text_blocks
from seq2seq.data.loader import stored_pairs
from seq2seq.data.options import CompanionOptions
from seq2seq.data.sequences import Sequences, SequencesByRow
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
    assert isinstance(train_corpus, Dataset), "`checks` refuses companions of a stream"
    kept = folder / COMPANIONS_FOLDER if companions.folder is None else Path(companions.folder)
    texts = CompanionTexts(
        kept, tokenizer, companions.beam_width, config.data.max_target_tokens, accelerator, cut_length(config)
    )
    train = of_training(texts, companions, train_corpus, tokenizer, seed, num_shown=len(validation_corpus))
    validation = of_validation(texts, companions, validation_corpus, tokenizer)
    if accelerator.is_main_process:
        target_lengths = stored_pairs(train_corpus).target_lengths
        found = leaks(train, validation)
        found["run_away"] = sum(share_run_away(ids.lengths, target_lengths) for ids in train.ids) / 2
        Tracker(folder).log("companions", 0, found)
        print(
            f"{config.run_directory}: {found['identical']:.1%} of the companions are the reference, and "
            f"{found['run_away']:.1%} are left out for their length; their BLEU is {found['bleu_gap']:+.1f} on "
            "training against validation pairs",
            flush=True,
        )
    return Companions(
        CompanionRows(*train.ids, seed, companions.dropout, companions.scored),
        CompanionRows(*validation.ids, seed, dropout=0.0, is_scored=False),
    )


@dataclass(frozen=True)
class Found:
    """The companions of a corpus from the left and from the right, and what is left of their texts."""

    ids: tuple[Sequences, Sequences]
    is_identical: numpy.ndarray
    """bool [2, rows], whether a companion is the reference itself."""
    shown: list[tuple[str, str, str]]
    """Of some rows, both companions and the reference."""


class Collected:
    """Companions as they come, a block of rows at a time; later ones take the place of earlier ones.

    Args:
        corpus: the pairs that they are for.
        shown: rows whose texts are kept.
    """

    def __init__(self, corpus: Dataset, tokenizer: TextTokenizer, shown: numpy.ndarray) -> None:
        self.corpus, self.tokenizer = corpus, tokenizer
        self.ids = SequencesByRow(len(corpus)), SequencesByRow(len(corpus))
        self.is_identical = numpy.zeros((2, len(corpus)), dtype=bool)
        self.shown: dict[int, tuple[str, str, str]] = dict.fromkeys(shown.tolist(), ("", "", ""))

    def put(self, rows: numpy.ndarray, texts: Callable[[Iterator[str]], Texts]) -> None:
        """Set the companions of these rows to what `texts` makes of their sources."""
        found = texts(source for sources, _ in text_blocks(self.corpus, rows) for source in sources)
        first = 0
        for _, targets in text_blocks(self.corpus, rows):
            here = rows[first : first + len(targets)]
            first += len(targets)
            both = list(islice(found, len(targets)))
            assert len(both) == len(targets), "a text from either side for each source"
            for side, (ids, companions) in enumerate(zip(self.ids, zip(*both, strict=True), strict=True)):
                ids.put(here, self.tokenizer.encode_targets(list(companions)))
                self.is_identical[side, here] = [a == b for a, b in zip(companions, targets, strict=True)]
            for row, (left, right), target in zip(here.tolist(), both, targets, strict=True):
                if row in self.shown:
                    self.shown[row] = (left, right, target)

    def found(self) -> Found:
        """Return what has come."""
        from_left, from_right = (ids.sequences() for ids in self.ids)
        return Found((from_left, from_right), self.is_identical, list(self.shown.values()))


def of_training(
    texts: CompanionTexts,
    config: CompanionOptions,
    corpus: Dataset,
    tokenizer: TextTokenizer,
    seed: int,
    num_shown: int,
) -> Found:
    """Return the companions of all pairs, and texts of so many rows that the newest model has made.

    The first are what the model makes of the sources, or of each fold the model that has not seen it. Each refresh has
    put what a later model makes in pairs in the place of a share of them.
    """
    assert config.model is not None, "a run without companions needs no texts"
    rows = numpy.arange(len(corpus))
    refreshed = [
        refreshed_rows(len(corpus), refresh, config.refreshed_share, seed)
        for refresh in range(len(config.refreshed_by))
    ]
    collected = Collected(corpus, tokenizer, [rows, *refreshed][-1][:num_shown])
    for fold, model in enumerate(config.fold_models):
        collected.put(rows[fold :: len(config.fold_models)], partial(texts.of, f"train-{fold}", model=model))
    if not config.fold_models:
        collected.put(rows, partial(texts.of, "train", model=config.model))
    for refresh, (anew, model) in enumerate(zip(refreshed, config.refreshed_by, strict=True)):
        collected.put(anew, partial(texts.of, f"train-refreshed-{refresh}", model=model, in_pairs=True))
    return collected.found()


def of_validation(texts: CompanionTexts, config: CompanionOptions, corpus: Dataset, tokenizer: TextTokenizer) -> Found:
    """Return what the newest model makes of the validation sources."""
    assert config.model is not None, "a run without companions needs no texts"
    rows = numpy.arange(len(corpus))
    collected = Collected(corpus, tokenizer, rows)
    if config.refreshed_by:
        name = f"validation-refreshed-{len(config.refreshed_by) - 1}"
        collected.put(rows, partial(texts.of, name, model=config.refreshed_by[-1], in_pairs=True))
    else:
        collected.put(rows, partial(texts.of, "validation", model=config.model))
    return collected.found()


def leaks(train: Found, validation: Found) -> dict[str, float]:
    """Return `identical`, the share of companions that are the reference, and `bleu_gap`, by how much their BLEU is
    higher for training pairs than for validation pairs.

    A large gap means that the model knows its training pairs by heart. Of the training pairs those count whose
    companions come from the model that has made those for validation.
    """
    identical = [float(is_identical.sum()) / max(len(is_identical), 1) for is_identical in train.is_identical]
    known, unseen = ([_bleu(found.shown, side) for side in (0, 1)] for found in (train, validation))
    return {"identical": sum(identical) / 2, "bleu_gap": (sum(known) - sum(unseen)) / 2}


def _bleu(shown: list[tuple[str, str, str]], side: int) -> float:
    texts, references = [texts[side] for texts in shown], [texts[-1] for texts in shown]
    metric = make_metric("bleu")
    return metric.score(metric.statistics(texts, [[text] for text in references]).sum(0)).value
