"""What all searches share: their signature, the checks of their common options, and each sentence's length limit."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from seq2seq.decoding.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq

LENGTH_RATIO_OFFSET = 10
"""What `max_length_ratio` allows besides, so that short sources are not cut short."""


class Search(Protocol):
    """An algorithm that turns sources into hypotheses."""

    @property
    def width(self) -> int:
        """Hypotheses per source that run at the same time: what a decoding batch is charged for."""

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's hypotheses, best first.

        Args:
            input_ids: int64 [B, S].
            attention_mask: bool [B, S], True = real.
            prefixes: per sentence, target tokens that every hypothesis begins with; their log-probabilities count.
            rows: per sentence, its number in the corpus, 0 .. B-1 by default; only random choices depend on it.

        Raises:
            ValueError: the model's logits are not finite, so that nothing can be ranked.
        """


def check_options(options: Any) -> None:
    """Check the options that every search has.

    Raises:
        ValueError: names the option and what it must be.
    """
    if options.max_length < 1:
        raise ValueError(f"`max_length` must be at least 1, but is {options.max_length}.")
    for name in ("min_length", "max_length_ratio", "no_repeat_ngram"):
        if getattr(options, name) < 0:
            raise ValueError(f"`{name}` must not be negative, but is {getattr(options, name)}; 0 switches it off.")
    if options.min_length >= options.max_length:
        raise ValueError(
            f"`min_length` ({options.min_length}) must be below `max_length` ({options.max_length}), "
            "which counts end of sentence too."
        )
    if options.length_normalization not in ("average", "gnmt"):
        raise ValueError(f"`length_normalization` must be average or gnmt, but is {options.length_normalization!r}.")


def check_beam_options(options: Any) -> None:
    """Check the options of beam searches; raise ValueError as `check_options` does."""
    check_options(options)
    if options.n_best < 1:
        raise ValueError(f"`n_best` must be at least 1, but is {options.n_best}.")
    if options.beam_width < options.n_best:
        raise ValueError(f"`beam_width` must be at least `n_best` ({options.n_best}), but is {options.beam_width}.")


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


def length_limits(attention_mask: Tensor, max_length: int, max_length_ratio: float) -> Tensor:
    """Return the most tokens that each sentence may have, end of sentence included, int64 [B]."""
    limits = torch.full((len(attention_mask),), max_length, device=attention_mask.device)
    if max_length_ratio == 0:
        return limits
    by_ratio = (attention_mask.sum(1).double() * max_length_ratio).long() + LENGTH_RATIO_OFFSET
    return torch.minimum(limits, by_ratio)


def finite_or_error(results: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
    """Return the results of a batch.

    Raises:
        ValueError: a sentence has no hypothesis with a score.
    """
    for position, hypotheses in enumerate(results):
        if not hypotheses or math.isnan(hypotheses[0].score):
            raise ValueError(
                f"Sentence {position} of the batch has no hypothesis because the model's logits are not finite. "
                "Look for NaN in its weights, or compute in a wider type than fp16."
            )
    return results
