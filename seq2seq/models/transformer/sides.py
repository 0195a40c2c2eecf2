"""The Transformer as searches see it that generate from the right, or from both ends at once.

`OneSide` is a bidirectional model that begins at one end, an ordinary `Seq2Seq`. `InPairs` holds hypotheses of two
rows, one from each end: of a bidirectional model they are two generations of the target that may attend to each other,
of an interleaved one the two halves of a single generation. Either way all rows of a sentence share its slots, and
which of them a row sees, as its own or as its partner's, is a matter of the ancestry table alone.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.attention import Partner
from seq2seq.models.transformer.decoding_state import DecodingState

if TYPE_CHECKING:
    from seq2seq.models.transformer.searching import SearchableTransformer


class OneSide:
    """A model that begins at one end: 0 left, 1 right. Implements `Seq2Seq`; tokens are in the order of generation."""

    def __init__(self, model: "SearchableTransformer", side: int) -> None:
        self.model = model
        self.side = side
        self.generation_order = "r2l" if side else "l2r"
        self.vocab_size = model.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = model.pad_id, model.eos_id, model.decoder_start_id
        self.rows_at_once = model.rows_at_once
        self.max_source_tokens, self.max_target_tokens = model.max_source_tokens, model.max_target_tokens
        self.step, self.reorder, self.cross_attention = model.step, model.reorder, model.cross_attention

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> DecodingState:
        return self.model.encode(input_ids, attention_mask, self.side)

    def from_side(self, side: int) -> Seq2Seq:
        return self.model.from_side(side)

    def in_pairs(self) -> "InPairs":
        return self.model.in_pairs()

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        sides = torch.full_like(decoder_input_ids[:, 0], self.side)
        return self.model.teacher_forced(input_ids, attention_mask, decoder_input_ids, sides=sides)


class InPairs:
    """Implements `PairedSeq2Seq`, where the contract is; a state holds all left rows, then all right rows."""

    def __init__(self, model: "SearchableTransformer") -> None:
        self.model = model
        self.generation_order = model.generation_order
        self.vocab_size = model.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = model.pad_id, model.eos_id, model.decoder_start_id
        self._share_slots = model.generation_order == "interleaved"

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> DecodingState:
        state = self.model.encode(input_ids, attention_mask)
        state.width = 2
        return state

    @torch.inference_mode()
    def step(
        self, state: DecodingState, token_ids: Tensor, is_open: Tensor | None = None
    ) -> tuple[Tensor, DecodingState]:
        model, num_rows = self.model, state.width
        assert token_ids.shape == (state.num_sentences, 2, num_rows // 2), "token_ids must be [B, 2, W] of the state"
        like = state.source[0][0]
        bias = state.lengthen(like, self._new_slots(num_rows, is_open, like.device))
        output = model.decoder.step(
            token_ids.flatten(1),
            state.source,
            state.source_bias,
            bias,
            state.length - 1,
            [buffer.append for buffer in state.buffers],
            sides=(torch.arange(num_rows, device=like.device) >= num_rows // 2).long().unsqueeze(0),
            partner=self._partner(state, like) if model.options.interacts else None,
        )
        return model.lm_head(output.hidden).unflatten(1, (2, -1)), state

    @torch.inference_mode()
    def reorder(
        self, state: DecodingState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> DecodingState:
        if beams is None:
            return self.model.reorder(state, None, sentences)
        rows = beams + torch.tensor([[0], [state.width // 2]], device=beams.device)
        return self.model.reorder(state, rows.flatten(1), sentences)

    def _new_slots(self, num_rows: int, is_open: Tensor | None, device: torch.device) -> Tensor:
        """Return which of the step's slots each row sees, bool [1 or B, 2 W, 2 W]."""
        own = torch.arange(num_rows, device=device)
        own = own % (num_rows // 2) if self._share_slots else own
        seen = (own[:, None] == own).unsqueeze(0)
        return seen if is_open is None else seen & is_open.flatten(1).unsqueeze(1)

    def _partner(self, state: DecodingState, like: Tensor) -> Partner:
        """Return each row's partner: the other row of its pair, whose slots lie in the same buffers."""
        assert state.ancestry is not None, "rows in pairs have a table from the first step on"
        theirs = state.ancestry.unflatten(1, (2, -1)).flip(1).flatten(1, 2)
        return Partner(lambda parts: parts, state.bias_of(theirs, like))
