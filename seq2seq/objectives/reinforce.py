"""Policy gradient: samples that cost less than the baseline become likelier, the others less likely.

A model and a batch enter; a surrogate leaves whose gradient is an estimate of that of the expected cost, and whose
value means nothing: watch `sampled_cost`.
"""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import SampledCandidates
from seq2seq.objectives.sequences import CostObjective, added_up, candidate_log_probs, mean_cost


def leave_one_out(costs: Tensor, counts: Tensor) -> Tensor:
    """Return for each sample the mean cost of the source's other samples, [B, N] (Kool et al. 2019).

    Args:
        costs: [B, N], of distinct samples.
        counts: [B, N], how often each was drawn; at least 2 together.
    """
    return ((costs * counts).sum(1, keepdim=True) - costs) / (counts.sum(1, keepdim=True) - 1)


def policy_gradient_loss(log_probs: Tensor, costs: Tensor, counts: Tensor, baseline: Tensor) -> Tensor:
    """Return the mean over samples of (cost - baseline) * log P, [B], whose factor carries no gradient.

    Args:
        log_probs, costs, counts: [B, N], of distinct samples and how often each was drawn.
        baseline: broadcasts to [B, N].
    """
    return (counts * (costs - baseline).detach() * log_probs).sum(1) / counts.sum(1)


@dataclass(frozen=True)
class Reinforce(CostObjective):
    """REINFORCE (Williams 1992) with the cost of the other samples as its baseline, or that of the greedy output.

    The first, `leave_one_out`, is Kool et al.'s (2019) and the later form of self-critical training; `greedy` is that
    of Rennie et al. (2017), at one more search. At temperature 1 and without `top_k` the estimate is unbiased for a
    model without dropout. With it, samples are drawn from one model and scored by another, which has dropout.

    Its logs are `sampled_cost` and `distinct_candidates`, and `greedy_cost` where that is the baseline.

    Raises:
        ValueError: there are too few samples for the baseline.
    """

    candidates: SampledCandidates = field(default_factory=SampledCandidates)
    """What the model generates, always samples."""
    baseline: Literal["leave_one_out", "greedy"] = "leave_one_out"
    """What a sample's cost is compared with: the mean of the source's other samples, or its greedy output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline == "leave_one_out" and self.candidates.num_candidates < 2:
            raise ValueError("The baseline `leave_one_out` needs a `num_candidates` of at least 2; or use `greedy`.")

    def sequence_loss(self, model: nn.Module, batch: Batch) -> LossSum:
        found = self.candidates(model, batch)
        costs = self.text_cost(found, batch)
        logs = {"sampled_cost": mean_cost(costs, found), "distinct_candidates": found.is_real.sum(1)}
        if self.baseline == "greedy":
            baseline = self.text_cost(self.candidates.greedy()(model, batch), batch)
            logs["greedy_cost"] = baseline.squeeze(1)
        else:
            baseline = leave_one_out(costs, found.counts)
        losses = policy_gradient_loss(candidate_log_probs(model, found), costs, found.counts, baseline)
        return added_up(batch, losses, **logs)
