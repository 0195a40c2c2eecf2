"""A paired model whose hypotheses each have a companion of their own: the other direction's greedy continuation.

To a search it is like any model in pairs, but what the search calls row (s, w) is here a pair: the hypothesis, and a
companion from the other end that is extended by its likeliest token at each step and lives and dies with it. So the
score of a hypothesis is a function of its string alone. It takes twice the rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.models.interface import PairedSeq2Seq, State


@dataclass(frozen=True)
class CompanionState:
    """The inner state, whose pairs are those of all hypotheses from the left, then of all from the right."""

    inner: State
    next_tokens: Tensor
    """int64 [B, 2, W], what each hypothesis's companion is fed next"""
    is_open: Tensor
    """bool [B, 2, W], whether it has not ended"""

    def in_pairs(self, token_ids: Tensor) -> Tensor:
        """Return what the inner model is fed, int64 [B, 2, 2 W], when the hypotheses are fed these, int64 [B, 2, W]."""
        return _in_pairs(token_ids, self.next_tokens)

    def pairs(self, beams: Tensor) -> Tensor:
        """Return the pairs, int64 [B, 2, 2 W'], of the hypotheses, int64 [B, 2, W']."""
        width = self.next_tokens.shape[2]
        return torch.cat([beams[:, 0], beams[:, 1] + width], dim=1).unsqueeze(1).expand(-1, 2, -1)


class PrivateCompanions:
    """Implements `PairedSeq2Seq` over another; rows of hypotheses never end here, those of companions do."""

    def __init__(self, model: PairedSeq2Seq) -> None:
        self.model = model
        self.generation_order = model.generation_order
        self.vocab_size = model.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = model.pad_id, model.eos_id, model.decoder_start_id

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> CompanionState:
        inner = self.model.encode(input_ids, attention_mask)
        zeros = torch.zeros(len(input_ids), 2, 2, dtype=torch.long, device=input_ids.device)
        starts = torch.full_like(zeros[..., :1], self.decoder_start_id)
        return CompanionState(self.model.reorder(inner, zeros), starts, torch.ones_like(starts, dtype=torch.bool))

    def step(
        self, state: CompanionState, token_ids: Tensor, is_open: Tensor | None = None
    ) -> tuple[Tensor, CompanionState]:
        """See `PairedSeq2Seq.step`; logits are those of the hypotheses."""
        assert is_open is None, "hypotheses with companions of their own are taken out of the search when they end"
        tokens = state.in_pairs(token_ids)
        are_open = _in_pairs(torch.ones_like(state.is_open), state.is_open)
        logits, inner = self.model.step(state.inner, tokens, are_open)
        width = token_ids.shape[2]
        own = torch.stack([logits[:, 0, :width], logits[:, 1, width:]], dim=1)
        likeliest = torch.stack([logits[:, 1, :width], logits[:, 0, width:]], dim=1).argmax(-1)
        goes_on = state.is_open & (likeliest != self.eos_id)
        return own, CompanionState(inner, likeliest.masked_fill(~goes_on, self.pad_id), goes_on)

    def reorder(
        self, state: CompanionState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> CompanionState:
        """See `PairedSeq2Seq.reorder`; a companion goes where its hypothesis goes."""
        next_tokens, is_open = state.next_tokens, state.is_open
        if sentences is not None:
            next_tokens, is_open = next_tokens[sentences], is_open[sentences]
        pairs = None
        if beams is not None:
            next_tokens, is_open, pairs = next_tokens.gather(2, beams), is_open.gather(2, beams), state.pairs(beams)
        return CompanionState(self.model.reorder(state.inner, pairs, sentences), next_tokens, is_open)


def _in_pairs(own: Tensor, companions: Tensor) -> Tensor:
    """Return [B, 2, 2 W]: rows from the left and from the right of all pairs, hypotheses first from the left."""
    left = torch.cat([own[:, 0], companions[:, 1]], dim=1)
    right = torch.cat([companions[:, 0], own[:, 1]], dim=1)
    return torch.stack([left, right], dim=1)
