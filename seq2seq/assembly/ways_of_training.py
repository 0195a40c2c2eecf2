"""The three axes of training, completed: what the decoder sees, what is scored, how gradients are obtained.

A configuration holds each as a component with its options; what only a run knows, its tokenizer, models and processes,
is put in here.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.model import start_weights
from seq2seq.assembly.model_folder import read_model
from seq2seq.assembly.precision import PRECISIONS
from seq2seq.data.generation_order import num_starts
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.gradients.base import ForPrecision, GradientRule
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics.cost import Cost, make_cost
from seq2seq.metrics.transport import DISTANCES, TransportDistance
from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.objectives.base import ForTarget, Objective, TargetSide
from seq2seq.objectives.decoder_inputs import DecoderInputs, TeacherForcing, WithDecoderInputs
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.sequences import CostObjective, TextCost
from seq2seq.objectives.token_reweighting import Gold, ModelScorer


def target_side(config: RunConfig, tokenizer: TextTokenizer) -> TargetSide:
    """Return what objectives and decoder inputs may have to know of targets."""
    sides = (tokenizer.target, tokenizer.source) if tokenizer.shared else (tokenizer.target,)
    ids = {number for side in sides for number in (side.pad_id, side.bos_id, side.eos_id)}
    return TargetSide(
        vocab_size=tokenizer.target_vocab_size,
        special_ids=tuple(sorted(ids | {tokenizer.decoder_start_id})),
        unknown_id=tokenizer.unk_id,
        num_starts=num_starts(config.model.generation_order),
        embedding_scale=math.sqrt(config.model.d_model) if config.model.embedding_scale else 1.0,
    )


# ---- what the decoder sees -------------------------------------------------------------------------------------------


def build_decoder_inputs(config: RunConfig, tokenizer: TextTokenizer) -> DecoderInputs:
    """Return what the decoder sees of the reference.

    Raises:
        ValueError: the tokenizer does not suit it.
    """
    inputs: DecoderInputs = config.decoder_inputs
    if isinstance(inputs, RandomReplacement) and inputs.pool in ("source", "both") and not tokenizer.shared:
        raise ValueError(
            f"`decoder_inputs.random_replacement.pool: {inputs.pool}` puts source tokens into the target, but the two "
            "sides have their own vocabularies; set `pool` to `target` or `vocabulary`, or train with "
            "`tokenizer.shared: true`."
        )
    return inputs.for_target(target_side(config, tokenizer)) if isinstance(inputs, ForTarget) else inputs


# ---- what is scored --------------------------------------------------------------------------------------------------


def build_objective(config: RunConfig, tokenizer: TextTokenizer, device: torch.device | str) -> Objective:
    """Return what is scored, under the decoder inputs that the configuration names.

    Args:
        device: where models go that an objective asks.

    Raises:
        ValueError: a model or the tokenizer does not fit this run.
    """
    objective: Objective = config.objective
    if isinstance(objective, ForTarget):
        objective = objective.for_target(target_side(config, tokenizer))
    if isinstance(objective, Gold) and objective.scorer is not None:
        objective = replace(objective, score=build_scorer(config, objective.scorer, tokenizer, device))
    if isinstance(objective, CostObjective):
        cost = build_cost(objective.cost, config, tokenizer, pooled=False)
        from_right = config.model.generation_order == "r2l"
        objective = replace(objective, text_cost=TextCost(cost, tokenizer.decode_batch, from_right=from_right))
    if isinstance(config.decoder_inputs, TeacherForcing):
        return objective
    return WithDecoderInputs(objective, build_decoder_inputs(config, tokenizer))


def build_scorer(config: RunConfig, scorer: str, tokenizer: TextTokenizer, device: torch.device | str) -> ModelScorer:
    """Return the fixed model that `objective.gold.scorer` names.

    Raises:
        ValueError: it has another tokenizer or generation order than this run.
    """
    return read_model(scorer, lambda folder: _load_scorer(folder, config, tokenizer, device))


def _load_scorer(folder: Path, config: RunConfig, tokenizer: TextTokenizer, device: torch.device | str) -> ModelScorer:
    if TextTokenizer.load(folder).fingerprint() != tokenizer.fingerprint():
        raise ValueError(
            f"`objective.gold.scorer`: {folder} has another tokenizer; set `tokenizer.from_run` to that run."
        )
    model = load_model(folder, device, PRECISIONS[config.training.precision], trainable=True)
    if not isinstance(model, Seq2SeqTransformer):
        raise ValueError(f"`objective.gold.scorer`: {folder} holds no model of this toolkit.")
    if model.generation_order != config.model.generation_order:
        raise ValueError(
            f"`objective.gold.scorer`: {folder} generates in the order `{model.generation_order}`, but this run trains "
            f"`model.generation_order: {config.model.generation_order}`."
        )
    return ModelScorer(model.requires_grad_(False))


def build_cost(name: str, config: RunConfig, tokenizer: TextTokenizer, *, pooled: bool) -> Cost:
    """Return the cost of a metric, or of a distance between word vectors.

    Vectors are the target embeddings of the model that the training starts from, and stay so while it learns.

    Raises:
        ValueError: see `check_cost`.
    """
    check_cost(name, config)
    if name not in DISTANCES:
        return make_cost(name, pooled)

    def target_ids(text: str) -> Sequence[int]:
        return tokenizer.encode_targets([text])[0][:-1]  # without end of sentence, which every text has

    weights, _ = read_model(str(config.training.initialize_from), start_weights)
    embeddings = weights["decoder.embeddings.tokens.weight"].float().numpy()
    return Cost(TransportDistance(name, target_ids, embeddings), pooled, unit=1.0)


def check_cost(name: str, config: RunConfig) -> None:
    """Raise ValueError if there is no such metric, or no trained model to take word vectors from."""
    if name not in DISTANCES:
        make_cost(name)
    elif config.training.initialize_from is None:
        raise ValueError(
            f"`cost: {name}` compares word vectors, which only a trained model has; name one in "
            "`training.initialize_from`."
        )


# ---- how gradients are obtained --------------------------------------------------------------------------------------


def build_gradient_rule(config: RunConfig, tokenizer: TextTokenizer, accelerator: Accelerator) -> GradientRule:
    """Return how gradients are obtained.

    Args:
        tokenizer: of what a search decodes.

    Raises:
        ValueError: it does not go with the processes.
    """
    rule: Any = config.gradient
    if isinstance(rule, ForPrecision):
        rule = rule.for_precision(config.training.precision)
    if isinstance(rule, ParameterSearch):
        rule = _complete_search(rule, config, tokenizer, accelerator)
    completed: GradientRule = rule
    return completed


def _complete_search(
    rule: ParameterSearch, config: RunConfig, tokenizer: TextTokenizer, accelerator: Accelerator
) -> ParameterSearch:
    """Return a parameter search with what measures and where."""
    if accelerator.distributed_type.value == "FSDP":
        raise ValueError("Under FSDP no process holds the whole model, which `parameter_search` decodes with.")
    cost = GreedyCost(build_cost(rule.cost, config, tokenizer, pooled=rule.pooled), tokenizer)
    return replace(rule, batch_cost=cost, num_processes=accelerator.num_processes, seed=config.training.seed)
