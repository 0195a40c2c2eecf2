"""A trained model as one object: strings in, hypotheses with scores out. What `seq2seq.load` returns.

A model folder is what training exports to `run/model`: weights and configuration as `save_pretrained` writes them, the
tokenizer, and `decoding.json` with the run's search options. Any encoder-decoder of transformers saved with its
tokenizer loads too.
"""

import hashlib
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy
import torch

from seq2seq.assembly.decoding_defaults import NO_RULES, read_folder_decoding
from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.given_targets import aligned_targets, given_pairs, scored_targets, side_of
from seq2seq.assembly.languages import with_languages
from seq2seq.assembly.model_folder import read_models
from seq2seq.assembly.precision import decoding_type
from seq2seq.assembly.search import (
    changed_search,
    complete_search,
    default_search,
    inner_search,
    within_reach,
)
from seq2seq.assembly.vocabulary_fit import check_fit
from seq2seq.data.foreign_folder import LARGEST_TOKENIZER
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.data.word_alignment import Alignment
from seq2seq.decoding import Search
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import BATCH_TOKENS
from seq2seq.generation.engine import TextEngine
from seq2seq.generation.output import TextHypothesis
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loading import load_model
from seq2seq.models.orders import BothDirections, InterleavedAndLeft
from seq2seq.own_pieces import said_by_user

CARD_FILE = "README.md"


def pick_device(device: str) -> str:
    """Return `device`, or for `auto` the GPU where there is one.

    Raises:
        ValueError: there is no such device, or it computes nothing.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # the latter where torch is built without CUDA
        reason = str(error).partition("\n")[0].partition(". ")[0]  # of some devices it is a page
        raise ValueError(f"`device` {device!r} cannot be used: {reason}") from None
    return device


class TextGenerator(TextEngine):
    """Generates text from text by this toolkit's own searches.

    Args:
        search: how it searches unless a call says otherwise; by default by a beam in the order of the model.
        source_prefix: put before every source, as in training.
        batch_tokens: budget of one batch, see `generation.batches`.
        max_source_tokens: longer sources are cut unless a call says otherwise, as in training.
        rules: what no hypothesis may say, whatever the search.
        languages: of sources and of targets, for a model of many; None = nothing is said.

    Raises:
        ValueError: the model was not trained for such a search.
    """

    kind = "seq2seq"

    def __init__(
        self,
        model: Seq2Seq,
        tokenizer: TextTokenizer,
        search: Search | None = None,
        source_prefix: str = "",
        device: str = "cpu",
        fingerprint: str = "",
        batch_tokens: int = BATCH_TOKENS,
        max_source_tokens: int | None = None,
        rules: TargetRules = NO_RULES,
        languages: tuple[str | None, str | None] = (None, None),
    ) -> None:
        if batch_tokens < 1:
            raise ValueError(f"`batch_tokens` must be at least 1, but is {batch_tokens}.")
        self.model, self.tokenizer, self.rules = with_languages(model, tokenizer, rules, languages)
        self.languages = languages
        self.search = within_reach(search or default_search(model.generation_order), model.max_target_tokens)
        complete_search(self.search, model.generation_order, None)
        self.batch_tokens = batch_tokens
        self.source_prefix = source_prefix
        self.device = device
        self.fingerprint = fingerprint
        self.max_source_tokens = max_source_tokens

    @property
    def generation_order(self) -> str:
        return self.model.generation_order

    def speaking(self, source_language: str | None = None, target_language: str | None = None) -> "TextGenerator":
        """Return a generator for texts of these languages; None leaves a side as it is.

        Raises:
            ValueError: there is no such language.
        """
        found = copy(self)
        found.languages = (source_language or self.languages[0], target_language or self.languages[1])
        found.model, found.tokenizer, found.rules = with_languages(
            self.model, self.tokenizer, self.rules, found.languages
        )
        return found

    def searcher(self, token_scores: bool = True, **options: Any) -> InProcess:
        """Return this generator's search on its model, changed by search options."""
        order = self.model.generation_order
        search = within_reach(changed_search(self.search, options, order), self.model.max_target_tokens)
        search = self.rules.applied(search)
        return InProcess(self.model, complete_search(search, order, self.tokenizer), self.device)

    def score_targets(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        max_source_tokens: int | None = None,
        *,
        batch_tokens: int | None = None,
        first_row: int = 0,
        **options: Any,
    ) -> list[TextHypothesis]:
        """Return each target as a hypothesis for its source, with what the model gives it instead of what it says.

        `score` is the sum of `token_log_probs`, end of sentence included, and `normalized_score` that divided by the
        length penalty: what a search reports of the same text, if its segmentation is the tokenizer's own. Perplexity
        is the exponential of minus the summed scores over the number of tokens. A target longer than the model takes
        is a hypothesis with an `error`.

        Args:
            max_source_tokens: longer sources are cut, with a warning.
            batch_tokens: source and target tokens of a batch, padding included; by default as fits the vocabulary.
            first_row: number of the first pair, for warnings.
            options: search options; of these, those of the length penalty count, and which of its two orders a
                `bidirectional` model scores in (`generation_order`, by default from the left).

        Raises:
            ValueError: there are more or fewer targets than sources, or the model cannot score from one end.
        """
        chosen = inner_search(changed_search(self.search, options, self.model.generation_order))
        assert isinstance(chosen, SearchOptions), "a search of one model has a length penalty"
        pairs = given_pairs(self, sources, targets, side_of(self.model, chosen), max_source_tokens, first_row)
        return scored_targets(self, targets, pairs, chosen, batch_tokens)

    def align(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        max_source_tokens: int | None = None,
        *,
        layer: int | None = None,
        unit: Literal["words", "tokens"] = "words",
        batch_tokens: int | None = None,
    ) -> list[Alignment]:
        """Return of each pair which word of the source each word of the target belongs to, by the model's attention.

            >>> import seq2seq
            >>> generator = seq2seq.load("runs/mine")
            >>> generator.align(["a b c"], ["a b c"])
            [[(0, 0), (1, 1), (2, 2)]]

        That is the source word that the tokens of a target word attend to most while the model, which is given the
        tokens before, predicts them (mean over heads). A pair is (place in the source, place in the target), counted
        from 0; `data.word_alignment.pharaoh` writes them as `0-0 1-1 2-2`.

        Args:
            layer: of the decoder, counted from 1; by default the last but one.
            unit: what is counted: what stands between white space, or tokens, sentence ends left out.
            batch_tokens: as for `score_targets`.

        Raises:
            ValueError: there are more or fewer targets than sources, no such layer, or the model is none of ours.
        """
        if unit not in ("words", "tokens"):
            raise ValueError(f"`unit` must be words or tokens, but is {unit!r}.")
        pairs = given_pairs(self, sources, targets, side_of(self.model), max_source_tokens)
        return aligned_targets(self, pairs, layer, unit, batch_tokens)

    def target_ids(self, text: str) -> list[int]:
        """Return the target tokens of a text, without end of sentence."""
        return self.tokenizer.encode_targets([text])[0][:-1]

    def target_embeddings(self) -> numpy.ndarray:
        """Return the output layer's vector of each target token, float32 [V, D].

        Raises:
            ValueError: this is an ensemble, whose members have no vectors in common.
        """
        if isinstance(self.model, Ensemble):
            raise ValueError("An ensemble has no embeddings of its own; name one of its models.")
        model: Any = getattr(self.model, "model", self.model)  # within what stands between us and transformers
        weight: torch.Tensor = model.get_output_embeddings().weight
        return weight.detach().float().cpu().numpy()


def load(
    path: str | Path | Sequence[str | Path],
    *,
    device: str = "auto",
    precision: str | None = None,
    weights: Sequence[float] | None = None,
    trainable: bool = False,
    right_model: str | Path | Sequence[str | Path] = (),
    left_model: str | Path | Sequence[str | Path] = (),
    checkpoint: str | int | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    **options: Any,
) -> TextGenerator:
    """Return the generator of a run directory or model folder; of several, their ensemble.

        >>> import seq2seq
        >>> generator = seq2seq.load("runs/mine", precision="fp32")
        >>> print(generator("a text")[0])
        >>> [best, second] = generator("a text", n_best=2)

    Args:
        path: of a run, what it has exported, which while it trains is the best so far; a checkpoint's own folder within
            a run will do, too.
        device: `cpu`, `cuda`, `cuda:1` …, or `auto`.
        precision: compute type: fp32, bf16, fp16 (on x86 CPUs of weights of products alone) or int8 (of these and what
            they are multiplied with); `auto` is the fastest of the first three. By default that of the saved weights.
        weights: of the members of `path`'s ensemble, by default equal.
        trainable: let `.model` be a model that can be trained and saved; by default it is what searches fastest.
        right_model: run or model folder that generates from the right, or several, with a `path` that does from the
            left: together they rank each other's hypotheses (`rescore`).
        left_model: run or model folder that generates from the left, or several, with a `path` that is interleaved,
            whose hypotheses it ranks (`rescore="l2r"`).
        checkpoint: of all runs that are named, `best`, `last` or a step instead of what they have exported.
        source_language, target_language: of texts, for a model of many languages; by default those of its training.
        options: search options that replace the run's own, such as `beam_width=10`.

    Raises:
        ValueError: there is no model, checkpoint or language, the members do not share a vocabulary, both a left and a
            right model are given, `rescore` lacks a model, or an option is unknown.
    """
    if left_model and right_model:
        raise ValueError("`left_model` is for interleaved models and `right_model` for those from the left; give one.")
    said_by_user(options.values())
    first, second = (
        [entry] if isinstance(entry, str | Path) else [*entry] for entry in (path, left_model or right_model)
    )
    if not first:
        raise ValueError("No model is named; give a run directory, a model folder, or several for their ensemble.")
    device = pick_device(device)
    dtype = None if precision is None else decoding_type(precision, device)

    def read(folders: list[Path]) -> TextGenerator:
        tokenizer = common_tokenizer(folders)
        models = [load_model(folder, device, dtype, trainable=trainable) for folder in folders]
        for folder, member in zip(folders, models, strict=True):
            check_fit(folder, member, tokenizer)
        model = mixture(models[: len(first)], weights)
        if second:
            kind = InterleavedAndLeft if left_model else BothDirections
            model = kind(model, mixture(models[len(first) :]))
        saved, rules = read_folder_decoding(folders[0], models[0])
        languages = (source_language or saved.source_language, target_language or saved.target_language)
        return TextGenerator(
            model,
            tokenizer,
            chosen_search(saved.search, options, model.generation_order, has_left_model=bool(left_model)),
            batch_tokens=batch_tokens,
            source_prefix=saved.source_prefix,
            max_source_tokens=saved.max_source_tokens,
            rules=rules,
            languages=languages,
            device=device,
            fingerprint=models_fingerprint(folders)
            + (f" {list(weights)}" if weights else "")
            + (f" {dtype}" if dtype else ""),
        )

    batch_tokens = options.pop("batch_tokens", BATCH_TOKENS)
    return read_models([*first, *second], read, checkpoint)


def chosen_search(saved: Search | None, options: dict[str, Any], order: str, *, has_left_model: bool) -> Search:
    """Return the search of a model folder, changed by options.

    Raises:
        ValueError: an option is unknown, or `rescore` lacks a model.
    """
    search = changed_search(saved, options, order)
    if order == "interleaved" and not has_left_model and isinstance(search, Rescored):
        raise ValueError(
            "`rescore` ranks what an interleaved model generates by a model from the left; give one as `--left-model` "
            "(`left_model` of `load`)."
        )
    return search


def mixture(models: Sequence[Seq2Seq], weights: Sequence[float] | None = None) -> Seq2Seq:
    """Return these models as one: their ensemble, or a single one itself."""
    return Ensemble(models, weights) if len(models) > 1 or weights else models[0]


def common_tokenizer(folders: Sequence[Path]) -> TextTokenizer:
    """Return the tokenizer of all these model folders; raise ValueError if they do not have the same."""
    tokenizers = [TextTokenizer.load(folder) for folder in folders]
    if len({tokenizer.fingerprint() for tokenizer in tokenizers}) > 1:
        raise ValueError(f"{', '.join(map(str, folders))}: models that work together must have the same tokenizer.")
    return tokenizers[0]


def models_fingerprint(folders: Sequence[Path]) -> str:
    """Return a hash of all files of these folders but their cards: it differs whenever the output may.

    Of what is too large to be read by anybody, and may be nothing but holes, its size is enough.
    """
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
        if file.name == CARD_FILE:
            continue
        if file.suffix != ".safetensors" and (size := file.stat().st_size) > LARGEST_TOKENIZER:
            digest.update(f"{file.name} {size}".encode())
            continue
        with file.open("rb") as opened:
            digest.update(file.name.encode() + hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
