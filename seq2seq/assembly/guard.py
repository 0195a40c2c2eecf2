"""What a run that starts with trained weights forgets: general text, decoded before its first step and at its end.

Guard corpora enter, and how a validation decodes. Lines on the screen and in the log leave, with both scores, their
difference and whether that is chance, and `guard.json` in the run directory, which has the outputs too. They are kept
with what they were made of, weights included: a run that goes on decodes nothing again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.corpora import open_guards
from seq2seq.assembly.row_languages import check_spoken
from seq2seq.assembly.scoring import compare
from seq2seq.assembly.validation import (
    DecodedPairs,
    build_decoder,
    decoded_pairs,
    scores_of,
    told_metrics,
    usable_pairs,
    validation_search,
)
from seq2seq.config.writing import settings
from seq2seq.data.fingerprints import corpus_fingerprint
from seq2seq.data.loader import tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import read_object, written
from seq2seq.metrics.significance import Comparison
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.training.tracking import Tracker
from seq2seq.training.validation import DecodingFailed

GUARD_FILE = "guard.json"
BEFORE, AFTER = "before", "after"
SIGNIFICANT = 0.05
"""p-value from which on a difference is taken for chance."""


@dataclass(frozen=True)
class GuardCorpus:
    """What is decoded of a guard corpus."""

    label: str
    pairs: DecodedPairs
    made_of: dict[str, Any]
    """What outputs depend on, of the pairs."""
    tokenizer: TextTokenizer
    """Of its languages."""


def guard_corpora(config: RunConfig, tokenizer: TextTokenizer) -> list[GuardCorpus]:
    """Return the guard corpora of a run, without pairs that the model cannot take.

    Raises:
        ValueError: one cannot be read, or none of its pairs is left.
    """
    found = []
    for label, options, corpus in open_guards(config.data):
        try:
            spoken = tokenizer.speaking(*options.languages)
            check_spoken(corpus, spoken, label)
            usable, _ = usable_pairs(config, tokenize_corpus(corpus, spoken))
        except ValueError as error:
            raise ValueError(f"The guard corpus {label}: {error}") from None
        pairs = decoded_pairs(config, usable)
        number, languages = len(pairs.sources), list(options.languages)
        made_of = {"pairs": corpus_fingerprint(usable), "number": number, "languages": languages}
        found.append(GuardCorpus(label, pairs, made_of, spoken))
    return found


@dataclass
class Guards:
    """The guard corpora of a run, and what its model makes of them. All processes call the same.

    Args:
        start_model: with the weights that the run starts with, until it has begun.
        decoders: by label, from a model and pairs to texts, all processes together.
        settings: what else the outputs depend on, for `guard.json`.
    """

    folder: Path
    corpora: Sequence[GuardCorpus]
    metrics: Sequence[str]
    told_metrics: dict[str, Any]
    judge: str
    """The metric that decides what is said."""
    start_model: Seq2SeqTransformer
    decoders: dict[str, Callable[[Any, DecodedPairs], list[str]]]
    settings: dict[str, Any]
    is_main_process: bool
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: RunConfig,
        folder: Path,
        corpora: Sequence[GuardCorpus],
        model: nn.Module,
        accelerator: Accelerator,
    ) -> "Guards | None":
        """Return those of a run; None if it has none."""
        if not corpora:
            return None
        bare_model, validation = accelerator.unwrap_model(model), config.validation
        search = validation_search(config, bare_model.max_target_tokens)
        return cls(
            folder,
            corpora,
            validation.metrics,
            told_metrics(validation),
            validation.select_by if validation.select_by in validation.metrics else validation.metrics[0],
            bare_model,
            {corpus.label: build_decoder(config, corpus.tokenizer, accelerator) for corpus in corpora},
            {"precision": config.training.precision, "search": type(search).__name__, **settings(search)},
            accelerator.is_main_process,
            _read(folder / GUARD_FILE) if accelerator.is_main_process else {},
        )

    def start(self, tracker: Tracker) -> None:
        """Decode with the weights that the run starts with, and say what they are worth.

        Raises:
            ValueError: they cannot be decoded with.
        """
        try:
            new = self._decode(BEFORE, self.start_model)
        except DecodingFailed as error:
            raise ValueError(f"`data.guard` could not be decoded before the training: {error}") from None
        if not self.is_main_process:
            return
        scores = {
            corpus.label: scores_of(
                self._outputs(corpus, BEFORE), corpus.pairs.references, self.metrics, **self.told_metrics
            )
            for corpus in self.corpora
        }
        tracker.log("guard", 0, scores)
        for corpus in self.corpora:
            if corpus.label in new:
                shown = ", ".join(f"{name} {value:.2f}" for name, value in scores[corpus.label].items())
                print(f"{corpus.label}: {shown} before the training, {len(corpus.pairs.sources):,} pairs", flush=True)

    def end(self, model: nn.Module, tracker: Tracker, step: int) -> bool:
        """Decode with the exported model and say what has changed; return whether that was not said before.

        What fails here costs the run nothing: it is trained and exported.
        """
        try:
            new = self._decode(AFTER, model)
        except DecodingFailed as error:
            if self.is_main_process:
                print(f"`data.guard` could not be decoded with the exported model: {error}", flush=True)
            return False
        if not self.is_main_process:
            return False
        facts = {}
        for corpus in self.corpora:
            after, before = (self._outputs(corpus, when) for when in (AFTER, BEFORE))
            compared = compare(after, before, corpus.pairs.references, self.metrics, **self.told_metrics)
            found = dict(zip(self.metrics, compared, strict=True))
            facts[corpus.label] = {name: _numbers(comparison) for name, comparison in found.items()}
            self.record[corpus.label]["scores"] = facts[corpus.label]
            shown = ", ".join(f"{name} {_shown(comparison)}" for name, comparison in found.items())
            print(f"{corpus.label}: {shown}: {verdict(found[self.judge])}", flush=True)
        if new:
            tracker.log("guard", step, facts)
        self._write()
        return bool(new)

    def _decode(self, when: str, model: nn.Module) -> list[str]:
        """Decode what is not known of a model; return of which corpora. The main process keeps the outputs.

        Raises:
            DecodingFailed: on all processes alike.
        """
        made_of = self.settings | {"weights": weights_hash(model)} if self.is_main_process else {}
        new = []
        for corpus in self.corpora:
            known = self.record.get(corpus.label, {}).get(when, {})
            made = made_of | corpus.made_of
            if broadcast_object_list([known.get("made_of") == made])[0]:
                continue
            new.append(corpus.label)
            outputs = self.decoders[corpus.label](model, corpus.pairs)
            if self.is_main_process:
                self.record.setdefault(corpus.label, {})[when] = {"made_of": made, "outputs": outputs}
                self._write()
        return new

    def _outputs(self, corpus: GuardCorpus, when: str) -> list[str]:
        outputs: list[str] = self.record[corpus.label][when]["outputs"]
        return outputs

    def _write(self) -> None:
        with written(self.folder / GUARD_FILE) as file:
            file.write(json.dumps(self.record, indent=1, ensure_ascii=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    """Return what is kept of a run that goes on; nothing if it is damaged, since it can be made again."""
    try:
        found = read_object(path) if path.is_file() else {}
    except ValueError:
        return {}
    return {label: entry for label, entry in found.items() if isinstance(entry, dict)}


def weights_hash(model: nn.Module) -> str:
    """Return a hash of all weights."""
    found = sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:32]


def verdict(comparison: Comparison) -> str:
    """Return in a word what has become of general text."""
    if comparison.p_value is None or comparison.p_value >= SIGNIFICANT or comparison.verdict == "equal":
        return "kept, as far as can be told"
    return "forgotten" if comparison.verdict == "worse" else "better than before"


def _numbers(comparison: Comparison) -> dict[str, Any]:
    return {
        BEFORE: comparison.baseline.value,
        AFTER: comparison.system.value,
        "difference": comparison.difference,
        "p_value": comparison.p_value,
        "test": comparison.test,
        "signature": comparison.system.signature,
    }


def _shown(comparison: Comparison) -> str:
    before, after = comparison.baseline.value, comparison.system.value
    return f"{before:.2f} → {after:.2f} ({comparison.difference:+.2f}, p = {comparison.p_value:.3f})"
