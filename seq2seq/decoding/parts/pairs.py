"""What searches share whose hypotheses are pairs of rows, one from each end: the best next tokens, and the results.

Both tokens of a pair are chosen in one step from separate distributions, so a pair's log-probability is a sum.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.decoding.parts.largest import largest
from seq2seq.decoding.parts.state import EMPTY, BeamState, Candidates


@dataclass(frozen=True)
class RankPairs:
    """Which continuations of a pair may be among its K best, by the ranks of their tokens.

    The continuation by the a-th best left and the c-th best right token is beaten by a * c - 1 others, so only those
    with a * c <= K are looked at. Made once a search, where the search runs.
    """

    num_candidates: int
    """K"""
    count: int
    """Tokens of either row that are ranked."""
    left: Tensor
    """int64 [R], ranks counted from 0"""
    right: Tensor
    """int64 [R]"""
    eos_id: int | None
    """That of a left row that ends both, so that there is no right token; None = rows end on their own."""
    end: Tensor
    """int64 [1, 2, 1, 1], the tokens of a pair that its left row ends"""

    @classmethod
    def create(
        cls, num_candidates: int, vocab_size: int, device: torch.device, eos_id: int | None = None
    ) -> "RankPairs":
        """Return the ranks to look at."""
        count = min(num_candidates, vocab_size)
        ranks = [(a, c) for a in range(count) for c in range(min(count, num_candidates // (a + 1)))]
        left, right = torch.tensor(ranks, device=device).unbind(1)
        end = torch.tensor([EMPTY if eos_id is None else eos_id, EMPTY], device=device)[None, :, None, None]
        return cls(num_candidates, count, left, right, eos_id, end)


def top_pairs(log_probs: Tensor, scores: Tensor, ranks: RankPairs) -> Candidates:
    """Return the K best continuations of pairs among all W * V * V of each sentence.

    Their `token_ids` and `log_probs` are [B, 2, K], a token of either row, `EMPTY` for one that has ended.

    Args:
        log_probs: [B, 2, W, V], of the next tokens; it is changed in place where a left row ends both.
        scores: [B, W].
    """
    num_candidates, eos_id = ranks.num_candidates, ranks.eos_id
    alone = log_probs[:, 0, :, eos_id].clone() if eos_id is not None else None
    if eos_id is not None:
        log_probs[:, 0, :, eos_id] = -torch.inf
    best, token_ids = largest(log_probs, ranks.count)
    left, right = best[:, 0, :, ranks.left], best[:, 1, :, ranks.right]
    tokens = torch.stack([token_ids[:, 0, :, ranks.left], token_ids[:, 1, :, ranks.right]], dim=1)
    if alone is not None:
        left = torch.cat([left, alone.unsqueeze(-1)], dim=-1)
        right = torch.nn.functional.pad(right, (0, 1))
        tokens = torch.cat([tokens, ranks.end.expand(len(tokens), -1, tokens.shape[2], 1)], dim=-1)
    sums = (scores.unsqueeze(-1) + left + right).flatten(1)
    found, chosen = sums.topk(min(num_candidates, sums.shape[1]), dim=1)
    chosen_pairs = chosen.unsqueeze(1).expand(-1, 2, -1)
    picked = torch.stack([left, right], dim=1).flatten(2).gather(2, chosen_pairs)
    beams = chosen // left.shape[-1]
    missing = num_candidates - chosen.shape[1]
    pad = torch.nn.functional.pad
    return Candidates(
        pad(beams, (0, missing)),
        pad(tokens.flatten(2).gather(2, chosen_pairs), (0, missing)),
        pad(picked, (0, missing), value=-torch.inf),
        pad(found, (0, missing), value=-torch.inf),
    )


PathTokens = tuple[list[int], list[float]]
"""Tokens and their log-probabilities."""


class FinishedPair(NamedTuple):
    """A finished pair, rows in their order of generation."""

    left: PathTokens
    right: PathTokens
    normalized_score: float


def _row(tokens: list[int], log_probs: list[float]) -> PathTokens:
    length = tokens.index(EMPTY) if EMPTY in tokens else len(tokens)
    return tokens[:length], log_probs[:length]


def finished_pairs(state: BeamState, sentences: Tensor) -> list[list[FinishedPair]]:
    """Return the finished pairs, best first, of some sentences, given by their indices, int64 [B']."""
    columns = (state.finished_tokens, state.finished_log_probs, state.finished_scores)
    return [
        [
            FinishedPair(_row(tokens[0][i], log_probs[0][i]), _row(tokens[1][i], log_probs[1][i]), scores[i])
            for i in range(len(scores))
            if scores[i] != -math.inf
        ]
        for tokens, log_probs, scores in zip(*(c[sentences].tolist() for c in columns), strict=True)
    ]
