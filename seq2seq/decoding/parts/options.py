"""Options that all searches share, and what is made of them when a batch begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from seq2seq.config.declaring import check_numbers, part
from seq2seq.decoding.parts.constraints import Constraint, Constraints
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq

LengthNormalization = Literal["average", "gnmt"]

LENGTH_RATIO_OFFSET = 10
"""What `max_length_ratio` allows besides, so that short sources are not cut short."""

LARGEST_DIVISOR = 30
"""Decimal digits of what scores may be divided by; float32 ends at 38."""

LARGEST_RATIO = 1_000_000
"""What lengths can be multiplied with and still be counted."""


def length_divisor(length: int, length_penalty: float, normalization: LengthNormalization = "average") -> float:
    """Return what a sum of log-probabilities is divided by.

    `average` is length^p. `gnmt` is ((5 + length) / 6)^p (Wu et al. 2016, equation 14), which is 1 at length 1 and
    grows more slowly. Either is 1 for p = 0.

    Args:
        length: generated tokens: end of sentence is one, the decoder's start token is not, a forced prefix is.
    """
    if normalization == "gnmt":
        return float(((5 + length) / 6) ** length_penalty)
    return float(length**length_penalty)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of every search.

    Args:
        length_penalty: exponent of the length normalisation; 0 compares plain sums of log-probabilities.
        length_normalization: `average` divides by length^p; `gnmt` by ((5+length)/6)^p (Wu et al. 2016).
        min_length: least number of tokens before end of sentence.
        max_length: most tokens, end of sentence included.
        max_length_ratio: most tokens relative to the source's, plus 10; 0 switches this limit off.
        no_repeat_ngram: length of n-grams that may not occur twice; 0 allows all.
        constraints: further ones, see `constraints.Constraint`.
        unscored: tokens that cost nothing where a prefix forces them, such as those that name a language.
        other_ends: tokens that end a hypothesis as end of sentence does; only of searches from one side.

    Raises:
        ValueError: names the option and what it must be.
    """

    length_penalty: float = 1.0
    length_normalization: LengthNormalization = "average"
    min_length: int = 0
    max_length: int = 256
    max_length_ratio: float = 0.0
    no_repeat_ngram: int = 0
    constraints: tuple[Constraint, ...] = part(())
    unscored: tuple[int, ...] = part(())
    other_ends: tuple[int, ...] = part(())

    def __post_init__(self) -> None:
        check_numbers(self)
        if abs(self.length_penalty) * math.log10(max(self.max_length, 1)) > LARGEST_DIVISOR:
            raise ValueError(
                f"`length_penalty` is {self.length_penalty}, by which scores of long hypotheses would vanish."
            )
        if self.max_length_ratio > LARGEST_RATIO:
            raise ValueError(f"`max_length_ratio` must be at most {LARGEST_RATIO:,}, but is {self.max_length_ratio}.")
        if self.max_length < 1:
            raise ValueError(f"`max_length` must be at least 1, but is {self.max_length}.")
        for name in ("min_length", "max_length_ratio", "no_repeat_ngram"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, but is {getattr(self, name)}; 0 switches it off.")
        if self.min_length >= self.max_length:
            raise ValueError(
                f"`min_length` ({self.min_length}) must be below `max_length` ({self.max_length}), "
                "which counts end of sentence too."
            )
        if self.length_normalization not in ("average", "gnmt"):
            raise ValueError(f"`length_normalization` must be average or gnmt, but is {self.length_normalization!r}.")

    def divisor(self, length: int) -> float:
        """Return what the score of a hypothesis of so many tokens is divided by."""
        return length_divisor(length, self.length_penalty, self.length_normalization)

    def limits(self, attention_mask: Tensor) -> Tensor:
        """Return the most tokens that each sentence may have, end of sentence included, int64 [B].

        Args:
            attention_mask: bool [B, S].
        """
        limits = torch.full((len(attention_mask),), self.max_length, device=attention_mask.device)
        if self.max_length_ratio == 0:
            return limits
        by_ratio = (attention_mask.sum(1).double() * self.max_length_ratio).long() + LENGTH_RATIO_OFFSET
        return torch.minimum(limits, by_ratio)

    def started_constraints(
        self, model: Seq2Seq | PairedSeq2Seq, prefixes: Sequence[Sequence[int]] | None, device: torch.device
    ) -> Constraints:
        """Return what the hypotheses of a batch may not say; see `constraints.Constraints.create`."""
        ends = (model.eos_id, *self.other_ends)
        return Constraints.create(
            ends, self.min_length, self.no_repeat_ngram, self.constraints, prefixes, device, self.unscored
        )


@dataclass(frozen=True)
class BeamOptions(SearchOptions):
    """Options of every beam search.

    Args:
        beam_width: hypotheses kept per sentence, in a search from both ends those of both directions together.
        n_best: hypotheses returned per sentence, or as many as there are.
    """

    beam_width: int = 5
    n_best: int = 1

    def num_candidates(self, width: int) -> int:
        """Return how many continuations of a beam are looked at: so many can run on, whatever ends."""
        return (2 + len(self.other_ends)) * width

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_best < 1:
            raise ValueError(f"`n_best` must be at least 1, but is {self.n_best}.")
        if self.beam_width < self.n_best:
            raise ValueError(f"`beam_width` must be at least `n_best` ({self.n_best}), but is {self.beam_width}.")

    @property
    def width(self) -> int:
        return self.beam_width


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """What all searches have whose finished hypotheses wait for those that run on."""

    early_stopping: bool = False
    """Whether a sentence ends as soon as `beam_width` hypotheses have finished; otherwise its search goes on while a
    running one may become better."""


@dataclass(frozen=True, kw_only=True)
class OneSided:
    """What all searches have that begin at one end of the target."""

    generation_order: Literal["auto", "l2r", "r2l"] = "auto"
    """From the left or from the right, for a model that knows both; `auto` takes the order that the model was trained
    for, and with it beam search from both ends where that is one of both."""


def returning_all(search: Any) -> Any:
    """Return a search that returns all that it finds, for another to choose from."""
    return replace(search, n_best=search.width) if search.width > 1 else search


def check_halves(beam_width: int) -> None:
    """Raise ValueError for a beam that both directions cannot have one half of."""
    if beam_width % 2:
        raise ValueError(
            f"Searching from both ends gives each direction half of `beam_width`, but that is {beam_width}; "
            f"use {beam_width - 1 or 2} or {beam_width + 1}."
        )
