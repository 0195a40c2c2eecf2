"""Ranking: the model shall score its candidates in the order of their cost (BRIO, Liu et al. 2022).

A model and a batch enter; a margin loss over pairs of candidates leaves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import choice
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import CANDIDATE_SEARCHES, SeveralCandidates
from seq2seq.objectives.sequences import CostObjective, added_up, candidate_log_probs, mean_cost

LARGEST_EXPONENT = 10
"""Of a length: by more, the scores of long candidates would vanish in single precision."""


def ranking_loss(scores: Tensor, costs: Tensor, is_real: Tensor, margin: float) -> Tensor:
    """Return the sum over pairs of max(0, score(worse) - score(better) + margin * ranks between them), [B].

    Where we differ: candidates of equal cost share a rank, and no order is asked of
    them; so the order in which candidates come does not matter.

    Args:
        scores, costs, is_real: [B, N].
    """
    is_pair = is_real.unsqueeze(1) & is_real.unsqueeze(2)
    is_better = is_pair & (costs.unsqueeze(2) < costs.unsqueeze(1))  # [B, better, worse]
    ranks = is_better.sum(1)
    margins = margin * (ranks.unsqueeze(1) - ranks.unsqueeze(2))
    shortfall = scores.unsqueeze(1) - scores.unsqueeze(2) + margins
    return torch.where(is_better, shortfall.relu(), 0.0).sum((1, 2))


@dataclass(frozen=True)
class Ranking(CostObjective):
    """The margin loss on log P(y) / |y|^`length_exponent`.

    Its logs are `sampled_cost`, `top_cost` (of the candidate that the model scores highest) and `distinct_candidates`.

    Raises:
        ValueError: an option is out of range, or there are too few candidates to rank.
    """

    candidates: SeveralCandidates = choice(CANDIDATE_SEARCHES, "diverse_beam")
    """What the model generates."""
    margin: float = 0.001
    """Least difference that is wanted between the scores of candidates of successive ranks."""
    length_exponent: float = 1.0
    """Exponent of the length that the log-probability of a candidate is divided by."""
    add_reference: bool = False
    """Whether the reference counts among the candidates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise ValueError(f"`margin` must not be negative, but is {self.margin}.")
        if not 0 <= self.length_exponent <= LARGEST_EXPONENT:
            raise ValueError(
                f"`length_exponent` must be between 0 and {LARGEST_EXPONENT}, but is {self.length_exponent}."
            )
        if self.candidates.num_candidates + self.add_reference < 2:
            raise ValueError("To be ranked, candidates must be two; raise `num_candidates` or set `add_reference`.")

    def sequence_loss(self, model: nn.Module, batch: Batch) -> LossSum:
        found = self.candidates(model, batch, self.add_reference)
        costs, is_real = self.text_cost(found, batch), found.is_real
        scores = candidate_log_probs(model, found) / found.lengths.clamp(min=1) ** self.length_exponent
        top = scores.detach().masked_fill(~is_real, -torch.inf).argmax(1, keepdim=True)
        return added_up(
            batch,
            ranking_loss(scores, costs, is_real, self.margin),
            sampled_cost=mean_cost(costs, found),
            top_cost=costs.gather(1, top).squeeze(1),
            distinct_candidates=is_real.sum(1),
        )
