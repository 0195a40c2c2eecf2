"""Random segmentations of words, for subword regularisation.

A word and a seeded `random.Random` enter, its pieces leave, and always spell the word. The tokenizer libraries can
sample too, but not from a seed per text, on which exact resume and independence of batches rest.
"""

import math
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate, pairwise
from random import Random
from typing import Protocol

UNKNOWN_PENALTY = 10.0
"""How far an unknown character's log-probability is below the least likely piece's, as in SentencePiece."""


REMEMBERED_WORDS = 50_000
"""Words whose lattice is kept; only the walk through it is random."""

Lattice = list[tuple[list[int], list[float]]]
"""For each position of a word, where the pieces ending there start, and the running sum of their probabilities."""


class Segmenter(Protocol):
    """Splits a word into pieces; a character that is in no piece is a piece by itself."""

    def __call__(self, word: str, random: Random) -> list[str]: ...


class BpeDropout:
    """BPE that skips merges at random (Provilkov et al. 2020, algorithm 1).

    At each step every possible merge is dropped with probability `rate`, and the best of the others is done; a word is
    finished when none is left. Rate 0 is ordinary BPE.

    Args:
        merge_rank: rank of merging two pieces, lower is earlier; infinite where they do not merge.
    """

    def __init__(self, merge_rank: Callable[[str, str], float], rate: float) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"`sampling` is {rate}; with BPE it is a probability, from 0 to 1.")
        self.merge_rank = merge_rank
        self.rate = rate

    def __call__(self, word: str, random: Random) -> list[str]:
        pieces = list(word)
        ranks = [self.merge_rank(left, right) for left, right in pairwise(pieces)]
        while (best := self._survivor(ranks, random)) is not None:
            pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]
            del ranks[best]
            if best > 0:
                ranks[best - 1] = self.merge_rank(pieces[best - 1], pieces[best])
            if best < len(ranks):
                ranks[best] = self.merge_rank(pieces[best], pieces[best + 1])
        return pieces

    def _survivor(self, ranks: list[float], random: Random) -> int | None:
        """Return the index of the best merge that is not dropped.

        Dropping from the best on until one stays has the same distribution as drawing for all merges at once.
        """
        while ranks and (rank := min(ranks)) < math.inf:
            best = ranks.index(rank)
            if not self.rate or random.random() >= self.rate:
                return best
            ranks = [*ranks[:best], math.inf, *ranks[best + 1 :]]
        return None


class UnigramSampling:
    """Draws a segmentation with probability proportional to P(segmentation)^alpha (Kudo 2018, section 3.3).

    Exact, by forward filtering and backward sampling over the lattice of all segmentations, where Kudo takes the l
    best. A large alpha gives the likeliest segmentation.

    Args:
        scores: log-probability of each piece.
    """

    def __init__(self, scores: dict[str, float], alpha: float) -> None:
        if alpha <= 0:
            raise ValueError(f"`sampling` is {alpha}; with Unigram it is the exponent alpha, above 0.")
        self.scores = {piece: alpha * score for piece, score in scores.items()}
        self.unknown = alpha * (min(scores.values()) - UNKNOWN_PENALTY)
        self.longest = max(map(len, scores))
        self.remembered: dict[str, Lattice] = {}

    def __call__(self, word: str, random: Random) -> list[str]:
        lattice = self.remembered.get(word)
        if lattice is None:
            lattice = self._lattice(word)
            if len(self.remembered) < REMEMBERED_WORDS:
                self.remembered[word] = lattice
        pieces = []
        end = len(word)
        while end > 0:
            starts, cumulative = lattice[end]
            start = (
                starts[0]
                if len(starts) == 1
                else starts[bisect(cumulative, random.random() * cumulative[-1], hi=len(starts) - 1)]
            )
            pieces.append(word[start:end])
            end = start
        return pieces[::-1]

    def _lattice(self, word: str) -> Lattice:
        totals = [0.0]
        lattice: Lattice = [([], [])]
        for end in range(1, len(word) + 1):
            starts, logits = [], []
            for start in range(max(0, end - self.longest), end):
                score = self.scores.get(word[start:end])
                if score is None and start == end - 1:
                    score = self.unknown
                if score is not None:
                    starts.append(start)
                    logits.append(totals[start] + score)
            highest = max(logits)
            cumulative = list(accumulate(math.exp(logit - highest) for logit in logits))
            totals.append(highest + math.log(cumulative[-1]))
            lattice.append((starts, cumulative))
        return lattice
