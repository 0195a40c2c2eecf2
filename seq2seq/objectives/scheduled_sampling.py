"""The model's own predictions in place of some decoder inputs, in two passes over the whole target.

A batch enters and leaves with other `decoder_input_ids`, and with a `target_perturbation` where expected token vectors
are mixed; labels stay the reference. The first pass (see `first_pass`) costs a forward without gradient. Published
mixtures with the loss of the first pass are left out: the mixture is in the schedule. Recipes that report gains start
from a trained model (`training.initialize_from`) or see the reference alone for long (`gold_steps`).
"""

from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import TargetSide
from seq2seq.objectives.first_pass import Mixing, Predictions, first_pass
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.randomness import own_generator
from seq2seq.objectives.token_pools import drawn_from_rows, is_word, replaceable


@dataclass(frozen=True)
class ScheduledSampling:
    """Two-pass scheduled sampling (Mihaylova and Martins 2019; by position, Liu et al. 2021, arXiv 2108.12963).

    Each word of each target is drawn for by itself. Where the published code in its plainest path puts a prediction at
    the position that made it, here it stands at the next one, as in decoding.

    Args:
        special_ids: tokens that are neither replaced nor predicted.
        embedding_scale: what the model multiplies token vectors by.
        num_starts: start tokens of a row.
        gold: probability of the reference's token.
        mixture: how predictions become inputs; expected vectors need output vectors tied to the target's.
    """

    special_ids: tuple[int, ...] = part(())
    embedding_scale: float = part(1.0)
    num_starts: int = part(1)
    gold: GoldSchedule = field(default_factory=GoldSchedule)
    mixture: Mixing = field(default_factory=Mixing)

    def for_target(self, target: TargetSide) -> Self:
        """See `base.ForTarget`."""
        return replace(
            self,
            special_ids=target.special_ids,
            embedding_scale=target.embedding_scale,
            num_starts=target.num_starts,
        )

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        if self.gold.is_certain(step):
            return batch
        ids = batch.decoder_input_ids
        generator = own_generator("scheduled_sampling", ids.device)
        probabilities = self.gold(step, torch.arange(ids.shape[1]) // self.num_starts).float().to(ids.device)
        is_gold = torch.rand(ids.shape, generator=generator, device=ids.device) < probabilities
        places = replaceable(batch, self.special_ids) & ~is_gold
        found = first_pass(model, batch, places, self.mixture, self.special_ids, self.num_starts, generator)
        return with_inputs(batch, places, found, self.embedding_scale)


@dataclass(frozen=True)
class ConfidenceSampling:
    """Confidence-aware scheduled sampling (Liu et al. 2021, arXiv 2107.10427).

    What decides about an input is the probability that the model gave to that very token of the reference, at the
    position before; the published code compares with the probability of the token after it. Up to `gold_confidence`
    the input is the reference's token, up to `random_confidence` the prediction, and above, where prediction and
    reference agree, a random word of the same target.

    Args:
        gold_steps: steps that see nothing but the reference.
        gold_confidence: probability of the reference's token up to which it is the input; 1 is teacher forcing.
        random_confidence: probability up to which the prediction is the input; above, it is a random token of the same
            target.
        special_ids, embedding_scale, num_starts: as for `ScheduledSampling`.
        mixture: how predictions become inputs; the paper mixes `soft`.

    Raises:
        ValueError: the thresholds are out of order.
    """

    special_ids: tuple[int, ...] = part(())
    embedding_scale: float = part(1.0)
    num_starts: int = part(1)
    gold_confidence: float = 0.9
    random_confidence: float = 0.95
    gold_steps: int = 0
    mixture: Mixing = field(default_factory=Mixing)

    def __post_init__(self) -> None:
        if self.gold_steps < 0:
            raise ValueError(f"`gold_steps` must be 0 or more, but is {self.gold_steps}.")
        if not 0.0 <= self.gold_confidence <= self.random_confidence:
            raise ValueError(
                f"`gold_confidence` ({self.gold_confidence}) must be at least 0 and at most `random_confidence` "
                f"({self.random_confidence})."
            )

    def for_target(self, target: TargetSide) -> Self:
        """See `base.ForTarget`."""
        return replace(
            self,
            special_ids=target.special_ids,
            embedding_scale=target.embedding_scale,
            num_starts=target.num_starts,
        )

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        if step <= self.gold_steps or self.gold_confidence >= 1:
            return batch
        ids = batch.decoder_input_ids
        generator = own_generator("confidence_sampling", ids.device)
        places = replaceable(batch, self.special_ids)
        found = first_pass(model, batch, places, self.mixture, self.special_ids, self.num_starts, generator)
        random_ids = drawn_from_rows(ids, is_word(ids, self.special_ids), ids.shape[1], generator)[places]
        is_random = found.confidence > self.random_confidence
        is_predicted = (found.confidence > self.gold_confidence) & ~is_random
        chosen = torch.where(is_predicted, found.ids, torch.where(is_random, random_ids, ids[places]))
        offsets = found.offsets * is_predicted.unsqueeze(1)
        return with_inputs(batch, places, found._replace(ids=chosen, offsets=offsets), self.embedding_scale)


def with_inputs(batch: Batch, places: Tensor, found: Predictions, embedding_scale: float) -> Batch:
    """Return the batch with these decoder inputs in these places, bool [B * G, T].

    Where the input is an expected vector, the id is that of the likeliest token, which then gets the gradient of the
    input, as a token would; the difference is a perturbation without gradient.
    """
    ids = batch.decoder_input_ids.masked_scatter(places, found.ids)
    perturbation = batch.target_perturbation
    if found.offsets.shape[1] > 0:
        added = found.offsets.new_zeros(*ids.shape, found.offsets.shape[1])
        added[places] = found.offsets * embedding_scale
        perturbation = added if perturbation is None else perturbation + added
    return replace(batch, decoder_input_ids=ids, target_perturbation=perturbation)
