"""The first of two passes: what the model itself would have put where the reference's tokens stand.

A model, a batch and a mask of decoder inputs enter; a prediction for each of these leaves, in the order of the
flattened batch: the one made at the position before, which is the only place where the reference so far was known and
this token was not. The output layer is applied to those positions alone, a block at a time.

The pass takes no gradient, sees the reference and no perturbation, and runs in the mode that the model is in. That is
training, dropout included, as in the published code: predictions are then those of the network that is trained, and
about as wrong as on unseen text, where those of evaluation mode would mostly be the reference itself. Its dropout
begins at the random state that the final pass begins at too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from seq2seq.config.declaring import refuse_unused
from seq2seq.data.batch import Batch
from seq2seq.objectives.functional import ENTRIES_OF_A_BLOCK, rows_at_a_time
from seq2seq.objectives.randomness import forked_randomness

MixingKind = Literal["argmax", "sampled", "top_k", "soft"]


@dataclass(frozen=True)
class Mixing:
    """How logits become a decoder input (Mihaylova and Martins 2019).

    `argmax` and `sampled` are tokens. `top_k` and `soft` are expected token vectors, over the k likeliest tokens or
    all, with the likeliest token as the id beside them.

    Args:
        mixing: the likeliest token, one drawn from the model, or the expected token vector over the k likeliest tokens
            or all; the last two need tied target and output embeddings.
        mixing_temperature: divides the logits, but for `argmax`.
        mixing_top_k: tokens of `top_k`.

    Raises:
        ValueError: an option is out of range.
    """

    mixing: MixingKind = "argmax"
    mixing_temperature: float = 1.0
    mixing_top_k: int = 5

    def __post_init__(self) -> None:
        if self.mixing not in get_args(MixingKind):
            raise ValueError(f"`mixing` must be one of {', '.join(get_args(MixingKind))}, but is {self.mixing!r}.")
        if self.mixing_temperature <= 0 or self.mixing_top_k < 1:
            raise ValueError("`mixing_temperature` must be above 0 and `mixing_top_k` at least 1.")
        refuse_unused(self, ("mixing_temperature",), "mixing: sampled, top_k or soft", applies=self.mixing != "argmax")
        refuse_unused(self, ("mixing_top_k",), "mixing: top_k", applies=self.mixing == "top_k")

    @property
    def is_expected(self) -> bool:
        """Whether what is mixed are token vectors."""
        return self.mixing in ("top_k", "soft")

    def __call__(self, logits_NV: Tensor, weight_VD: Tensor, uniform_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return token ids [N], and how far the vectors to see lie from those of the ids, [N, D] or [N, 0].

        Args:
            weight_VD: token vectors, which are the output layer's where vectors are mixed.
            uniform_N: draws from [0, 1).
        """
        if self.mixing == "sampled":
            return sampled(logits_NV / self.mixing_temperature, uniform_N), logits_NV.new_empty(len(logits_NV), 0)
        if not self.is_expected:
            return logits_NV.argmax(-1), logits_NV.new_empty(len(logits_NV), 0)
        if self.mixing == "soft":
            ids = logits_NV.argmax(-1)
            expected_ND = (logits_NV / self.mixing_temperature).softmax(-1).to(weight_VD.dtype) @ weight_VD
        else:
            top_NK, ids_NK = logits_NV.topk(min(self.mixing_top_k, logits_NV.shape[1]))
            ids = ids_NK[:, 0]
            shares_NK = (top_NK / self.mixing_temperature).softmax(-1).to(weight_VD.dtype)
            expected_ND = torch.einsum("nk,nkd->nd", shares_NK, weight_VD[ids_NK])
        return ids, expected_ND.to(weight_VD.dtype) - weight_VD[ids]


def sampled(logits_NV: Tensor, uniform_N: Tensor) -> Tensor:
    """Return a token drawn from each softmax, by its distribution function: one uniform number a row, not V."""
    cumulative_NV = logits_NV.softmax(-1).cumsum(-1)
    heights_N1 = uniform_N.to(logits_NV.dtype).unsqueeze(1) * cumulative_NV[:, -1:]
    ids = torch.searchsorted(cumulative_NV, heights_N1, right=True).squeeze(1)
    return ids.clamp(max=logits_NV.shape[1] - 1)


class Predictions(NamedTuple):
    """What the model would have said at N places."""

    ids: Tensor
    """int64 [N], never special."""
    offsets: Tensor
    """[N, D], what to add to the unscaled token vectors of the ids; [N, 0] = nothing."""
    confidence: Tensor
    """[N], the probability that the model gave to the reference's token at this place."""


def first_pass(
    model: nn.Module,
    batch: Batch,
    places: Tensor,
    mixing: Mixing,
    special_ids: Sequence[int],
    num_starts: int,
    generator: torch.Generator,
) -> Predictions:
    """Return the predictions of these decoder inputs.

    A model that is spread over processes is called whatever is in the batch: they have to call it equally often.

    Args:
        places: bool [B * G, T], no start among them.
        special_ids: tokens that are not predicted. A hypothesis that goes on holds none, not even end of sentence.
        num_starts: how far decoder inputs lie behind labels.
    """
    rows = places.flatten().nonzero().squeeze(1)
    score = partial(
        predictions,
        rows=rows - num_starts,
        gold=batch.decoder_input_ids.flatten()[rows],
        uniform=torch.rand(len(rows), generator=generator, device=rows.device),
        mixing=mixing,
        special_ids=torch.tensor(special_ids, dtype=torch.int64, device=rows.device),
    )
    plain = replace(batch, source_perturbation=None, target_perturbation=None)
    with torch.no_grad(), forked_randomness(rows.device):
        return Predictions(*model(**plain.model_inputs(), score=score).loss)


def predictions(
    hidden: Tensor,
    weight: Tensor,
    rows: Tensor,
    gold: Tensor,
    uniform: Tensor,
    mixing: Mixing,
    special_ids: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fields of `Predictions`, from the decoder's states [B * G, T, D] at N flattened positions."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    size = rows_at_a_time(ENTRIES_OF_A_BLOCK, weight)
    for start in range(0, max(len(rows), 1), size):
        part = slice(start, start + size)
        logits_NV = linear(hidden.flatten(0, 1).index_select(0, rows[part]), weight, bias)
        logits_NV = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
        gold_N = logits_NV.gather(1, gold[part].unsqueeze(1)).squeeze(1)
        confidence_N = (gold_N - logits_NV.logsumexp(-1)).exp()
        logits_NV.index_fill_(1, special_ids, -torch.inf)
        found.append((*mixing(logits_NV, weight, uniform[part]), confidence_N))
    ids, offsets, confidence = (torch.cat(parts) for parts in zip(*found, strict=True))
    return ids, offsets, confidence
