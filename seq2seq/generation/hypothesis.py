"""What any engine returns for one source as token ids: hypotheses, or a failure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    `tokens` start after the decoder's start token and end with end of sentence when `finished` (the length limit was
    not hit). `score` is the sum of `token_log_probs`, natural logarithm; `normalized_score`, what ranked it, is
    the score divided by the length penalty, what both directions give it where it was rescored, or in minimum Bayes
    risk decoding its expected utility. Higher is better. Tokens read from left to right, in whichever `direction` they
    were generated.
    """

    tokens: tuple[int, ...]
    token_log_probs: tuple[float, ...]
    score: float
    normalized_score: float
    finished: bool
    direction: str = "l2r"
    error: str | None = None
    """Why there is no hypothesis: what was wrong with the sentence and what to do; then there are no tokens."""


NOT_FINITE = (
    "The model's logits are not finite for this sentence; look for NaN in the model's weights, or compute in a wider "
    "type than fp16."
)
IMPOSSIBLE = (
    "Every continuation has a probability of 0, by the model or what it may not say; loosen the constraints or the "
    "forced prefix."
)


def failure(error: str) -> Hypothesis:
    """Return what stands in the place of the hypotheses of a sentence that failed."""
    return Hypothesis((), (), 0.0, 0.0, finished=False, error=error)


def has_failed(hypotheses: Sequence[Hypothesis]) -> bool:
    """Return whether these stand for a sentence that failed."""
    return hypotheses[0].error is not None


def first_failure(lists: Sequence[list[Hypothesis]]) -> list[Hypothesis] | None:
    """Return the failure among what several searches found for one sentence; None if there is none."""
    return next((hypotheses for hypotheses in lists if has_failed(hypotheses)), None)


def checked(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """Return the hypotheses of a sentence, or its failure if there are none or a score is no number."""
    if any(math.isnan(hypothesis.normalized_score) for hypothesis in hypotheses):
        return [failure(NOT_FINITE)]
    return hypotheses or [failure(IMPOSSIBLE)]


def found_or_error(results: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
    """Return the results of a batch, for callers that can do without none of them.

    Raises:
        ValueError: a sentence failed.
    """
    for position, hypotheses in enumerate(results):
        if has_failed(hypotheses):
            raise ValueError(f"Sentence {position} of the batch: {hypotheses[0].error}")
    return results
