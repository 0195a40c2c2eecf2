"""From a configuration to the three axes of training: decoder inputs, objective and gradient rule."""

from dataclasses import asdict
from typing import Any

from seq2seq.build.choices import made
from seq2seq.config.schema import RunConfig
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.metrics.cost import make_cost
from seq2seq.objectives.base import Objective
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import TeacherForcing, WithDecoderInputs
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.ranking import Ranking
from seq2seq.objectives.reinforce import Reinforce
from seq2seq.objectives.sequence_unlikelihood import SequenceUnlikelihood
from seq2seq.objectives.sequences import TextCost, WithLikelihood

DECODER_INPUTS: dict[str, type[Any]] = {"teacher_forcing": TeacherForcing}
OBJECTIVES: dict[str, type[Any]] = {"cross_entropy": CrossEntropy}
SEQUENCE_OBJECTIVES: dict[str, type[Any]] = {
    "minimum_risk": MinimumRisk,
    "reinforce": Reinforce,
    "ranking": Ranking,
    "sequence_unlikelihood": SequenceUnlikelihood,
}
"""Those that look at what the model generates."""
GRADIENT_RULES: dict[str, type[Any]] = {"backprop": Backprop}


def build_objective(config: RunConfig, tokenizer: TextTokenizer | None) -> Objective:
    """Return what is scored, under the decoder inputs that the configuration names.

    Args:
        tokenizer: for objectives that look at text; without one the objective cannot be called, only its options
            are checked.

    Raises:
        ValueError: an option is out of range, or the objective is not for such a model.
    """
    if config.objective.kind in SEQUENCE_OBJECTIVES:
        objective = build_sequence_objective(config, tokenizer)
    else:
        objective = made(OBJECTIVES[config.objective.kind], asdict(config.objective))
    kind = config.decoder_inputs.kind
    if kind == "teacher_forcing":
        return objective
    return WithDecoderInputs(objective, made(DECODER_INPUTS[kind], asdict(config.decoder_inputs)))


def build_sequence_objective(config: RunConfig, tokenizer: TextTokenizer | None) -> Objective:
    """Return an objective over what the model generates, mixed with likelihood.

    Raises:
        ValueError: as for `build_objective`.
    """
    kind, options, order = config.objective.kind, asdict(config.candidates), config.model.generation_order
    if order not in ("l2r", "r2l"):
        raise ValueError(
            f"`objective.kind: {kind}` is for models that generate from one end, but `model.generation_order` is "
            f"{order}; use l2r or r2l."
        )
    if options["search"] == "auto":
        options["search"] = "diverse_beam" if kind == "ranking" else "sampling"
    cost = make_cost(config.candidates.cost)
    text_cost = TextCost(cost, tokenizer.decode_batch, from_right=order == "r2l") if tokenizer else None
    parts = {"candidates": made(CandidateSearch, options), "cost": text_cost}
    objective: Objective = made(SEQUENCE_OBJECTIVES[kind], options | asdict(config.objective) | parts)
    return WithLikelihood(objective, config.candidates.mle_weight, config.objective.label_smoothing)


def build_gradient_rule(config: RunConfig) -> GradientRule:
    """Return how gradients are obtained.

    Raises:
        ValueError: an option is out of range.
    """
    rule: GradientRule = made(GRADIENT_RULES[config.gradient.kind], asdict(config.gradient))
    return rule
