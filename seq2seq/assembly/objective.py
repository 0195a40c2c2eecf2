"""From a configuration to what is scored: the second axis of training, put together with the first."""

from dataclasses import asdict
from typing import Any

import torch

from seq2seq.assembly.choices import made
from seq2seq.assembly.decoder_inputs import build_decoder_inputs, special_ids
from seq2seq.assembly.generator import PRECISIONS, model_folder
from seq2seq.assembly.sequence_objective import SEQUENCE_OBJECTIVES, build_sequence_objective
from seq2seq.config.schema import RunConfig
from seq2seq.data.generation_order import num_starts
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.objectives.base import Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import WithDecoderInputs
from seq2seq.objectives.multi_label import BagOfWords
from seq2seq.objectives.r_drop import RDrop
from seq2seq.objectives.raml import RAML
from seq2seq.objectives.token_reweighting import ModelScorer, TokenReweighting
from seq2seq.objectives.unlikelihood import Unlikelihood

OBJECTIVES: dict[str, type[Any]] = {
    "cross_entropy": CrossEntropy,
    "r_drop": RDrop,
    "unlikelihood": Unlikelihood,
    "token_reweighting": TokenReweighting,
    "raml": RAML,
    "bag_of_words": BagOfWords,
}


def build_objective(config: RunConfig, tokenizer: TextTokenizer, device: torch.device | str) -> Objective:
    """Return what is scored, under the decoder inputs that the configuration names.

    Args:
        device: where models go that an objective asks.

    Raises:
        ValueError: an option is out of range, or a model does not fit this run.
    """
    if config.objective.kind in SEQUENCE_OBJECTIVES:
        objective = build_sequence_objective(config, tokenizer)
    else:
        objective = build_token_objective(config, tokenizer, device)
    if config.decoder_inputs.kind == "teacher_forcing":
        return objective
    return WithDecoderInputs(objective, build_decoder_inputs(config, tokenizer))


def build_token_objective(config: RunConfig, tokenizer: TextTokenizer, device: torch.device | str) -> Objective:
    """Return an objective that looks at the tokens of the reference alone."""
    unknown = set() if tokenizer.unk_id is None else {tokenizer.unk_id}
    options = asdict(config.objective) | {
        "scorer": build_scorer(config, tokenizer, device),
        "vocab_size": tokenizer.target_vocab_size,
        "special_ids": tuple(sorted(unknown | set(special_ids(tokenizer)))),
        "num_starts": num_starts(config.model.generation_order),
    }
    objective: Objective = made(OBJECTIVES[config.objective.kind], options)
    return objective


def build_scorer(config: RunConfig, tokenizer: TextTokenizer, device: torch.device | str) -> ModelScorer | None:
    """Return the fixed model that `objective.scorer` names, if one is.

    Raises:
        ValueError: another objective would not ask it, or it has another tokenizer or generation order than this run.
    """
    if config.objective.scorer is None:
        return None
    if config.objective.kind != "token_reweighting":
        raise ValueError("`objective.scorer` is for `objective.kind: token_reweighting`; leave it out.")
    folder = model_folder(config.objective.scorer)
    if TextTokenizer.load(folder).fingerprint() != tokenizer.fingerprint():
        raise ValueError(f"`objective.scorer`: {folder} has another tokenizer; set `tokenizer.from_run` to that run.")
    model = load_model(folder, device, PRECISIONS[config.training.precision], trainable=True)
    if not isinstance(model, Seq2SeqTransformer):
        raise ValueError(f"`objective.scorer`: {folder} holds no model of this toolkit.")
    if model.generation_order != config.model.generation_order:
        raise ValueError(
            f"`objective.scorer`: {folder} generates in the order `{model.generation_order}`, but this run trains "
            f"`model.generation_order: {config.model.generation_order}`."
        )
    return ModelScorer(model.requires_grad_(False))
