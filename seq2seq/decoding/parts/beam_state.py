"""What a search remembers of hypotheses that compete.

Every step it takes ranked `Candidates`, moves the finished ones to a pool and says which hypothesis each surviving one
continues.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import Constraints
from seq2seq.decoding.parts.largest import largest_sums
from seq2seq.decoding.parts.state import EMPTY, Growing, Specials, before, common_start, read_hypothesis
from seq2seq.generation.hypothesis import Hypothesis


def can_improve(best_running_score: Tensor, worst_finished_score: Tensor, divisor: float | Tensor) -> Tensor:
    """Return whether a sentence's search may still find something better, bool [B].

    The best running hypothesis is judged as if it ended at its present length without any further cost. For p <= 0
    no search that goes on can do better, so stopping loses nothing; for p > 0 a longer hypothesis might, and this is
    the usual heuristic (`early_stopping=False` of Hugging Face's `generate`).

    Args:
        best_running_score: [B], sum of log-probabilities, -inf where nothing runs.
        worst_finished_score: [B], normalised, -inf while fewer hypotheses have finished than are kept.
        divisor: `options.length_divisor` of the present length; [B] where sentences came at several times.
    """
    return best_running_score / divisor > worst_finished_score


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


@dataclass(frozen=True, kw_only=True)
class BeamState(Growing):
    """Competing hypotheses after t steps: those that run and, per sentence, the W best that have finished.

    Where a hypothesis is a pair of rows (see `pairs`), tokens and their log-probabilities are [B, 2, W, t]. W is 1
    before the first step.
    """

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

    def known_tokens(self) -> Tensor:
        """See `Growing`; a hypothesis that runs has no empty places but those in front."""
        return self.tokens

    def since(self, step: int) -> Self:
        tokens, log_probs = self.finished_tokens[..., step:], self.finished_log_probs[..., step:]
        return replace(super().since(step), finished_tokens=tokens, finished_log_probs=log_probs)

    def aged(self, steps: int) -> Self:
        """See `Growing`; the only hypothesis there is gets company that is none."""
        alone, missing = super().aged(steps), (0, 0, 0, self.beam_width - 1)
        pad = torch.nn.functional.pad
        return replace(
            alone,
            tokens=pad(alone.tokens, missing, value=EMPTY),
            log_probs=pad(alone.log_probs, missing),
            scores=pad(alone.scores, missing[2:], value=-torch.inf),
            finished_tokens=before(self.finished_tokens, steps, EMPTY),
            finished_log_probs=before(self.finished_log_probs, steps),
        )

    def advance(
        self, candidates: Candidates, divisor: float | Tensor, *, early_stopping: bool, beam_width: int | None = None
    ) -> tuple["BeamState", Tensor]:
        """Return the state one token later, and the hypothesis that each new one continues, int64 [B, W].

        Args:
            candidates: 2 W, so that W can run on even when W of them end; W more for each other token that ends.
            divisor: what scores of the new length are divided by; [B, 1] where sentences came at several times.
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
        divisor: float | Tensor,
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
        if early_stopping:
            runs_on = worst == -torch.inf
        else:
            by = divisor.squeeze(1) if isinstance(divisor, Tensor) else divisor
            runs_on = can_improve(scores.amax(1), worst, by)
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
        tokens = torch.cat([self.tokens[sentence][runs], self.finished_tokens[sentence][ended]])
        return common_start(tokens[:, self.start_of(sentence) :])

    def hypotheses(self, sentences: Tensor) -> list[list[Hypothesis]]:
        """Return the finished hypotheses, best first, of some sentences, given by their indices, int64 [B']."""
        columns = (self.finished_tokens, self.finished_log_probs, self.finished_scores)
        of_each = zip(*(column[sentences].tolist() for column in columns), self.starts_of(sentences), strict=True)
        return [
            [
                read_hypothesis(t[start:], p[start:], s, self.specials.ends)
                for t, p, s in zip(tokens, log_probs, scores, strict=True)
                if s != -math.inf
            ]
            for tokens, log_probs, scores, start in of_each
        ]


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Return values, [B, W, X] or [B, 2, W, X], of the hypotheses index, int64 [B, W']: with W' in place of W."""
    index = index.unsqueeze(-1) if values.dim() == 3 else index[:, None, :, None]
    return values.gather(-2, index.expand(*values.shape[:-2], -1, values.shape[-1]))


def _continue(values: Tensor, parents: Tensor, added: Tensor) -> Tensor:
    """Return values, [B, W, t] or [B, 2, W, t], of the parents, int64 [B, K], with one more each."""
    return torch.cat([_gather(values, parents), added.unsqueeze(-1)], dim=-1)
