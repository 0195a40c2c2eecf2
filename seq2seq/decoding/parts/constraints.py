"""What a hypothesis may not say: minimum length, n-gram blocking, forced prefixes, and constraints of the user's own.

A constraint is called with (step, token_ids, log_probs): the number of tokens so far, the tokens int64 [B, W, step] and
the log-probabilities of the next one, float32 [B, W, V], which it may change in place. It returns log-probabilities
with -inf for what is forbidden. Nothing is normalised again, unless that is itself a constraint, so hypotheses keep the
log-probabilities that the model gives them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import LogitsProcessor

Constraint = Callable[[int, Tensor, Tensor], Tensor]

FREE = -1
"""Stands behind the end of a forced prefix: anything may follow."""
NO_TOKEN = -1
"""Stands where there is no token, and equals none."""


@dataclass(frozen=True)
class LogitsProcessorConstraint:
    """Any Hugging Face `LogitsProcessor` as a constraint; it is shown flat hypotheses with their start token."""

    processor: "LogitsProcessor" = field(repr=False)
    decoder_start_id: int
    said: Any = None
    """What the processor was made with: by this a decode that goes on knows that it has the same search."""
    places_before: int = field(default=0, repr=False)
    """How many places without a token it is shown before the start."""

    def __call__(self, step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        started = torch.nn.functional.pad(token_ids, (1, 0), value=self.decoder_start_id)
        started = torch.nn.functional.pad(started, (self.places_before, 0), value=NO_TOKEN)
        return self.processor(started.flatten(0, 1), log_probs.flatten(0, 1)).view_as(log_probs)


def repetition_penalty(penalty: float, decoder_start_id: int) -> LogitsProcessorConstraint:
    """Return the constraint that divides the probability of what has been said (Keskar et al. 2019, section 4.1)."""
    from transformers import RepetitionPenaltyLogitsProcessor

    return LogitsProcessorConstraint(RepetitionPenaltyLogitsProcessor(penalty), decoder_start_id, penalty)


def forbidden_sequences(sequences: list[list[int]], decoder_start_id: int) -> LogitsProcessorConstraint:
    """Return the constraint that forbids sequences of tokens.

    Older versions of transformers pass over a sequence of more tokens than there are yet, though all but its last are
    said; one place more makes them look.
    """
    from transformers import NoBadWordsLogitsProcessor

    processor = NoBadWordsLogitsProcessor(sequences)
    return LogitsProcessorConstraint(processor, decoder_start_id, sequences, places_before=1)


@dataclass(frozen=True)
class SuppressedTokens:
    """Tokens that are never said, or not at one step."""

    token_ids: tuple[int, ...]
    at_step: int | None = None

    def __call__(self, step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        if self.at_step in (None, step):
            log_probs[..., list(self.token_ids)] = -torch.inf
        return log_probs


@dataclass(frozen=True)
class ForcedEnd:
    """The last token that a limit allows is end of sentence, at no cost, whatever the model would say."""

    token_id: int
    max_length: int | None = None
    """Of the search; None = none yet."""

    def __call__(self, step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        if self.max_length is None or step < self.max_length - 1:
            return log_probs
        return log_probs.fill_(-torch.inf).index_fill_(-1, log_probs.new_tensor([self.token_id]).long(), 0.0)


@dataclass(frozen=True)
class Renormalized:
    """What is left after all other constraints has a probability of 1 again."""

    def __call__(self, step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        return log_probs.log_softmax(-1)


def block_repeated_ngrams(token_ids: Tensor, log_probs: Tensor, size: int) -> Tensor:
    """Return log-probabilities, [B, W, V], changed in place: -inf for what would complete an n-gram a second time.

    Args:
        token_ids: int64 [B, W, t].
        size: n; with n = 1 no token may occur twice.
    """
    length = token_ids.shape[-1]
    if length < size:
        return log_probs
    ngrams = token_ids.unfold(-1, size, 1)  # [B, W, t - n + 1, n]
    suffix = token_ids[..., length - size + 1 :].unsqueeze(-2)
    repeats = (ngrams[..., :-1] == suffix).all(-1)
    # Adding 0 where nothing repeats lets every n-gram be scattered without deciding which.
    penalties = torch.zeros_like(repeats, dtype=log_probs.dtype).masked_fill(repeats, -torch.inf)
    return log_probs.scatter_add_(-1, ngrams[..., -1], penalties)


def force_tokens(log_probs: Tensor, token_ids: Tensor, values: Tensor) -> Tensor:
    """Return `log_probs`, [B, W, V], but where a token is forced, `values` for that token and -inf for all others.

    Args:
        token_ids: int64 [B], `FREE` where nothing is forced.
        values: [B, W, 1], what the forced tokens keep.
    """
    index = token_ids.clamp(min=0)[:, None, None].expand_as(values)
    forced = torch.full_like(log_probs, -torch.inf).scatter(-1, index, values)
    return torch.where((token_ids == FREE)[:, None, None], log_probs, forced)


@dataclass(frozen=True)
class Constraints:
    """All constraints of one batch.

    They apply in the order minimum length, n-gram blocking, the user's own. A hypothesis that is left with no token at
    all may end, whatever `min_length` says. A forced prefix overrules everything.
    """

    ends: tuple[int, ...]
    """Tokens that end a hypothesis, end of sentence first."""
    min_length: int
    no_repeat_ngram: int
    others: tuple[Constraint, ...]
    prefixes: Tensor | None
    """int64 [B, P], right-padded with `FREE`"""
    unscored: tuple[int, ...] = ()
    """Tokens that cost nothing where a prefix forces them."""

    @classmethod
    def create(
        cls,
        ends: tuple[int, ...],
        min_length: int,
        no_repeat_ngram: int,
        others: tuple[Constraint, ...],
        prefixes: Sequence[Sequence[int]] | None,
        device: torch.device,
        unscored: tuple[int, ...] = (),
    ) -> "Constraints":
        padded = None
        if prefixes is not None and any(prefixes):
            longest = max(map(len, prefixes))
            rows = [[*prefix, *[FREE] * (longest - len(prefix))] for prefix in prefixes]
            padded = torch.tensor(rows, device=device)
        return cls(ends, min_length, no_repeat_ngram, others, padded, unscored)

    def select(self, sentences: Tensor) -> "Constraints":
        """Return the constraints of some sentences, given by their indices, int64 [B']."""
        return self if self.prefixes is None else replace(self, prefixes=self.prefixes[sentences])

    def active(self, step: int) -> bool:
        """Return whether anything can be forbidden at this step."""
        return bool(step < self.min_length or self.no_repeat_ngram or self.others or self._forces(step))

    def normalizes_last(self, step: int) -> bool:
        """Return whether all that is left at this step is normalised, and nothing forced thereafter."""
        return bool(self.others) and isinstance(self.others[-1], Renormalized) and not self._forces(step)

    def without_last(self) -> "Constraints":
        return replace(self, others=self.others[:-1])

    def only_forbids(self) -> bool:
        """Return whether tokens are forbidden whatever their probabilities, which then need not be normalised."""
        return all(isinstance(constraint, SuppressedTokens | ForcedEnd) for constraint in self.others)

    def _forces(self, step: int) -> bool:
        return self.prefixes is not None and step < self.prefixes.shape[1]

    def __call__(self, step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        """Return `log_probs`, changed in place, with -inf where forbidden."""
        end_values = log_probs[..., self.ends[0]].clone()
        forced, forced_values = None, end_values
        if self.prefixes is not None and self._forces(step):
            forced = self.prefixes[:, step]
            index = forced.clamp(min=0)[:, None, None].expand(*log_probs.shape[:2], 1)
            forced_values = log_probs.gather(-1, index)
            if self.unscored:
                is_free = torch.isin(index, torch.tensor(self.unscored, device=index.device))
                forced_values = forced_values.masked_fill(is_free, 0.0)
        if step < self.min_length:
            log_probs[..., list(self.ends)] = -torch.inf
        if self.no_repeat_ngram:
            log_probs = block_repeated_ngrams(token_ids, log_probs, self.no_repeat_ngram)
        for constraint in self.others:
            log_probs = constraint(step, token_ids, log_probs)
        stuck = log_probs.amax(-1) == -torch.inf
        log_probs[..., self.ends[0]] = torch.where(stuck, end_values, log_probs[..., self.ends[0]])
        return log_probs if forced is None else force_tokens(log_probs, forced, forced_values)


def log_probs_in_place(logits: Tensor) -> Tensor:
    """Return log-probabilities, float32 [..., V].

    Args:
        logits: [..., V]; in float32 they are overwritten, since megabytes of fresh memory take longer than the sums.
    """
    if logits.dtype == torch.float32:
        return torch.log_softmax(logits, -1, out=logits)
    return logits.log_softmax(-1, dtype=torch.float32)


class Constrained(Protocol):
    """Hypotheses that constraints can look at."""

    @property
    def constraints(self) -> Constraints: ...

    @property
    def length(self) -> int:
        """Steps so far."""

    def known_tokens(self) -> Tensor:
        """Return the tokens so far, int64 [B, W, t], padding behind the end of a hypothesis."""


def next_log_probs(logits: Tensor, state: Constrained) -> Tensor:
    """Return the next token's log-probabilities, float32 [B, W, V], with -inf where the constraints forbid it.

    Args:
        logits: [B, W, V]; in float32 they are overwritten.
    """
    constraints, step = state.constraints, state.length
    if constraints.normalizes_last(step):
        # Over a large vocabulary normalising takes a twentieth of a search, so it is done once where once is enough.
        constraints = constraints.without_last()
        values = logits.float() if constraints.only_forbids() else log_probs_in_place(logits)
        return log_probs_in_place(constraints(step, state.known_tokens(), values))
    log_probs = log_probs_in_place(logits)
    return constraints(step, state.known_tokens(), log_probs) if constraints.active(step) else log_probs
