"""What a search returns for one source: hypotheses with every number that ranked them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    `tokens` start after the decoder's start token and end with end of sentence when `finished` (the length limit was
    not hit). `score` is the sum of `token_log_probs`, natural logarithm; `normalized_score`, what ranked it, is
    the score divided by the length penalty plus any coverage penalty, what both directions give it where it was
    rescored, or in minimum Bayes risk decoding its expected utility. Higher is better. Tokens read from left to right,
    in whichever `direction` they were generated.
    """

    tokens: tuple[int, ...]
    token_log_probs: tuple[float, ...]
    score: float
    normalized_score: float
    finished: bool
    direction: str = "l2r"
    error: str | None = None
    """Why the search of this sentence failed; there are no tokens then."""
