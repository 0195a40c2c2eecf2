"""Reward-augmented maximum likelihood: the reference is replaced by a sample from around it.

A model and a `Batch` enter; the cross-entropy of sampled targets leaves. Decoder inputs are those of the sample.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum, TargetSide
from seq2seq.objectives.cross_entropy import CrossEntropy, LabelSmoothing
from seq2seq.objectives.randomness import own_generator


@dataclass(frozen=True)
class RAML(LabelSmoothing):
    """Cross-entropy of targets drawn from q(y) ~ exp(-d(y, reference) / tau) (Norouzi et al. 2016).

    d is the Hamming distance over the T tokens of a row that are not special: end of sentence stays where it is, and
    unknown tokens stay. Then e of them are edited with p(e) ~ C(T, e) * (V - 1)^e * exp(-e / tau), where V counts the
    tokens that are not special. This is a product over positions, so it is drawn exactly by editing each with the
    probability (V - 1) / (V - 1 + exp(1 / tau)), to any of the V - 1 others alike.

    V is part of this: of 8,000 tokens, tau = 0.1 edits 27 %, 0.08 edits 3 %, and the 0.6 to 0.9 of implementations
    that leave (V - 1)^e out of p(e) would edit all but a few. Of several rows of a source each is drawn for itself.
    One sample is drawn per target and update. The logs are those of `CrossEntropy`, of the samples.

    Raises:
        ValueError: `raml_temperature` is negative, `label_smoothing` is not in [0, 1), or fewer than two tokens are not
            special.
    """

    raml_temperature: float = 0.08
    """tau; 0 is cross-entropy. A token is replaced with probability (V - 1) / (V - 1 + exp(1 / tau))."""
    vocab_size: int = part(0)
    """Entries of the target vocabulary."""
    special_ids: tuple[int, ...] = part(())
    """Tokens that are neither edited nor drawn, end of sentence among them."""
    num_starts: int = part(1)
    """Start tokens before a row: decoder inputs are labels shifted by as many."""

    def __post_init__(self) -> None:
        if self.raml_temperature < 0:
            raise ValueError(f"`raml_temperature` must be 0 or more, but is {self.raml_temperature}.")
        if self.vocab_size and self.num_plain < 2:
            raise ValueError(f"RAML needs two tokens to choose from, but {self.num_plain} are not special.")
        super().__post_init__()

    def for_target(self, target: TargetSide) -> Self:
        """See `base.ForTarget`; unknown tokens are special too."""
        unknown = () if target.unknown_id is None else (target.unknown_id,)
        special_ids = tuple(sorted({*target.special_ids, *unknown}))
        return replace(self, vocab_size=target.vocab_size, special_ids=special_ids, num_starts=target.num_starts)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        return CrossEntropy(label_smoothing=self.label_smoothing)(model, self.sample(batch), step)

    @property
    def num_plain(self) -> int:
        """V, tokens that are not special."""
        return self.vocab_size - len(set(self.special_ids))

    @property
    def edit_probability(self) -> float:
        """Probability that a token is another one in a sample."""
        if self.raml_temperature == 0:
            return 0.0
        log_odds = math.log(self.num_plain - 1) - 1.0 / self.raml_temperature
        return 1.0 / (1.0 + math.exp(min(-log_odds, 700.0)))  # exp overflows beyond

    def sample(self, batch: Batch) -> Batch:
        """Return the batch with sampled targets; the same one where nothing can be edited."""
        if self.raml_temperature == 0:
            return batch
        generator = own_generator("raml", batch.labels.device)
        chances = torch.rand(batch.labels.shape, generator=generator, device=batch.labels.device)
        is_edited = (chances < self.edit_probability) & self._is_plain(batch.labels)
        labels = torch.where(is_edited, self._others(batch.labels, generator), batch.labels)
        shifted, behind = self.num_starts, batch.decoder_input_ids.clone()
        was_edited = is_edited[:, :-shifted]
        behind[:, shifted:] = torch.where(was_edited, labels[:, :-shifted], behind[:, shifted:])
        return replace(batch, labels=labels, decoder_input_ids=behind)

    def _is_plain(self, ids: Tensor) -> Tensor:
        return (ids >= 0) & ~torch.isin(ids, torch.tensor(self.special_ids, device=ids.device))

    def _others(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each plain token one of the V - 1 other plain ones."""
        specials = sorted(set(self.special_ids))
        ranks = ids - sum((ids > special).long() for special in specials)  # among plain tokens
        drawn = torch.randint(self.num_plain - 1, ids.shape, generator=generator, device=ids.device)
        drawn = drawn + (drawn >= ranks)
        for special in specials:
            drawn = drawn + (drawn >= special)
        return drawn
