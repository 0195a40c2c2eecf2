"""Several models with one vocabulary behind the waist, as one: the (weighted) mean of their probabilities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.data.cutting import smallest
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq, State, UnsuitableModel


class Ensemble:
    """The mixture of `models`; logits that leave it are log-probabilities.

    Args:
        models: at least one; they must agree on vocabulary size, padding, end of sentence, start token and order.
        weights: one positive number per model, normalised to sum to 1; by default all equal.

    Raises:
        ValueError: the models do not fit together, or the weights do not fit the models.
    """

    def __init__(self, models: Sequence[Seq2Seq], weights: Sequence[float] | None = None) -> None:
        self.models = list(models)
        _check_vocabularies(self.models)
        weights = [1.0] * len(self.models) if weights is None else list(weights)
        if len(weights) != len(self.models) or min(weights) <= 0:
            raise ValueError(f"{len(self.models)} models need as many positive weights, but got {weights}")
        self.weights = [weight / sum(weights) for weight in weights]

    @property
    def vocab_size(self) -> int:
        return self.models[0].vocab_size

    @property
    def pad_id(self) -> int:
        return self.models[0].pad_id

    @property
    def eos_id(self) -> int:
        return self.models[0].eos_id

    @property
    def decoder_start_id(self) -> int:
        return self.models[0].decoder_start_id

    @property
    def generation_order(self) -> str:
        return self.models[0].generation_order

    @property
    def rows_at_once(self) -> int | None:
        return smallest(model.rows_at_once for model in self.models)

    @property
    def max_source_tokens(self) -> int | None:
        return smallest(model.max_source_tokens for model in self.models)

    @property
    def max_target_tokens(self) -> int | None:
        return smallest(model.max_target_tokens for model in self.models)

    def from_side(self, side: int) -> "Ensemble":
        return Ensemble([model.from_side(side) for model in self.models], self.weights)

    def in_pairs(self) -> PairedSeq2Seq:
        raise UnsuitableModel("Generating from both ends at once takes a single model; leave the others out.")

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        """Return the list of the models' states."""
        return [model.encode(input_ids, attention_mask) for model in self.models]

    def step(self, state: State, token_ids: Tensor) -> tuple[Tensor, State]:
        """Return the log of the mean probabilities, [B, W, V], and the states after the step."""
        logits, states = zip(
            *(model.step(part, token_ids) for model, part in zip(self.models, state, strict=True)), strict=True
        )
        return self._mixture(logits), list(states)

    def reorder(self, state: State, beams: Tensor | None = None, sentences: Tensor | None = None) -> State:
        """Return every model's state reordered alike."""
        return [model.reorder(part, beams, sentences) for model, part in zip(self.models, state, strict=True)]

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return the log of the mean probabilities, [B * G, T, V]."""
        return self._mixture(
            [model.teacher_forced(input_ids, attention_mask, decoder_input_ids) for model in self.models]
        )

    def _mixture(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the log of the mean probabilities, in float32 at least: bfloat16 keeps no third digit of a sum."""
        wide = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in logits]
        parts = zip(wide, self.weights, strict=True)
        return torch.stack([part.log_softmax(dim=-1) + math.log(weight) for part, weight in parts]).logsumexp(dim=0)


def _check_vocabularies(models: Sequence[Seq2Seq]) -> None:
    if not models:
        raise ValueError("an ensemble needs at least one model")
    for i, model in enumerate(models[1:], start=2):
        for name in ("vocab_size", "pad_id", "eos_id", "decoder_start_id", "generation_order"):
            first, other = getattr(models[0], name), getattr(model, name)
            if first != other:
                raise ValueError(
                    f"models of an ensemble must share target vocabulary and generation order, but `{name}` is {first} "
                    f"in model 1 and {other} in model {i}"
                )
