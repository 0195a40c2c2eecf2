"""Options that all searches share, and what is made of them when a batch begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import Constraint, Constraints
from seq2seq.decoding.parts.scoring import LengthNormalization
from seq2seq.models.interface import Seq2Seq

LENGTH_RATIO_OFFSET = 10
"""What `max_length_ratio` allows besides, so that short sources are not cut short."""

LARGEST_DIVISOR = 30
"""Decimal digits of what scores may be divided by; float32 ends at 38."""

LARGEST_RATIO = 1_000_000
"""What lengths can be multiplied with and still be counted."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of every search.

    Args:
        length_penalty, length_normalization: what scores are divided by, see `scoring.length_divisor`.
        min_length, max_length: least and most tokens of a hypothesis, end of sentence included.
        max_length_ratio: most tokens of a hypothesis for each of the source; 0 switches it off.
        no_repeat_ngram: size of the n-grams that no hypothesis may have twice; 0 switches it off.
        constraints: further ones, see `constraints.Constraint`.

    Raises:
        ValueError: names the option and what it must be.
    """

    length_penalty: float = 1.0
    length_normalization: LengthNormalization = "average"
    min_length: int = 0
    max_length: int = 256
    max_length_ratio: float = 0.0
    no_repeat_ngram: int = 0
    constraints: tuple[Constraint, ...] = ()

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
        self, model: Seq2Seq, prefixes: Sequence[Sequence[int]] | None, device: torch.device
    ) -> Constraints:
        """Return what the hypotheses of a batch may not say; see `constraints.Constraints.create`."""
        return Constraints.create(model, self.min_length, self.no_repeat_ngram, self.constraints, prefixes, device)


@dataclass(frozen=True)
class BeamOptions(SearchOptions):
    """Options of every beam search.

    Args:
        beam_width: hypotheses that run at the same time.
        n_best: hypotheses that are returned, or as many as there are.
    """

    beam_width: int = 5
    n_best: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_best < 1:
            raise ValueError(f"`n_best` must be at least 1, but is {self.n_best}.")
        if self.beam_width < self.n_best:
            raise ValueError(f"`beam_width` must be at least `n_best` ({self.n_best}), but is {self.beam_width}.")

    @property
    def width(self) -> int:
        return self.beam_width


def check_numbers(options: Any) -> None:
    """Raise ValueError for an option of a dataclass that is not a number, infinite, or an integer beyond 64 bits."""
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"`{field.name}` must be a finite number, but is {value}.")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"`{field.name}` must be an integer of 64 bits, but is {value}.")


def check_coverage_penalty(coverage_penalty: float) -> None:
    """Raise ValueError for a penalty that would reward what has not been attended to."""
    if coverage_penalty < 0:
        raise ValueError(f"`coverage_penalty` must not be negative, but is {coverage_penalty}.")


def check_halves(beam_width: int) -> None:
    """Raise ValueError for a beam that both directions cannot have one half of."""
    if beam_width % 2:
        raise ValueError(
            f"Searching from both ends gives each direction half of `beam_width`, but that is {beam_width}; "
            f"use {beam_width - 1 or 2} or {beam_width + 1}."
        )
