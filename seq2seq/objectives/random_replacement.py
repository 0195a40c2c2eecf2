"""Random tokens in place of some decoder inputs (Su Jianlin 2020, kexue.fm/archives/7259).

A batch enters and leaves with other `decoder_input_ids`. It costs next to nothing: no model is asked.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import TargetSide
from seq2seq.objectives.randomness import own_generator
from seq2seq.objectives.token_pools import drawn_from_rows, drawn_from_vocabulary, is_word, replaceable

Pool = Literal["target", "source", "both", "vocabulary"]


@dataclass(frozen=True)
class RandomReplacement:
    """Replaces words of a target, in half of the targets three in ten, by words drawn at random.

    Whether a row is touched is drawn per row, whether a word is replaced per word, and what by uniformly per word, so a
    word may be replaced by itself. The article's text draws from the target's words, its code from source and target
    together with their special tokens, which here are never drawn; both probabilities are its guesses.

    Args:
        special_ids: tokens that are neither replaced nor drawn.
        vocab_size: of the target.
        example_probability: that a row is touched at all.
        token_probability: that a word of such a row is replaced.
        pool: words of the row, of its source, of both (where a word counts as often as it occurs), or all there are.

    Raises:
        ValueError: an option is out of range.
    """

    special_ids: tuple[int, ...] = part(())
    vocab_size: int = part(0)
    example_probability: float = 0.5
    token_probability: float = 0.3
    pool: Pool = "target"

    def __post_init__(self) -> None:
        for name in ("example_probability", "token_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"`{name}` must be between 0 and 1, but is {getattr(self, name)}.")
        if self.pool not in get_args(Pool):
            raise ValueError(f"`pool` must be one of {', '.join(get_args(Pool))}, but is {self.pool!r}.")

    def for_target(self, target: TargetSide) -> Self:
        """See `base.ForTarget`."""
        return replace(self, vocab_size=target.vocab_size, special_ids=target.special_ids)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        if self.example_probability * self.token_probability == 0:
            return batch
        ids = batch.decoder_input_ids
        generator = own_generator("random_replacement", ids.device)
        is_touched = torch.rand(len(ids), 1, generator=generator, device=ids.device) < self.example_probability
        is_drawn = torch.rand(ids.shape, generator=generator, device=ids.device) < self.token_probability
        is_replaced = replaceable(batch, self.special_ids) & is_touched & is_drawn
        if self.pool == "vocabulary":
            drawn = drawn_from_vocabulary(ids.shape, self.vocab_size, self.special_ids, generator)
        else:
            pools, is_in_pool = self._pools(batch)
            drawn = drawn_from_rows(pools, is_in_pool, ids.shape[1], generator)
            is_replaced = is_replaced & is_in_pool.any(1, keepdim=True)
        return replace(batch, decoder_input_ids=torch.where(is_replaced, drawn, ids))

    def _pools(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what each row's words may be replaced by, int64 [B * G, P], and which of these are words."""
        target = batch.decoder_input_ids
        source = batch.input_ids.repeat_interleave(len(target) // len(batch), 0)
        parts = {"target": [target], "source": [source], "both": [target, source]}[self.pool]
        pools = torch.cat(parts, 1)
        return pools, is_word(pools, self.special_ids)
