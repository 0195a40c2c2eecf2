"""Minimum risk training: the expected cost over candidates, as the model weighs them (Shen et al. 2016).

A model and a batch enter; the risk of each source leaves. It needs a model that is trained already, since candidates
that are all equally bad teach nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.sequences import TextCost, added_up, candidate_log_probs, mean_cost


def expected_cost(log_probs: Tensor, costs: Tensor, is_real: Tensor, sharpness: float) -> Tensor:
    """Return sum_y Q(y) cost(y) with Q proportional to P(y)^sharpness over the real candidates, [B].

    The gradient with respect to log P(y) is sharpness * Q(y) * (cost(y) - E_Q[cost]).

    Args:
        log_probs, costs, is_real: [B, N].
    """
    weights = torch.softmax((sharpness * log_probs).masked_fill(~is_real, -torch.inf), dim=1)
    return (weights * costs).sum(1)


@dataclass(frozen=True)
class MinimumRisk:
    """Expected cost over distinct candidates; with `add_reference` the reference is one, as in the authors' toolkit.

    `sharpness` is the paper's alpha, and a factor of the gradient: at its 0.005 the risk moves little beside a mixed-in
    likelihood. Its logs are `expected_cost`, `sampled_cost` (mean over what was found) and `distinct_candidates`.

    Raises:
        ValueError: an option is out of range.
    """

    candidates: CandidateSearch
    cost: TextCost
    sharpness: float = 0.005
    add_reference: bool = False

    def __post_init__(self) -> None:
        if self.sharpness <= 0:
            raise ValueError(f"`sharpness` must be above 0, but is {self.sharpness}.")

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        found = self.candidates(model, batch, self.add_reference)
        costs = self.cost(found, batch)
        risks = expected_cost(candidate_log_probs(model, found), costs, found.is_real, self.sharpness)
        return added_up(
            batch,
            risks,
            expected_cost=risks,
            sampled_cost=mean_cost(costs, found),
            distinct_candidates=found.is_real.sum(1),
        )
