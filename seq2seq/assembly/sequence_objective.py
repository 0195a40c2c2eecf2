"""From a configuration to an objective over what a model generates."""

from dataclasses import asdict
from typing import Any

from seq2seq.assembly.choices import made
from seq2seq.assembly.cost import build_cost
from seq2seq.config.schema import RunConfig
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.objectives.base import Objective
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.ranking import Ranking
from seq2seq.objectives.reinforce import Reinforce
from seq2seq.objectives.sequence_unlikelihood import SequenceUnlikelihood
from seq2seq.objectives.sequences import TextCost, WithLikelihood

SEQUENCE_OBJECTIVES: dict[str, type[Any]] = {
    "minimum_risk": MinimumRisk,
    "reinforce": Reinforce,
    "ranking": Ranking,
    "sequence_unlikelihood": SequenceUnlikelihood,
}


def build_sequence_objective(config: RunConfig, tokenizer: TextTokenizer | None) -> Objective:
    """Return an objective over what the model generates, mixed with likelihood.

    Raises:
        ValueError: an option is out of range, or the objective is not for such a model.
    """
    kind, options, order = config.objective.kind, asdict(config.candidates), config.model.generation_order
    if order not in ("l2r", "r2l"):
        raise ValueError(
            f"`objective.kind: {kind}` is for models that generate from one end, but `model.generation_order` is "
            f"{order}; use l2r or r2l."
        )
    if options["search"] == "auto":
        options["search"] = "diverse_beam" if kind == "ranking" else "sampling"
    parts = {"candidates": made(CandidateSearch, options), "cost": build_text_cost(config, tokenizer)}
    objective: Objective = made(SEQUENCE_OBJECTIVES[kind], options | asdict(config.objective) | parts)
    return WithLikelihood(objective, config.candidates.mle_weight, config.objective.label_smoothing)


def build_text_cost(config: RunConfig, tokenizer: TextTokenizer | None) -> TextCost | None:
    """Return the cost of what is generated; None without a tokenizer, where options are only looked at."""
    if tokenizer is None:
        return None
    cost = build_cost(config.candidates.cost, config, tokenizer)
    return TextCost(cost, tokenizer.decode_batch, from_right=config.model.generation_order == "r2l")
