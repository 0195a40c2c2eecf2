"""The options of what a model in training generates; a section of `schema.RunConfig`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CandidatesConfig:
    """What a model in training generates, for objectives that judge it (`objective.kind`)."""

    cost: str = "bleu"
    """Metric whose cost is minimised: 1 - score / 100, or the error rate / 100; one of those of `validation.metrics`.
    Sentence BLEU is taken with effective order."""
    mle_weight: float = 0.1
    """Share of cross-entropy of the reference in the loss, 0 to 1; 1 leaves nothing else."""
    num_candidates: int = 8
    """Candidates generated for each source."""
    search: Literal["auto", "sampling", "beam", "diverse_beam"] = "auto"
    """How they are found; `auto` is `diverse_beam` for `ranking` and `sampling` otherwise. `sequence_unlikelihood`
    looks at the greedy output, whatever stands here."""
    temperature: float = 1.0
    """Divides the logits in sampling."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 switches it off."""
    diversity_penalty: float = 1.0
    """What a token chosen by another candidate at the same step costs in diverse beam search, where each candidate is a
    group."""
    add_reference: bool = False
    """Whether `minimum_risk` and `ranking` count the reference among the candidates."""
    max_length_ratio: float = 1.5
    """Most tokens of a candidate relative to its reference's."""
    max_length: int = 256
    """Most tokens of a candidate, end of sentence included."""
