"""What searches share whose hypotheses are pairs of rows, one from each end: the best next tokens, and the results.

Both tokens of a pair are chosen in one step from separate distributions, so a pair's log-probability is a sum.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.decoding.parts.largest import largest
from seq2seq.decoding.parts.state import EMPTY, BeamState, Candidates


def top_pairs(log_probs: Tensor, scores: Tensor, num_candidates: int, eos_id: int | None = None) -> Candidates:
    """Return the K best continuations of pairs among all W * V * V of each sentence.

    Their `token_ids` and `log_probs` are [B, 2, K], a token of either row, `EMPTY` for one that has ended.

    Of one pair, the continuation by the a-th best left and the c-th best right token is beaten by a * c - 1 others, so
    only those with a * c <= K are looked at.

    Args:
        log_probs: [B, 2, W, V], of the next tokens; it is changed in place where `eos_id` is given.
        scores: [B, W].
        eos_id: that of a left row that ends both, so that there is no right token; None = rows end on their own.
    """
    (width, vocab_size), device = log_probs.shape[2:], log_probs.device
    count = min(num_candidates, vocab_size)
    first, second = _staircase(num_candidates, count)
    alone = log_probs[:, 0, :, eos_id].clone() if eos_id is not None else None
    if eos_id is not None:
        log_probs[:, 0, :, eos_id] = -torch.inf
    best, token_ids = largest(log_probs, count)
    left, right = best[:, 0, :, first], best[:, 1, :, second]
    tokens = torch.stack([token_ids[:, 0, :, first], token_ids[:, 1, :, second]], dim=1)
    if alone is not None and eos_id is not None:
        left = torch.cat([left, alone.unsqueeze(-1)], dim=-1)
        right = torch.nn.functional.pad(right, (0, 1))
        ends = torch.tensor([eos_id, EMPTY], device=device)[None, :, None, None].expand(len(tokens), -1, width, 1)
        tokens = torch.cat([tokens, ends], dim=-1)
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


def _staircase(num_candidates: int, count: int) -> tuple[list[int], list[int]]:
    """Return all ranks (a, c) below `count`, counted from 0, with (a + 1) * (c + 1) <= `num_candidates`."""
    pairs = [(a, c) for a in range(count) for c in range(min(count, num_candidates // (a + 1)))]
    return [a for a, _ in pairs], [c for _, c in pairs]


Row = tuple[list[int], list[float]]
"""Tokens and their log-probabilities."""


class FinishedPair(NamedTuple):
    """A finished pair, rows in their order of generation."""

    left: Row
    right: Row
    normalized_score: float


def _row(tokens: list[int], log_probs: list[float]) -> Row:
    length = tokens.index(EMPTY) if EMPTY in tokens else len(tokens)
    return tokens[:length], log_probs[:length]


def finished_pairs(state: BeamState, sentences: Tensor) -> list[tuple[int, list[FinishedPair]]]:
    """Return (position, finished pairs, best first) of some sentences, given by their indices, int64 [B']."""
    columns = (state.positions, state.finished_tokens, state.finished_log_probs, state.finished_scores)
    results = []
    for position, tokens, log_probs, scores in zip(*(c[sentences].tolist() for c in columns), strict=True):
        pairs = [
            FinishedPair(_row(tokens[0][i], log_probs[0][i]), _row(tokens[1][i], log_probs[1][i]), scores[i])
            for i in range(len(scores))
            if scores[i] > -math.inf
        ]
        results.append((position, pairs))
    return results
