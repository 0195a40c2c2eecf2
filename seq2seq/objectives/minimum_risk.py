"""Minimum risk training: the expected cost over candidates, as the model weighs them (Shen et al. 2016).

A model and a batch enter; the risk of each source leaves. It needs a model that is trained already, since candidates
that are all equally bad teach nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import choice
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import CANDIDATE_SEARCHES, SeveralCandidates
from seq2seq.objectives.sequences import CostObjective, added_up, candidate_log_probs, mean_cost


def expected_cost(log_probs: Tensor, costs: Tensor, is_real: Tensor, sharpness: float) -> Tensor:
    """Return sum_y Q(y) cost(y) with Q proportional to P(y)^sharpness over the real candidates, [B].

    The gradient with respect to log P(y) is sharpness * Q(y) * (cost(y) - E_Q[cost]).

    Args:
        log_probs, costs, is_real: [B, N].
    """
    weights = torch.softmax((sharpness * log_probs).masked_fill(~is_real, -torch.inf), dim=1)
    return (weights * costs).sum(1)


@dataclass(frozen=True)
class MinimumRisk(CostObjective):
    """Expected cost over distinct candidates; with `add_reference` the reference is one, as in the authors' toolkit.

    `sharpness` is the paper's alpha, and a factor of the gradient: at its 0.005 the risk moves little beside a mixed-in
    likelihood. Its logs are `expected_cost`, `sampled_cost` (mean over what was found) and `distinct_candidates`.

    Raises:
        ValueError: an option is out of range.
    """

    candidates: SeveralCandidates = choice(CANDIDATE_SEARCHES, "sampling")
    """What the model generates."""
    sharpness: float = 0.005
    """Exponent alpha of the probabilities that candidates are weighed by."""
    add_reference: bool = False
    """Whether the reference counts among the candidates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sharpness <= 0:
            raise ValueError(f"`sharpness` must be above 0, but is {self.sharpness}.")

    def sequence_loss(self, model: nn.Module, batch: Batch) -> LossSum:
        found = self.candidates(model, batch, self.add_reference)
        costs = self.text_cost(found, batch)
        risks = expected_cost(candidate_log_probs(model, found), costs, found.is_real, self.sharpness)
        return added_up(
            batch,
            risks,
            expected_cost=risks,
            sampled_cost=mean_cost(costs, found),
            distinct_candidates=found.is_real.sum(1),
        )
