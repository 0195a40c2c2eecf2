"""Accuracy and entropy by position, under gold prefixes and under the model's own.

Under gold prefixes every token of the reference is predicted behind the reference's tokens before it. Under its own,
the model's greedy hypothesis is all it has seen. What is right there cannot be read off position by position, since
after one word more or less everything stands elsewhere; so there are three measures, none of which has that fault:

- entropy of the distribution, and log-probability of the token that the model said, behind its own prefix;
- aligned accuracy: the share of the reference's tokens that the hypothesis says, aligned by the fewest edits
  (`metrics/alignment.py`), at the reference's position;
- survival: the share of hypotheses that equal the reference up to a position, and accuracy behind those alone. A
  reference that ends while they are still equal is censored, not a failure (Kaplan and Meier 1958), so the curve
  never rises and does not depend on how long references are.

Another good translation counts as wrong in all of them, so they compare models on one set of pairs, and none is 1 for a
model without fault. The alignment forgives a shift, so a nearly perfect model may have a little more accuracy behind
its own prefixes than behind gold ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens

FIRST_POSITIONS = (1, 2, 3, 5, 9, 17, 33, 65)
"""Where the bins of positions begin; the last has no end."""
QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")


@dataclass(frozen=True)
class PositionMeans:
    """Means over the tokens of one range of positions; None where there are none."""

    positions: str
    """Such as `5-8`, counted from 1 in the order of generation, or `2nd quarter` of each sequence."""
    gold_tokens: int
    gold_accuracy: float | None
    """Share of reference tokens that the model finds likeliest behind gold prefixes."""
    gold_entropy: float | None
    """Nats."""
    gold_log_prob: float | None
    """Of the reference's token, nats."""
    own_tokens: int
    own_accuracy: float | None
    """Share of reference tokens that the greedy hypothesis says, aligned by edit distance."""
    own_entropy: float | None
    own_log_prob: float | None
    """Of the hypothesis's token, nats."""


@dataclass(frozen=True)
class Survival:
    """How long greedy hypotheses equal their references."""

    survival: list[float]
    """At index t the estimated share whose first t tokens are the reference's; 1 at index 0, and never rising."""
    at_risk: list[int]
    """At index t the hypotheses that equal a reference of more than t tokens so far."""
    accuracy: list[float]
    """Share of these that say the reference's next token."""


def bin_labels() -> list[str]:
    """Return the bins' names."""
    ends = [first - 1 for first in FIRST_POSITIONS[1:]]
    pairs = zip(FIRST_POSITIONS, ends, strict=False)
    return [str(first) if first == end else f"{first}-{end}" for first, end in pairs] + [f"{FIRST_POSITIONS[-1]}+"]


def position_bins(tokens: ForcedTokens) -> numpy.ndarray:
    """Return each token's bin of absolute positions, int64 [n]."""
    return numpy.searchsorted(FIRST_POSITIONS, tokens.positions + 1, side="right") - 1


def position_quarters(tokens: ForcedTokens) -> numpy.ndarray:
    """Return the quarter of its sequence, 0 to 3, that each token stands in, int64 [n]."""
    return 4 * tokens.positions // tokens.lengths[tokens.rows]


def means_by_position(
    gold: ForcedTokens, own: ForcedTokens, is_said: numpy.ndarray, *, relative: bool
) -> list[PositionMeans]:
    """Return the means of each range of positions that has tokens.

    Args:
        gold: of the references.
        own: of the greedy hypotheses.
        is_said: bool [n], which reference tokens the hypotheses say.
        relative: by quarters of each sequence; otherwise by bins of positions.
    """
    labels = QUARTERS if relative else bin_labels()
    gold_bins, own_bins = (position_quarters(t) if relative else position_bins(t) for t in (gold, own))

    def means(bins: numpy.ndarray, values: numpy.ndarray) -> list[float | None]:
        counts = numpy.bincount(bins, minlength=len(labels))
        sums = numpy.bincount(bins, weights=values, minlength=len(labels))
        return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]

    columns = zip(
        labels,
        numpy.bincount(gold_bins, minlength=len(labels)).tolist(),
        *(means(gold_bins, values) for values in (gold.is_best, gold.entropies, gold.log_probs)),
        numpy.bincount(own_bins, minlength=len(labels)).tolist(),
        *(means(bins, values) for bins, values in ((gold_bins, is_said), (own_bins, own.entropies))),
        means(own_bins, own.log_probs),
        strict=True,
    )
    return [row for row in (PositionMeans(*cells) for cells in columns) if row.gold_tokens or row.own_tokens]


def first_wrong_position(hypothesis: Sequence[int], reference: Sequence[int]) -> int:
    """Return the first position, from 0, at which the two differ; the shorter's length where one begins the other."""
    pairs = enumerate(zip(hypothesis, reference, strict=False))
    return next((i for i, (said, wanted) in pairs if said != wanted), min(len(hypothesis), len(reference)))


def survival_curve(hypotheses: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> Survival:
    """Return how long the hypotheses equal their references, up to where none does any more."""
    pairs = list(zip(hypotheses, references, strict=True))
    lasts = numpy.array([first_wrong_position(*pair) for pair in pairs])
    # A hypothesis that the length limit cut off is censored as a reference that ends is.
    is_wrong = numpy.array([last < min(map(len, pair)) for last, pair in zip(lasts, pairs, strict=True)])
    num_wrong = numpy.bincount(lasts, weights=is_wrong)
    num_over = numpy.bincount(lasts)
    at_risk = len(pairs) - numpy.cumsum(num_over) + num_wrong
    at_risk = at_risk[at_risk > 0]
    accuracy = 1 - num_wrong[: len(at_risk)] / at_risk
    return Survival([1.0, *numpy.cumprod(accuracy).tolist()], at_risk.astype(int).tolist(), accuracy.tolist())
