"""Encoder and decoder: embeddings, layers and a final norm, built from the model's options.

The encoder turns source ids into hidden states. The decoder turns target ids into hidden states, beside keys and
values of a source; where earlier positions are kept is its caller's choice, so that training, `generate` and the
waist run the same code.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.models.transformer.attention import (
    CrossAttention,
    KeysValues,
    Partner,
    Remember,
    SelfAttention,
    causal_bias,
    source_bias,
)
from seq2seq.models.transformer.dropout import Dropout, dropout
from seq2seq.models.transformer.initialization import ZeroEmbedding
from seq2seq.models.transformer.interaction import make_interaction, rows_in_pairs
from seq2seq.models.transformer.layers import DecoderLayer, EncoderLayer, FeedForward, Residual
from seq2seq.models.transformer.norms import make_norm
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.positions import added_positions, rotary_positions
from seq2seq.models.transformer.relative import biases_of_layers, relative_biases


class Embeddings(nn.Module):
    """Token vectors, by default scaled to unit variance, plus positions.

    Args:
        tokens_at_once: 2 where positions are counted from both ends at once.
        has_sides: whether a further vector says which end of the target a token is generated from.
    """

    def __init__(
        self, options: TransformerOptions, vocab_size: int, tokens_at_once: int = 1, has_sides: bool = False
    ) -> None:
        super().__init__()
        padding = options.pad_token_id if options.fixed_padding and options.pad_token_id < vocab_size else None
        self.tokens = nn.Embedding(vocab_size, options.d_model, padding_idx=padding)
        self.positions = added_positions(
            options.positions, options.d_model, options.max_positions, options.position_offset, tokens_at_once
        )
        self.sides = ZeroEmbedding(2, options.d_model) if has_sides else None
        self.norm = norm_of(options) if options.embedding_norm else None
        self.scale = math.sqrt(options.d_model) if options.embedding_scale else 1.0
        self.token_dropout = options.token_dropout
        self.dropout = Dropout(options.dropout)

    def forward(
        self,
        input_ids: Tensor,
        offset: int = 0,
        num_positions: int | None = None,
        sides: Tensor | None = None,
        perturbation: Tensor | None = None,
    ) -> Tensor:
        """Return [B, T, D].

        Args:
            input_ids: int64 [B, T].
            offset: position of the first token.
            num_positions: by default T; where many tokens stand at the first position, as many at the second, and so
                on, how many these are.
            sides: int64, broadcasts to [B, T]: 0 left, 1 right; None = left.
            perturbation: [B, T, D], added to the scaled token vectors; None = nothing.
        """
        hidden = self.tokens(input_ids)
        hidden = hidden if self.scale == 1 else hidden * self.scale
        if perturbation is not None:
            hidden = hidden + perturbation
        if self.training and self.token_dropout > 0:
            hidden = hidden * dropout(hidden.new_ones(*input_ids.shape, 1), self.token_dropout, training=True)
        if self.positions is not None:
            positions = self.positions(offset, num_positions or input_ids.shape[1], hidden)
            hidden = hidden + _spread(positions, input_ids.shape[1])
        if self.sides is not None:
            hidden = hidden + self.sides(input_ids.new_zeros(1, 1) if sides is None else sides)
        return self.dropout(hidden if self.norm is None else self.norm(hidden))


def _spread(rows: Tensor, length: int) -> Tensor:
    """Return a row for each of so many tokens, each given one as often as the others; a single one broadcasts."""
    return rows if len(rows) in (1, length) else rows.repeat_interleave(length // len(rows), dim=0)


def norm_of(options: TransformerOptions) -> nn.Module:
    """Return a normalisation as the options have it."""
    return make_norm(options.norm, options.d_model, options.norm_epsilon)


def final_norm(options: TransformerOptions) -> nn.Module:
    """Return what ends a stack: post-norm layers end with a norm themselves."""
    return norm_of(options) if options.norm_position == "pre" else nn.Identity()


class EncoderOutput(NamedTuple):
    """What `Encoder` returns."""

    last_hidden_state: Tensor
    """[B, S, D]"""
    hidden_states: list[Tensor]
    """The embeddings and each layer's output, [B, S, D]."""
    weights: list[Tensor | None]
    """Each layer's attention weights [B, H, S, S], where they were needed."""


class Encoder(nn.Module):
    """Source ids [B, S] to hidden states [B, S, D], which are 0 on padding.

    The zeros make an empty source look the same under any amount of padding: all its keys and values are equal.
    """

    layers: Sequence[EncoderLayer]

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.embeddings = Embeddings(options, options.source_vocab_size or options.vocab_size)
        self.rotary = rotary_positions(options.positions, options.head_sizes[0])
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            EncoderLayer(_self_attention(options), _feed_forward(options), _residuals(options))
            for _ in range(options.encoder_layers)
        )
        self.relative = relative_biases(options, options.encoder_layers, both_sides=True)
        self.norm = final_norm(options)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        need_weights: bool = False,
        perturbation: Tensor | None = None,
    ) -> EncoderOutput:
        """Return the hidden states of a source.

        Args:
            input_ids: [B, S].
            attention_mask: [B, S], True or 1 = real; by default all.
            perturbation: [B, S, D], added to the token vectors; None = nothing.
        """
        hidden = self.embeddings(input_ids, perturbation=perturbation)
        bias = source_bias(attention_mask, hidden.dtype)
        rotation = None if self.rotary is None else self.rotary(0, input_ids.shape[1], hidden)
        numbers = torch.arange(input_ids.shape[1], device=input_ids.device)
        biases = biases_of_layers(self.relative, len(self.layers), numbers, numbers, bias)
        states, weights = [hidden], []
        for layer, layer_bias in zip(self.layers, biases, strict=True):
            hidden, layer_weights = layer(hidden, layer_bias, rotation, need_weights)
            states.append(hidden)
            weights.append(layer_weights)
        hidden = self.norm(hidden)
        if attention_mask is not None:
            hidden = hidden * attention_mask[:, :, None].to(hidden.dtype)
        return EncoderOutput(hidden, [*states[:-1], hidden], weights)


class DecoderOutput(NamedTuple):
    """What `Decoder` returns; lists hold one entry per layer (and the embeddings first in `hidden_states`)."""

    hidden: Tensor
    hidden_states: list[Tensor]
    self_weights: list[Tensor]
    cross_weights: list[Tensor]


class Decoder(nn.Module):
    """Target ids [B * G, T] and the keys and values of B sources to hidden states [B * G, T, D].

    Where the model generates from both ends, each row begins at one of them, and rows 2i and 2i + 1 may attend to each
    other.
    """

    layers: Sequence[DecoderLayer]
    positions_at_once = 1
    """Positions that are generated in one step."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        at_once = self.positions_at_once
        self.embeddings = Embeddings(options, options.vocab_size, at_once, options.has_sides)
        self.rotary = rotary_positions(options.positions, options.head_sizes[0], at_once)
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            DecoderLayer(
                _decoder_self_attention(options, i),
                _cross_attention(options),
                _feed_forward(options),
                _residuals(options),
            )
            for i in range(options.decoder_layers)
        )
        self.relative = relative_biases(options, options.decoder_layers, both_sides=False)
        self.norm = final_norm(options)
        self.output_scale = options.d_model**-0.5 if options.output_scale else 1.0

    def source_keys_values(self, source_hidden: Tensor) -> list[KeysValues]:
        """Return each layer's keys and values of the encoder's output, for those who need them more than once."""
        return [layer.cross_attention.keys_values(source_hidden) for layer in self.layers]

    def forward(
        self,
        input_ids: Tensor,
        source: Sequence[KeysValues] | Tensor,
        source_bias: Tensor | None,
        attention_mask: Tensor | None = None,
        past: int = 0,
        remember: Sequence[Remember] | None = None,
        need_weights: bool = False,
        sides: Tensor | None = None,
        visible: Tensor | None = None,
        perturbation: Tensor | None = None,
    ) -> DecoderOutput:
        """Return the hidden states of the given positions.

        Args:
            input_ids: [B * G, T], successive positions of G successive rows per source.
            source: per layer, keys and values of B sources; or the encoder's output [B, S, D], for once.
            source_bias: [B, 1, 1, S].
            attention_mask: [B * G, past + T], real positions; by default all.
            past: positions that `remember` already holds.
            remember: per layer, what keeps keys and values.
            sides: int64 [B * G], the end that each row begins at: 0 left, 1 right; None = left.
            visible: bool [B * 2, T], the positions of a row that the source's other row attends to; None = none.
            perturbation: [B * G, T, D], added to the token vectors; None = nothing.
        """
        rows_sides = self._sides(input_ids) if sides is None else sides.unsqueeze(1)
        hidden = self.embeddings(input_ids, past, sides=rows_sides, perturbation=perturbation)
        self_bias = self._causal_bias(input_ids.shape[1], past, attention_mask, hidden)
        rotation = None if self.rotary is None else self.rotary(past, input_ids.shape[1], hidden)
        partner = None if visible is None else rows_in_pairs(visible, hidden.dtype)
        numbers = torch.arange(past + input_ids.shape[1], device=input_ids.device) // self.positions_at_once
        biases = biases_of_layers(self.relative, len(self.layers), numbers[past:], numbers, self_bias)
        return self._through_layers(hidden, biases, rotation, source, source_bias, remember, need_weights, partner)

    def step(
        self,
        token_ids: Tensor,
        source: Sequence[KeysValues],
        source_bias: Tensor | None,
        self_bias: Tensor | None,
        past: int,
        remember: Sequence[Remember],
        sides: Tensor | None = None,
        partner: Partner | None = None,
        key_steps: Tensor | None = None,
    ) -> DecoderOutput:
        """Return the hidden states of one step in W hypotheses of each sentence.

        The hypotheses stand in the place of successive positions: all operations but attention take positions one by
        one anyway, and there `self_bias` says which keys are a hypothesis's own.

        Args:
            token_ids: int64 [B, W].
            self_bias: broadcasts to [B, H, W, keys that `remember` holds].
            past: number of earlier steps.
            sides: int64, broadcasts to [B, W]: the end that each hypothesis began at; None = left.
            partner: which keys are those of a hypothesis's partner, if it has one.
            key_steps: int64 [1 or B, keys], the steps of the keys, where positions are relative.
        """
        biases: Sequence[Tensor | None] = [self_bias] * len(self.layers)
        if self.relative is not None and key_steps is not None:
            biases = self.relative(key_steps.new_full((1,), past), key_steps, self_bias)
        length = self.positions_at_once
        past *= length
        hidden = self.embeddings(token_ids, past, length, self._sides(token_ids) if sides is None else sides)
        rotation = None if self.rotary is None else _spread(self.rotary(past, length, hidden), token_ids.shape[1])
        return self._through_layers(
            hidden, biases, rotation, source, source_bias, remember, need_weights=False, partner=partner
        )

    def _sides(self, token_ids: Tensor) -> Tensor | None:
        """Return the side of each token, where that is not for the caller to say; broadcasts to [B, T]."""
        return None

    def _causal_bias(self, length: int, past: int, attention_mask: Tensor | None, like: Tensor) -> Tensor | None:
        """Return the bias of successive positions (see `causal_bias`)."""
        return causal_bias(length, past, attention_mask, like)

    def _through_layers(
        self,
        hidden: Tensor,
        self_biases: Sequence[Tensor | None],
        rotation: Tensor | None,
        source: Sequence[KeysValues] | Tensor,
        source_bias: Tensor | None,
        remember: Sequence[Remember] | None,
        need_weights: bool,
        partner: Partner | None,
    ) -> DecoderOutput:
        states, self_weights, cross_weights = [hidden], [], []
        for i, layer in enumerate(self.layers):
            keep = None if remember is None else remember[i]
            of_layer = source if isinstance(source, Tensor) else source[i]
            output = layer(hidden, self_biases[i], rotation, keep, of_layer, source_bias, need_weights, partner)
            hidden = output.hidden
            states.append(hidden)
            self_weights.append(output.self_weights)
            cross_weights.append(output.cross_weights)
        hidden = self.norm(hidden)
        hidden = hidden if self.output_scale == 1 else hidden * self.output_scale
        return DecoderOutput(hidden, [*states[:-1], hidden], self_weights, cross_weights)


# ---- from options to parts ----


def _self_attention(options: TransformerOptions, interaction: nn.Module | None = None) -> SelfAttention:
    sizes = (options.d_model, options.num_heads, *options.head_sizes)
    shape = {"has_bias": options.biases, "is_scaled": options.attention_scale}
    return SelfAttention(*sizes, options.attention_dropout, interaction, **shape)


def _decoder_self_attention(options: TransformerOptions, layer: int) -> SelfAttention:
    """Return that of the layer with this number; `interaction_layers` says which interact."""
    interaction = None
    if options.interacts and (options.interaction_layers == "all" or layer == options.decoder_layers - 1):
        size = options.num_heads * options.head_sizes[1]
        kind, weight = options.interaction, options.interaction_weight
        interaction = make_interaction(kind, weight, options.interaction_dropout, size)
    return _self_attention(options, interaction)


def _cross_attention(options: TransformerOptions) -> CrossAttention:
    sizes = (options.d_model, options.num_heads, *options.head_sizes)
    shape = {"has_bias": options.biases, "is_scaled": options.attention_scale}
    return CrossAttention(*sizes, options.attention_dropout, **shape)


def _feed_forward(options: TransformerOptions) -> FeedForward:
    shape = {"has_bias": options.biases, "is_gated": options.gated_feed_forward}
    return FeedForward(options.d_model, options.ffn_size, options.activation, options.activation_dropout, **shape)


def _residuals(options: TransformerOptions) -> partial[Residual]:
    return partial(Residual, partial(norm_of, options), options.norm_position, options.dropout)
