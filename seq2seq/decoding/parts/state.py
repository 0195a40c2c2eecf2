"""What a search remembers between steps, apart from the model's own state: what all such states have in common.

They are replaced, never changed in place, keep no Python per sentence, and can be had of some sentences alone. Others
may join those that have made steps already: all live by one clock, and what came later has empty places in front.

A number that is none (NaN) ends its sentence, and stays among its hypotheses to tell: the driver makes it a failure.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import Constraints, log_probs_in_place, next_log_probs
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq

EMPTY = -1
"""Stands behind the last token of a hypothesis that is shorter than its tensor, and before the first of one that came
later."""


class OfSentences:
    """A dataclass of tensors whose first dimension is the sentence, of others like it, and of what sentences share."""

    def select(self, sentences: Tensor) -> Self:
        """Return the state of some sentences, given by their indices, int64 [B']."""
        state: Any = self
        parts = {field.name: _of_sentences(getattr(state, field.name), sentences) for field in fields(state)}
        return replace(state, **parts)

    def followed_by(self, others: Self) -> Self:
        """Return the state of these sentences and of others behind them, whose tensors have the same sizes."""
        state: Any = self
        names = [field.name for field in fields(state)]
        return replace(state, **{name: _followed(getattr(state, name), getattr(others, name)) for name in names})


def _of_sentences(part: Any, sentences: Tensor) -> Any:
    if isinstance(part, Tensor):
        return part[sentences]
    if isinstance(part, OfSentences | Constraints):
        return part.select(sentences)
    return tuple(_of_sentences(one, sentences) for one in part) if isinstance(part, tuple) else part


def _followed(part: Any, other: Any) -> Any:
    if isinstance(part, Tensor):
        return torch.cat([part, other])
    return part.followed_by(other) if isinstance(part, OfSentences) else part


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


@dataclass(frozen=True, kw_only=True)
class Growing(OfSentences):
    """Hypotheses after t steps, which grow by a token a step."""

    tokens: Tensor
    """int64 [B, W, t], `EMPTY` where a hypothesis has none"""
    log_probs: Tensor
    """float32 [B, W, t], of the tokens"""
    limits: Tensor
    """int64 [B], steps after which a hypothesis has as many tokens as it may have"""
    constraints: Constraints
    specials: Specials
    starts: Tensor | None = None
    """int64 [B], steps that had been made when each sentence came; None = all were there before the first."""

    @property
    def length(self) -> int:
        """Steps so far."""
        return self.tokens.shape[-1]

    @property
    def age(self) -> int:
        """Steps since the oldest sentence came."""
        return self.length if self.starts is None else self.length - int(self.starts.min())

    def ages(self) -> Tensor:
        """Return the steps since each sentence came, int64 [B]."""
        return torch.full_like(self.limits, self.length) if self.starts is None else self.length - self.starts

    def last_tokens(self) -> Tensor:
        """Return what the model is fed next, int64 [B, W]: the newest tokens, or where there is none the start."""
        if self.length == 0:
            return self.tokens.new_full(self.tokens.shape[:-1], self.specials.start_id)
        newest = self.tokens[..., -1]
        if self.starts is None:
            return newest
        return newest.masked_fill((self.starts == self.length).unsqueeze(1), self.specials.start_id)

    def next_log_probs(self, logits: Tensor) -> Tensor:
        """Return the next tokens' log-probabilities, float32 [B, W, V], with -inf where the constraints forbid them.

        Args:
            logits: [B, W, V]; in float32 they are overwritten.
        """
        if self.starts is None:
            return next_log_probs(logits, self)
        starts = self.starts.unique().tolist()
        if not any(self.constraints.active(self.length - start) for start in starts):
            return log_probs_in_place(logits)
        found = torch.empty_like(logits, dtype=torch.float32)
        for start in starts:
            sentences = (self.starts == start).nonzero().squeeze(1)
            found[sentences] = next_log_probs(logits[sentences], self.select(sentences).since(start))
        return found

    def known_tokens(self) -> Tensor:
        """Return the tokens, int64 [B, W, t], with padding in empty places."""
        return self.tokens.masked_fill(self.tokens == EMPTY, self.specials.pad_id)

    def starts_of(self, sentences: Tensor) -> list[int]:
        """Return the places that are empty in front, of some sentences, given by their indices, int64 [B']."""
        return [0] * len(sentences) if self.starts is None else self.starts[sentences].tolist()

    def start_of(self, sentence: int) -> int:
        return 0 if self.starts is None else int(self.starts[sentence])

    def since(self, step: int) -> Self:
        """Return the state as if there had been no steps before this one, up to which nobody has a token."""
        starts = self.limits.new_zeros(len(self.limits)) if self.starts is None else self.starts - step
        tokens, log_probs = self.tokens[..., step:], self.log_probs[..., step:]
        return replace(self, tokens=tokens, log_probs=log_probs, limits=self.limits - step, starts=starts)

    def aged(self, steps: int) -> Self:
        """Return the state of sentences that have made no step yet, as if there had been so many without them."""
        tokens, log_probs = before(self.tokens, steps, EMPTY), before(self.log_probs, steps)
        starts = torch.full_like(self.limits, steps)
        return replace(self, tokens=tokens, log_probs=log_probs, limits=self.limits + steps, starts=starts)

    def join(self, fresh: Self) -> Self:
        """Return the state with others behind, which have made no step yet."""
        state = self.since(self.length - self.age)
        others = fresh.aged(state.length)
        constraints = state.constraints.followed_by(others.constraints, (len(state.limits), len(others.limits)))
        return replace(state.followed_by(others), constraints=constraints)


def before(values: Tensor, number: int, filling: float = 0) -> Tensor:
    """Return values, [..., t], behind so many others, all the same."""
    return torch.nn.functional.pad(values, (number, 0), value=filling)


def read_hypothesis(
    tokens: list[int], log_probs: list[float], normalized_score: float, ends: Collection[int]
) -> Hypothesis:
    length = tokens.index(EMPTY) if EMPTY in tokens else len(tokens)
    score = math.fsum(log_probs[:length])
    finished = length > 0 and tokens[length - 1] in ends
    return Hypothesis(tuple(tokens[:length]), tuple(log_probs[:length]), score, normalized_score, finished)


def common_start(tokens: Tensor) -> list[int]:
    """Return the tokens that all rows of int64 [N, t] begin with; of a single row its own, without what is empty."""
    if len(tokens) == 0:
        return []
    same = (tokens == tokens[0]).all(0) & (tokens[0] != EMPTY)
    return tokens[0][: int(same.cumprod(0).sum())].tolist()
