"""What number ranks a hypothesis: length normalisation and the coverage penalty.

Enters the sum of token log-probabilities; leaves the score that is compared between hypotheses of different length.
`length` counts generated tokens: end of sentence is one, the decoder's start token is not, a forced prefix is.
"""

from typing import Literal

import torch
from torch import Tensor

LengthNormalization = Literal["average", "gnmt"]

LEAST_COVERAGE = 1e-9
"""A source token that was never attended to counts as this much, so that its logarithm is finite."""


def length_divisor(length: int, length_penalty: float, normalization: LengthNormalization = "average") -> float:
    """Return what a sum of log-probabilities is divided by.

    `average` is length^p. `gnmt` is ((5 + length) / 6)^p (Wu et al. 2016, equation 14), which is 1 at length 1 and
    grows more slowly. Either is 1 for p = 0.
    """
    if normalization == "gnmt":
        return float(((5 + length) / 6) ** length_penalty)
    return float(length**length_penalty)


def can_improve(best_running_score: Tensor, worst_finished_score: Tensor, divisor: float) -> Tensor:
    """Return whether a sentence's search may still find something better, bool [B].

    The best running hypothesis is judged as if it ended at its present length without any further cost. For p <= 0
    no search that goes on can do better, so stopping loses nothing; for p > 0 a longer hypothesis might, and this is
    the usual heuristic (`early_stopping=False` of Hugging Face's `generate`). A coverage penalty is at most 0, which is
    what it is taken for here.

    Args:
        best_running_score: [B], sum of log-probabilities, -inf where nothing runs.
        worst_finished_score: [B], normalised, -inf while fewer hypotheses have finished than are kept.
        divisor: `length_divisor` of the present length.
    """
    return best_running_score / divisor > worst_finished_score


def start_coverage(attention_mask: Tensor) -> Tensor:
    """Return the coverage before the first step, [B, 1, S]: 0, and on padding 1, which costs nothing."""
    return (~attention_mask).float().unsqueeze(1)


def coverage_penalty(coverage: Tensor, weight: float) -> Tensor:
    """Return weight * sum_i log(min(coverage_i, 1)), at most 0, [B, W] (Wu et al. 2016, equation 14).

    Args:
        coverage: [B, W, S], attention that each source token has received, summed over the steps.
    """
    return weight * torch.log(coverage.clamp(LEAST_COVERAGE, 1.0)).sum(-1)
