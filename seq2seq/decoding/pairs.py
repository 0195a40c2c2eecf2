"""What searches share whose hypotheses are pairs of rows, one from each end: the best next tokens, and a state.

Both tokens of a pair are chosen in one step from separate distributions, so a pair's log-probability is a sum.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.decoding.largest import largest
from seq2seq.decoding.scoring import can_improve
from seq2seq.decoding.state import EMPTY


class PairCandidates(NamedTuple):
    """The best continuations of each sentence, best first; K of them."""

    beams: Tensor
    """int64 [B, K], the pair that is continued"""
    token_ids: Tensor
    """int64 [B, 2, K], what either row is continued with; `EMPTY` for one that has ended"""
    log_probs: Tensor
    """float32 [B, 2, K]"""
    scores: Tensor
    """float32 [B, K], the continued pair's sum of log-probabilities, -inf where there are fewer"""


def top_pairs(log_probs: Tensor, scores: Tensor, num_candidates: int, eos_id: int | None = None) -> PairCandidates:
    """Return the K best continuations of pairs among all W * V * V of each sentence.

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
    return PairCandidates(
        pad(beams, (0, missing)),
        pad(tokens.flatten(2).gather(2, chosen_pairs), (0, missing)),
        pad(picked, (0, missing), value=-torch.inf),
        pad(found, (0, missing), value=-torch.inf),
    )


def _staircase(num_candidates: int, count: int) -> tuple[list[int], list[int]]:
    """Return all ranks (a, c) below `count`, counted from 0, with (a + 1) * (c + 1) <= `num_candidates`."""
    pairs = [(a, c) for a in range(count) for c in range(min(count, num_candidates // (a + 1)))]
    return [a for a, _ in pairs], [c for _, c in pairs]


@dataclass(frozen=True)
class PairBeamState:
    """Competing pairs after t steps: those that run and, per sentence, the W best that have finished."""

    tokens: Tensor
    """int64 [B, 2, W, t], `EMPTY` behind the end of a row; W is 1 before the first step"""
    log_probs: Tensor
    """float32 [B, 2, W, t], of the tokens; 0 behind the end"""
    scores: Tensor
    """float32 [B, W], sums over both rows, -inf where no pair is left"""
    finished_tokens: Tensor
    """int64 [B, 2, W, t]"""
    finished_log_probs: Tensor
    """float32 [B, 2, W, t]"""
    finished_scores: Tensor
    """float32 [B, W], normalised, best first, -inf in empty places"""
    done: Tensor
    """bool [B], nothing better can be found"""
    limits: Tensor
    """int64 [B], most steps"""
    positions: Tensor
    """int64 [B], the sentence's place in the batch that search was given"""

    @classmethod
    def start(cls, limits: Tensor, beam_width: int) -> "PairBeamState":
        num_sentences, device = len(limits), limits.device
        return cls(
            tokens=torch.zeros(num_sentences, 2, 1, 0, dtype=torch.long, device=device),
            log_probs=torch.zeros(num_sentences, 2, 1, 0, device=device),
            scores=torch.zeros(num_sentences, 1, device=device),
            finished_tokens=torch.zeros(num_sentences, 2, beam_width, 0, dtype=torch.long, device=device),
            finished_log_probs=torch.zeros(num_sentences, 2, beam_width, 0, device=device),
            finished_scores=torch.full((num_sentences, beam_width), -torch.inf, device=device),
            done=torch.zeros(num_sentences, dtype=torch.bool, device=device),
            limits=limits,
            positions=torch.arange(num_sentences, device=device),
        )

    @property
    def length(self) -> int:
        """Steps taken so far."""
        return self.tokens.shape[-1]

    @property
    def at_limit(self) -> Tensor:
        """bool [B], whether the next step is the last."""
        return self.limits == self.length + 1

    def advance(
        self,
        candidates: PairCandidates,
        ends: Tensor,
        normalized: Tensor,
        divisor: float,
        *,
        early_stopping: bool = False,
    ) -> tuple["PairBeamState", Tensor]:
        """Return the state one step later, and the pair that each new one continues, int64 [B, W].

        Args:
            candidates: 2 W.
            ends: bool [B, 2 W], whether a candidate ends its pair.
            normalized: float32 [B, 2 W], the score by which a candidate that ends is ranked.
            divisor: what the score of a running pair is divided by to see whether it may still become better.
        """
        width = self.finished_scores.shape[1]
        tokens = _continue(self.tokens, candidates.beams, candidates.token_ids)
        log_probs = _continue(self.log_probs, candidates.beams, candidates.log_probs)
        finishes = (ends | self.at_limit.unsqueeze(1)) & ~self.done.unsqueeze(1)
        finished = self._pool(tokens, log_probs, normalized.masked_fill(~finishes, -torch.inf), width)
        survivors = ends.byte().argsort(dim=1, stable=True)[:, :width]
        scores = candidates.scores.masked_fill(ends, -torch.inf).gather(1, survivors)
        worst = finished["finished_scores"][:, -1]
        runs_on = worst == -torch.inf if early_stopping else can_improve(scores.amax(1), worst, divisor)
        state = replace(
            self,
            tokens=_gather(tokens, survivors),
            log_probs=_gather(log_probs, survivors),
            scores=scores,
            done=self.done | self.at_limit | ~runs_on,
            **finished,
        )
        return state, candidates.beams.gather(1, survivors)

    def _pool(self, tokens: Tensor, log_probs: Tensor, normalized: Tensor, width: int) -> dict[str, Tensor]:
        """Return the best W of the finished pairs and the first W candidates (later ones may not finish)."""
        pad = torch.nn.functional.pad
        all_tokens = torch.cat([pad(self.finished_tokens, (0, 1), value=EMPTY), tokens[:, :, :width]], dim=2)
        all_log_probs = torch.cat([pad(self.finished_log_probs, (0, 1)), log_probs[:, :, :width]], dim=2)
        scores, order = torch.cat([self.finished_scores, normalized[:, :width]], dim=1).topk(width)
        return {
            "finished_tokens": _gather(all_tokens, order),
            "finished_log_probs": _gather(all_log_probs, order),
            "finished_scores": scores,
        }

    def finished(self, sentences: Tensor) -> list[tuple[int, list["FinishedPair"]]]:
        """Return (position, finished pairs, best first) of some sentences, given by their indices, int64 [B']."""
        columns = (self.positions, self.finished_tokens, self.finished_log_probs, self.finished_scores)
        results = []
        for position, tokens, log_probs, scores in zip(*(c[sentences].tolist() for c in columns), strict=True):
            pairs = [
                FinishedPair(_row(tokens[0][i], log_probs[0][i]), _row(tokens[1][i], log_probs[1][i]), scores[i])
                for i in range(len(scores))
                if scores[i] > -math.inf
            ]
            results.append((position, pairs))
        return results


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


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Return values, [B, 2, W, t], of the pairs index, int64 [B, W']: [B, 2, W', t]."""
    return values.gather(2, index[:, None, :, None].expand(-1, 2, -1, values.shape[-1]))


def _continue(values: Tensor, parents: Tensor, added: Tensor) -> Tensor:
    """Return values, [B, 2, W, t], of the parents, int64 [B, K], with one more each, [B, 2, K]: [B, 2, K, t + 1]."""
    return torch.cat([_gather(values, parents), added.unsqueeze(-1)], dim=-1)
