"""What a search remembers between steps, apart from the model's own state.

`BeamState` is for searches whose hypotheses compete: every step it takes ranked `Candidates`, moves the finished ones
to a pool and says which hypothesis each surviving one continues. `PathState` is for those that grow on their own.
Both are replaced, never changed in place, keep no Python per sentence, and can be had of some sentences alone.

A number that is none (NaN) ends its sentence, and stays among its hypotheses to tell: the driver makes it a failure.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import Constraints
from seq2seq.decoding.parts.largest import largest_sums
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq

EMPTY = -1
"""Stands behind the last token of a hypothesis that is shorter than its tensor."""


class OfSentences:
    """A dataclass of tensors whose first dimension is the sentence, of others like it, and of what sentences share."""

    def select(self, sentences: Tensor) -> Self:
        """Return the state of some sentences, given by their indices, int64 [B']."""
        state: Any = self
        parts = {field.name: _of_sentences(getattr(state, field.name), sentences) for field in fields(state)}
        return replace(state, **parts)


def _of_sentences(part: Any, sentences: Tensor) -> Any:
    if isinstance(part, Tensor):
        return part[sentences]
    if isinstance(part, OfSentences | Constraints):
        return part.select(sentences)
    return tuple(_of_sentences(one, sentences) for one in part) if isinstance(part, tuple) else part


@dataclass(frozen=True)
class Specials:
    """The tokens of a model that are no words."""

    pad_id: int
    eos_id: int
    start_id: int
    other_ends: tuple[int, ...] = ()
    """Tokens that end a hypothesis as end of sentence does."""

    @classmethod
    def of(cls, model: Seq2Seq | PairedSeq2Seq, other_ends: tuple[int, ...] = ()) -> "Specials":
        return cls(model.pad_id, model.eos_id, model.decoder_start_id, other_ends)

    @property
    def ends(self) -> tuple[int, ...]:
        return (self.eos_id, *self.other_ends)

    def are_ends(self, token_ids: Tensor) -> Tensor:
        """Return which of these tokens end a hypothesis, bool."""
        found = token_ids == self.eos_id
        for end in self.other_ends:
            found = found | (token_ids == end)
        return found


def can_improve(best_running_score: Tensor, worst_finished_score: Tensor, divisor: float) -> Tensor:
    """Return whether a sentence's search may still find something better, bool [B].

    The best running hypothesis is judged as if it ended at its present length without any further cost. For p <= 0
    no search that goes on can do better, so stopping loses nothing; for p > 0 a longer hypothesis might, and this is
    the usual heuristic (`early_stopping=False` of Hugging Face's `generate`).

    Args:
        best_running_score: [B], sum of log-probabilities, -inf where nothing runs.
        worst_finished_score: [B], normalised, -inf while fewer hypotheses have finished than are kept.
        divisor: `options.length_divisor` of the present length.
    """
    return best_running_score / divisor > worst_finished_score


def read_hypothesis(
    tokens: list[int], log_probs: list[float], normalized_score: float, ends: Collection[int]
) -> Hypothesis:
    length = tokens.index(EMPTY) if EMPTY in tokens else len(tokens)
    score = math.fsum(log_probs[:length])
    finished = length > 0 and tokens[length - 1] in ends
    return Hypothesis(tuple(tokens[:length]), tuple(log_probs[:length]), score, normalized_score, finished)


@dataclass(frozen=True)
class Candidates:
    """The best continuations of each sentence, best first; K of them, a score of -inf where there are fewer."""

    beams: Tensor
    """int64 [B, K], the hypothesis that is continued"""
    token_ids: Tensor
    """int64 [B, K], the token it is continued with"""
    log_probs: Tensor
    """float32 [B, K], that token's log-probability"""
    scores: Tensor
    """float32 [B, K], the continued hypothesis's sum of log-probabilities"""


def top_candidates(
    log_probs: Tensor, scores: Tensor, num_candidates: int, penalties: Tensor | None = None
) -> Candidates:
    """Return the K best continuations among all W * V of each sentence.

    Args:
        log_probs: [B, W, V], of the next token.
        scores: [B, W].
        penalties: [B, 1, V], subtracted for ranking alone; the scores returned are free of them.
    """
    ranked = log_probs if penalties is None else log_probs - penalties
    vocab_size = ranked.shape[-1]
    count = min(num_candidates, ranked[0].numel())
    _, chosen = largest_sums(ranked, scores, count)
    beams = chosen // vocab_size
    picked = log_probs.flatten(1).gather(1, chosen)
    candidates = Candidates(beams, chosen % vocab_size, picked, scores.gather(1, beams) + picked)
    return _pad_candidates(candidates, num_candidates - count)


def _pad_candidates(candidates: Candidates, num_missing: int) -> Candidates:
    """A vocabulary smaller than the beam has fewer continuations than places."""
    if num_missing == 0:
        return candidates
    pad = torch.nn.functional.pad
    return Candidates(
        pad(candidates.beams, (0, num_missing)),
        pad(candidates.token_ids, (0, num_missing)),
        pad(candidates.log_probs, (0, num_missing), value=-torch.inf),
        pad(candidates.scores, (0, num_missing), value=-torch.inf),
    )


@dataclass(frozen=True)
class BeamState(OfSentences):
    """Competing hypotheses after t steps: those that run and, per sentence, the W best that have finished.

    Where a hypothesis is a pair of rows (see `pairs`), tokens and their log-probabilities are [B, 2, W, t].
    """

    tokens: Tensor
    """int64 [B, W, t]; W is 1 before the first step"""
    log_probs: Tensor
    """float32 [B, W, t], of the tokens"""
    scores: Tensor
    """float32 [B, W], sums of log_probs, -inf where no hypothesis is left"""
    finished_tokens: Tensor
    """int64 [B, W, t], `EMPTY` behind the last token"""
    finished_log_probs: Tensor
    """float32 [B, W, t]"""
    finished_scores: Tensor
    """float32 [B, W], normalised, best first, -inf in empty places"""
    done: Tensor
    """bool [B], nothing better can be found"""
    limits: Tensor
    """int64 [B], most tokens of a hypothesis"""
    constraints: Constraints
    specials: Specials

    @classmethod
    def start(
        cls, limits: Tensor, beam_width: int, constraints: Constraints, specials: Specials, *, in_pairs: bool = False
    ) -> "BeamState":
        """Return the state before the first step.

        Args:
            limits: most steps of each sentence, int64 [B].
        """
        num_sentences, device = len(limits), limits.device
        rows = (num_sentences, 2) if in_pairs else (num_sentences,)
        return cls(
            tokens=torch.zeros(*rows, 1, 0, dtype=torch.long, device=device),
            log_probs=torch.zeros(*rows, 1, 0, device=device),
            scores=torch.zeros(num_sentences, 1, device=device),
            finished_tokens=torch.zeros(*rows, beam_width, 0, dtype=torch.long, device=device),
            finished_log_probs=torch.zeros(*rows, beam_width, 0, device=device),
            finished_scores=torch.full((num_sentences, beam_width), -torch.inf, device=device),
            done=torch.zeros(num_sentences, dtype=torch.bool, device=device),
            limits=limits,
            constraints=constraints,
            specials=specials,
        )

    @property
    def beam_width(self) -> int:
        return self.finished_scores.shape[1]

    @property
    def length(self) -> int:
        return self.tokens.shape[-1]

    def known_tokens(self) -> Tensor:
        """Return the tokens, int64 [B, W, t]; a hypothesis that runs has no empty places."""
        return self.tokens

    def last_tokens(self) -> Tensor:
        """Return what the model is fed next, int64 [B, W]."""
        if self.length == 0:
            return self.tokens.new_full(self.tokens.shape[:-1], self.specials.start_id)
        return self.tokens[..., -1]

    def advance(
        self, candidates: Candidates, divisor: float, *, early_stopping: bool, beam_width: int | None = None
    ) -> tuple["BeamState", Tensor]:
        """Return the state one token later, and the hypothesis that each new one continues, int64 [B, W].

        Args:
            candidates: 2 W, so that W can run on even when W of them end; W more for each other token that ends.
            divisor: what scores of the new length are divided by.
            early_stopping: whether a sentence is done once W hypotheses have finished, whatever may still come.
            beam_width: how many run on, by default as many as the pool holds.
        """
        ends, normalized = self.specials.are_ends(candidates.token_ids), candidates.scores / divisor
        return self.choose(candidates, ends, normalized, divisor, early_stopping=early_stopping, beam_width=beam_width)

    def choose(
        self,
        candidates: Candidates,
        ends: Tensor,
        normalized: Tensor,
        divisor: float,
        *,
        early_stopping: bool,
        beam_width: int | None = None,
    ) -> tuple["BeamState", Tensor]:
        """Return what `advance` does, of candidates that end and are ranked as the caller says.

        Args:
            ends: bool [B, 2 W].
            normalized: float32 [B, 2 W], what ranks a candidate that ends.
            divisor: what a running hypothesis's score is divided by to see whether it may still become better.
        """
        width = beam_width or self.beam_width
        parents = candidates.beams
        tokens = _continue(self.tokens, parents, candidates.token_ids)
        log_probs = _continue(self.log_probs, parents, candidates.log_probs)
        at_limit = self.limits == self.length + 1
        ends = ends | normalized.isnan()
        runs = self.done.unsqueeze(1) >= (ends | at_limit.unsqueeze(1))  # of truth values: done, or neither
        pooled = normalized.masked_fill(runs, -torch.inf)
        finished_tokens, finished_log_probs, finished_scores = self._pool(tokens, log_probs, pooled, width)

        # A stable sort keeps the candidates' order among those that run on, whatever had ranked them.
        survivors = ends.byte().argsort(dim=1, stable=True)[:, :width]
        scores = candidates.scores.masked_fill(ends, -torch.inf).gather(1, survivors)
        worst = finished_scores[:, -1]
        runs_on = worst == -torch.inf if early_stopping else can_improve(scores.amax(1), worst, divisor)
        state = replace(
            self,
            tokens=_gather(tokens, survivors),
            log_probs=_gather(log_probs, survivors),
            scores=scores,
            done=self.done | at_limit | ~runs_on,
            finished_tokens=finished_tokens,
            finished_log_probs=finished_log_probs,
            finished_scores=finished_scores,
        )
        return state, parents.gather(1, survivors)

    def _pool(self, tokens: Tensor, log_probs: Tensor, normalized: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best of the finished hypotheses and the first W candidates (later ones may not finish)."""
        pad = torch.nn.functional.pad
        all_tokens = torch.cat([pad(self.finished_tokens, (0, 1), value=EMPTY), tokens[..., :width, :]], dim=-2)
        all_log_probs = torch.cat([pad(self.finished_log_probs, (0, 1)), log_probs[..., :width, :]], dim=-2)
        scores, order = torch.cat([self.finished_scores, normalized[:, :width]], dim=1).topk(self.beam_width)
        return _gather(all_tokens, order), _gather(all_log_probs, order), scores

    def agreed(self, sentence: int) -> list[int]:
        """Return the tokens that all hypotheses of a sentence begin with, those that run and those that have ended."""
        runs, ended = self.scores[sentence] > -torch.inf, self.finished_scores[sentence] > -torch.inf
        return common_start(torch.cat([self.tokens[sentence][runs], self.finished_tokens[sentence][ended]]))

    def hypotheses(self, sentences: Tensor) -> list[list[Hypothesis]]:
        """Return the finished hypotheses, best first, of some sentences, given by their indices, int64 [B']."""
        columns = (self.finished_tokens, self.finished_log_probs, self.finished_scores)
        return [
            [
                read_hypothesis(t, p, s, self.specials.ends)
                for t, p, s in zip(tokens, log_probs, scores, strict=True)
                if s != -math.inf
            ]
            for tokens, log_probs, scores in zip(*(c[sentences].tolist() for c in columns), strict=True)
        ]


@dataclass(frozen=True)
class PathState(OfSentences):
    """Hypotheses that grow on their own, after t steps."""

    tokens: Tensor
    """int64 [B, N, t], `EMPTY` behind the last token; N is 1 before the first step"""
    log_probs: Tensor
    """float32 [B, N, t], of the tokens"""
    ended: Tensor
    """bool [B, N]"""
    limits: Tensor
    """int64 [B], most tokens of a hypothesis"""
    constraints: Constraints
    specials: Specials

    @classmethod
    def start(cls, limits: Tensor, num_paths: int, constraints: Constraints, specials: Specials) -> "PathState":
        """Return the state before the first step."""
        num_sentences, device = len(limits), limits.device
        return cls(
            tokens=torch.zeros(num_sentences, num_paths, 0, dtype=torch.long, device=device),
            log_probs=torch.zeros(num_sentences, num_paths, 0, device=device),
            ended=torch.zeros(num_sentences, num_paths, dtype=torch.bool, device=device),
            limits=limits,
            constraints=constraints,
            specials=specials,
        )

    @property
    def done(self) -> Tensor:
        """bool [B], all hypotheses have ended"""
        return self.ended.all(1)

    @property
    def length(self) -> int:
        return self.tokens.shape[-1]

    def append(self, token_ids: Tensor, log_probs: Tensor) -> "PathState":
        """Return the state one token later; `token_ids` and `log_probs`, [B, N], do not count where it has ended."""
        added = token_ids.masked_fill(self.ended, EMPTY).unsqueeze(-1)
        tokens = torch.cat([self.tokens, added], dim=-1)
        at_limit = (self.limits == tokens.shape[-1]).unsqueeze(1)
        return replace(
            self,
            tokens=tokens,
            log_probs=torch.cat([self.log_probs, log_probs.unsqueeze(-1)], dim=-1),
            ended=self.ended | self.specials.are_ends(token_ids) | at_limit | log_probs.isnan(),
        )

    def known_tokens(self) -> Tensor:
        """Return the tokens, int64 [B, N, t], with padding in empty places."""
        return self.tokens.masked_fill(self.tokens == EMPTY, self.specials.pad_id)

    def last_tokens(self) -> Tensor:
        """Return what the model is fed next, int64 [B, N]."""
        if self.length == 0:
            return self.tokens.new_full(self.tokens.shape[:-1], self.specials.start_id)
        return self.tokens[..., -1].masked_fill(self.ended, self.specials.pad_id)

    def agreed(self, sentence: int) -> list[int]:
        """Return the tokens that all hypotheses of a sentence begin with."""
        return common_start(self.tokens[sentence])

    def hypotheses(self, sentences: Tensor, divisor: Callable[[int], float]) -> list[list[Hypothesis]]:
        """Return the hypotheses, best first, of some sentences, given by their indices, int64 [B'].

        Those that had ended before the first step are left out.

        Args:
            divisor: what the score of a hypothesis of so many tokens is divided by.
        """
        results = []
        for tokens, log_probs in zip(self.tokens[sentences].tolist(), self.log_probs[sentences].tolist(), strict=True):
            found = [
                read_hypothesis(t, p, math.nan, self.specials.ends) for t, p in zip(tokens, log_probs, strict=True)
            ]
            scored = [replace(h, normalized_score=h.score / divisor(len(h.tokens))) for h in found if h.tokens]
            results.append(sorted(scored, key=lambda h: -h.normalized_score))
        return results


def common_start(tokens: Tensor) -> list[int]:
    """Return the tokens that all rows of int64 [N, t] begin with; of a single row its own, without what is empty."""
    if len(tokens) == 0:
        return []
    same = (tokens == tokens[0]).all(0) & (tokens[0] != EMPTY)
    return tokens[0][: int(same.cumprod(0).sum())].tolist()


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Return values, [B, W, X] or [B, 2, W, X], of the hypotheses index, int64 [B, W']: with W' in place of W."""
    index = index.unsqueeze(-1) if values.dim() == 3 else index[:, None, :, None]
    return values.gather(-2, index.expand(*values.shape[:-2], -1, values.shape[-1]))


def _continue(values: Tensor, parents: Tensor, added: Tensor) -> Tensor:
    """Return values, [B, W, t] or [B, 2, W, t], of the parents, int64 [B, K], with one more each."""
    return torch.cat([_gather(values, parents), added.unsqueeze(-1)], dim=-1)
