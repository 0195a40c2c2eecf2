"""The Transformer as search sees it: `Seq2Seq` of models/interface.py over an encoder, a decoder and an output layer.

The source is projected once per sentence, and the hypotheses of a beam stand in the place of successive positions, so
one code serves every search. What a search carries from step to step is in `decoding_state`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.orders import wrong_order
from seq2seq.models.transformer.attention import source_bias
from seq2seq.models.transformer.decoding_state import DecodingState, KeyValueBuffer, laid_out
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.sides import InPairs, OneSide
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
        return self.options.max_positions if self.options.positions == "learned" else None

    max_target_tokens = max_source_tokens

    def from_side(self, side: int) -> Seq2Seq:
        order = self.generation_order
        if order == "bidirectional":
            return OneSide(self, side)
        if order == ("r2l" if side else "l2r"):
            return self
        raise wrong_order(order, "r2l" if side else "l2r")

    def in_pairs(self) -> InPairs:
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
        return DecodingState(source, source_bias(mask, dtype), buffers, width=1, side=side)

    @torch.inference_mode()
    def step(self, state: DecodingState, token_ids: Tensor) -> tuple[Tensor, DecodingState]:
        assert token_ids.shape == (state.num_sentences, state.width), "token_ids must be [B, W] of the state"
        output: DecoderOutput = self.decoder.step(
            token_ids,
            state.source,
            state.source_bias,
            state.lengthen(like=state.source[0][0]),
            state.length - 1,
            [buffer.append for buffer in state.buffers],
            sides=torch.full_like(token_ids[:1, :1], state.side),
        )
        state.cross_queries = output.cross_queries
        return self.lm_head(output.hidden), state

    @torch.inference_mode()
    def reorder(
        self, state: DecodingState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> DecodingState:
        return state if beams is None and sentences is None else state.reorder(beams, sentences)

    @torch.inference_mode()
    def cross_attention(self, state: DecodingState) -> Tensor:
        if state.cross_queries is None:
            raise ValueError("there is no attention before the first step")
        attend = self.decoder.layers[-1].cross_attention.attend
        _, weights = attend(state.cross_queries, *state.source[-1], state.source_bias, 0.0, False, True)
        assert weights is not None, "attention functions return weights when asked for them"
        return weights.mean(dim=1)

    def teacher_forced(
        self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor, **sides: Tensor
    ) -> Tensor:
        source_hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        source, bias = self.decoder.source_keys_values(source_hidden), source_bias(attention_mask, source_hidden.dtype)
        return self.lm_head(self.decoder(decoder_input_ids, source, bias, **sides).hidden)
