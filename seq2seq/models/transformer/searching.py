"""The Transformer as search sees it: `Seq2Seq` of models/interface.py over an encoder, a decoder and an output layer.

The source is projected once per sentence, and the hypotheses of a beam stand in the place of successive positions, so
one code serves every search. What a search carries from step to step is in `decoding_state`.

`OneSide` is a bidirectional model that begins at one end, an ordinary `Seq2Seq`. `InPairs` holds hypotheses of two
rows, one from each end: of a bidirectional model they are two generations of the target that may attend to each other,
of an interleaved one the two halves of a single generation. Either way all rows of a sentence share its slots, and
which of them a row sees, as its own or as its partner's, is a matter of the ancestry table alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.orders import wrong_order
from seq2seq.models.transformer.attention import Partner, source_bias
from seq2seq.models.transformer.decoding_state import DecodingState, KeyValueBuffer, laid_out
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.stacks import Decoder, DecoderOutput, Encoder

FEW_PRODUCTS = 64
"""Heads of all sentences up to which a search on a CPU keeps keys and values in float32: small products in bfloat16
take a fixed 20 microseconds, against 5."""

FEATURES_AT_ONCE = 160 * 1024
"""Hypotheses times D beyond which a CPU gains nothing: with 512 features, batches of 128 sentences at beam 5 took as
long in two halves, in 710 instead of 1,000 MiB, and 8 % longer in three parts."""


class SearchableTransformer(nn.Module):
    """Implements `Seq2Seq`, where the contract of everything here is, for a module with these parts."""

    encoder: Encoder
    decoder: Decoder
    lm_head: Any
    """Output layer, [B, T, D] to [B, T, V]."""
    options: TransformerOptions
    cache_dtype: torch.dtype | None = None
    """What the keys and values of a search over many sentences are rounded to; None is the type of the activations."""

    @property
    def vocab_size(self) -> int:
        return self.options.vocab_size

    @property
    def source_vocab_size(self) -> int:
        return self.options.source_vocab_size or self.options.vocab_size

    @property
    def pad_id(self) -> int:
        return self.options.pad_token_id

    @property
    def eos_id(self) -> int:
        return self.options.eos_token_id

    @property
    def decoder_start_id(self) -> int:
        return self.options.decoder_start_token_id

    @property
    def generation_order(self) -> str:
        return self.options.generation_order

    @property
    def rows_at_once(self) -> int | None:
        is_on_cpu = self.decoder.embeddings.tokens.weight.device.type == "cpu"
        return FEATURES_AT_ONCE // self.options.d_model if is_on_cpu else None

    @property
    def max_source_tokens(self) -> int | None:
        return self.options.longest

    max_target_tokens = max_source_tokens

    def from_side(self, side: int) -> Seq2Seq:
        order = self.generation_order
        if order == "bidirectional":
            return OneSide(self, side)
        if order == ("r2l" if side else "l2r"):
            return self
        raise wrong_order(order, "r2l" if side else "l2r")

    def in_pairs(self) -> "InPairs":
        if self.options.has_sides:
            return InPairs(self)
        raise wrong_order(self.generation_order, "bidirectional")

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor, side: int = 0) -> DecodingState:
        is_on_cpu = input_ids.device.type == "cpu"
        mask = None if is_on_cpu and bool(attention_mask.all()) else attention_mask  # elsewhere, asking takes longer
        source_hidden = self.encoder(input_ids, mask).last_hidden_state
        dtype = self.cache_dtype or source_hidden.dtype
        if is_on_cpu and len(input_ids) * self.options.num_heads <= FEW_PRODUCTS:
            dtype = torch.promote_types(dtype, torch.float32)
        source = [laid_out(part, dtype) for part in self.decoder.source_keys_values(source_hidden)]
        buffers = [KeyValueBuffer(dtype) for _ in self.decoder.layers]
        steps = input_ids.new_empty(1, 0) if self.options.positions == "relative" else None
        return DecodingState(source, source_bias(mask, dtype), buffers, width=1, side=side, slot_steps=steps)

    @torch.inference_mode()
    def step(self, state: DecodingState, token_ids: Tensor) -> tuple[Tensor, DecodingState]:
        assert token_ids.shape == (state.num_sentences, state.width), "token_ids must be [B, W] of the state"
        bias = state.lengthen(like=state.source[0][0])
        output: DecoderOutput = self.decoder.step(
            token_ids,
            state.source,
            state.source_bias,
            bias,
            state.length - 1,
            [buffer.append for buffer in state.buffers],
            sides=torch.full_like(token_ids[:1, :1], state.side),
            key_steps=state.key_steps(),
        )
        return self.lm_head(output.hidden), state

    @torch.inference_mode()
    def reorder(
        self, state: DecodingState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> DecodingState:
        return state if beams is None and sentences is None else state.reorder(beams, sentences)

    def teacher_forced(
        self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor, **sides: Tensor
    ) -> Tensor:
        source_hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        source, bias = self.decoder.source_keys_values(source_hidden), source_bias(attention_mask, source_hidden.dtype)
        return self.lm_head(self.decoder(decoder_input_ids, source, bias, **sides).hidden)


class OneSide:
    """A model that begins at one end: 0 left, 1 right. Implements `Seq2Seq`; tokens are in the order of generation."""

    def __init__(self, model: SearchableTransformer, side: int) -> None:
        self.model = model
        self.side = side
        self.generation_order = "r2l" if side else "l2r"
        self.vocab_size = model.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = model.pad_id, model.eos_id, model.decoder_start_id
        self.rows_at_once = model.rows_at_once
        self.max_source_tokens, self.max_target_tokens = model.max_source_tokens, model.max_target_tokens
        self.step, self.reorder = model.step, model.reorder

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

    def __init__(self, model: SearchableTransformer) -> None:
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
            key_steps=state.key_steps(),
        )
        return model.lm_head(output.hidden).unflatten(1, (2, -1)), state

    @torch.inference_mode()
    def reorder(
        self, state: DecodingState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> DecodingState:
        if beams is None:
            return self.model.reorder(state, None, sentences)
        rows = torch.cat([beams[:, 0], beams[:, 1] + state.width // 2], dim=1)
        return self.model.reorder(state, rows, sentences)

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
