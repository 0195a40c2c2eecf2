"""Attention: the mathematics as plain functions of one signature, and the two modules that project and attend.

Queries, keys and values enter as [B, H, T, K], [B, H, S, K] and [B, H, S, V]; what leaves is [B, H, T, V] and, when
asked for, weights [B, H, T, S] whose rows sum to 1. The bias is 0 where a key may be attended and `MASKED` where not;
it broadcasts to the weights. A beam's hypotheses attend as so many queries of one sentence, so that keys and values of
the sentence are never copied.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.models.transformer.dropout import dropout
from seq2seq.models.transformer.initialization import FusedLinear
from seq2seq.models.transformer.positions import rotate

MASKED = -3e4
"""Bias of a masked key: finite in every floating type, so that a row with no key at all stays finite, and low enough
that its weight is exactly 0 beside any real key (exp(-104) is already 0 in float32)."""

FEW_QUERIES = 32
"""Hypotheses of a sentence up to which a decoding step's attention is explicit on CPUs."""

KeysValues = tuple[Tensor, Tensor]
Remember = Callable[[Tensor, Tensor], KeysValues]
"""Takes the keys and values of new positions and returns those of all positions so far."""


class Partner(NamedTuple):
    """The rows that others attend to besides their own (see `interaction`), and how they are found."""

    exchange: Callable[[KeysValues], KeysValues]
    """From the keys and values of all rows to those of each row's partner."""
    bias: Tensor
    """What may be attended there; broadcasts to [rows, H, T, keys]."""
    is_visible: Tensor | None = None
    """bool, broadcasts to [rows, T, D]: False where a row has to do without; None = everywhere True."""


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a bias of the mask's shape."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, MASKED)


def source_bias(attention_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the bias [B, 1, 1, S] of a mask [B, S]; None, for no padding, stays None."""
    return None if attention_mask is None else attention_bias(attention_mask[:, None, None, :].bool(), dtype)


def causal_bias(length: int, past: int, attention_mask: Tensor | None, like: Tensor) -> Tensor | None:
    """Return the bias of `length` new positions behind `past` cached ones, or None if they may see everything.

    Args:
        attention_mask: [B, past + length], real positions of the target; None = all.
        like: gives type and device.
    """
    if length == 1 and attention_mask is None:
        return None
    visible = torch.ones(length, past + length, dtype=torch.bool, device=like.device).tril_(past)
    if attention_mask is not None:
        visible = visible & attention_mask[:, None, None, :].bool()
    return attention_bias(visible, like.dtype)


def _logits(queries: Tensor, keys: Tensor, is_scaled: bool) -> Tensor:
    return (queries * queries.shape[-1] ** -0.5 if is_scaled else queries) @ keys.transpose(-2, -1)


def explicit_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    dropout_probability: float = 0.0,
    training: bool = False,
    need_weights: bool = False,
    is_scaled: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Return attention as two products and a softmax (Vaswani et al. 2017, equation 1; T5's is not scaled).

    Under autocast the products run in its type and the softmax in float32: adding the bias is what widens the logits.
    """
    logits = _logits(queries, keys, is_scaled)
    if not (training or torch.is_grad_enabled()):
        # In place, and in float32: on CPUs the softmax of short rows takes five times as long in bfloat16.
        logits = logits.float() if logits.dtype == torch.bfloat16 else logits
        logits = logits if bias is None else logits.add_(bias)
        weights = torch.softmax(logits, dim=-1).to(values.dtype)
        return weights @ values, weights if need_weights else None
    weights = torch.softmax(logits if bias is None else logits + bias, dim=-1)
    output = dropout(weights, dropout_probability, training) @ values
    return output, weights if need_weights else None


def sdpa_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    dropout_probability: float = 0.0,
    training: bool = False,
    need_weights: bool = False,
    is_scaled: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Return attention by torch's fused kernels, which keep no weights to return."""
    assert not need_weights, "fused attention has no weights to return; use explicit_attention"
    dropout_probability = dropout_probability if training else 0.0
    scale = None if is_scaled else 1.0
    return functional.scaled_dot_product_attention(queries, keys, values, bias, dropout_probability, scale=scale), None


def explicit_is_faster(queries: Tensor) -> bool:
    """Return whether attention should be explicit: on CPUs, when gradients are needed or queries are few.

    There the backward of the fused kernel took 39 % of a bf16 training step, and the explicit form made the whole
    step about 40 % faster; of a beam's step it takes half to a third of the fused kernel's time. Elsewhere the fused
    kernels win in time and memory.
    """
    return queries.device.type == "cpu" and (torch.is_grad_enabled() or queries.shape[-2] <= FEW_QUERIES)


def softmax_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    dropout_probability: float = 0.0,
    training: bool = False,
    need_weights: bool = False,
    is_scaled: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Return ordinary attention by whichever form is faster and gives what is asked for."""
    attend = explicit_attention if need_weights or explicit_is_faster(queries) else sdpa_attention
    return attend(queries, keys, values, bias, dropout_probability, training, need_weights, is_scaled)


class Attended(NamedTuple):
    """What attention returns: output [B, T, D], and weights or None."""

    output: Tensor
    weights: Tensor | None


def _split_heads(projected: Tensor, num_heads: int) -> Tensor:
    # [B, T, H*K] -> [B, H, T, K]
    return projected.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def _merge_heads(heads: Tensor) -> Tensor:
    # [B, H, T, V] -> [B, T, H*V]
    return heads.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself; queries, keys and values are one product."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        key_size: int,
        value_size: int,
        attention_dropout: float,
        interaction: nn.Module | None = None,
        has_bias: bool = True,
        is_scaled: bool = True,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.interaction = interaction
        sizes = (num_heads * key_size, num_heads * key_size, num_heads * value_size)
        self.queries_keys_values = FusedLinear(d_model, sizes, bias=has_bias)
        self.output = nn.Linear(num_heads * value_size, d_model, bias=has_bias)
        self.attention_dropout = attention_dropout
        self.attend = partial(softmax_attention, is_scaled=is_scaled)

    def forward(
        self,
        hidden: Tensor,
        bias: Tensor | None,
        rotation: Tensor | None = None,
        remember: Remember | None = None,
        need_weights: bool = False,
        partner: Partner | None = None,
    ) -> Attended:
        """Return the attended sequence.

        Args:
            hidden: [B, T, D].
            bias: broadcasts to [B, H, T, T]; with earlier positions remembered, to [B, H, T, past + T].
            rotation: rotary table of these positions, [T, 2, K].
            remember: adds these positions' keys and values to earlier ones.
            partner: the rows that these attend to besides their own, where there is an interaction.
        """
        parts = self.queries_keys_values(hidden).split(self.queries_keys_values.sizes, dim=-1)
        queries, keys, values = (_split_heads(part, self.num_heads) for part in parts)
        if rotation is not None:
            queries, keys = rotate(queries, rotation), rotate(keys, rotation)
        if remember is not None:
            keys, values = remember(keys, values)
        dtype, queries = queries.dtype, queries.to(keys.dtype)
        heads, weights = self.attend(queries, keys, values, bias, self.attention_dropout, self.training, need_weights)
        hidden = _merge_heads(heads).to(dtype)
        if partner is not None and self.interaction is not None:
            keys, values = partner.exchange((keys, values))
            heads, _ = self.attend(queries, keys, values, partner.bias, self.attention_dropout, self.training)
            hidden = self.interaction(hidden, _merge_heads(heads).to(dtype), partner.is_visible)
        return Attended(self.output(hidden), weights)


class CrossAttention(nn.Module):
    """Attention of target positions to a source; keys and values are one product, made once per source."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        key_size: int,
        value_size: int,
        attention_dropout: float,
        has_bias: bool = True,
        is_scaled: bool = True,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries = FusedLinear(d_model, (num_heads * key_size,), bias=has_bias)
        sizes = (num_heads * key_size, num_heads * value_size)
        self.source_keys_values = FusedLinear(d_model, sizes, bias=has_bias)
        self.output = nn.Linear(num_heads * value_size, d_model, bias=has_bias)
        self.attention_dropout = attention_dropout
        self.attend = partial(softmax_attention, is_scaled=is_scaled)

    def keys_values(self, source_hidden: Tensor) -> KeysValues:
        """Return keys [B, H, S, K] and values [B, H, S, V] of the encoder's output [B, S, D]."""
        keys, values = self.source_keys_values(source_hidden).split(self.source_keys_values.sizes, dim=-1)
        return _split_heads(keys, self.num_heads), _split_heads(values, self.num_heads)

    def forward(self, hidden: Tensor, source: KeysValues, bias: Tensor | None, need_weights: bool = False) -> Attended:
        """Return what each position attends to, [B * G, T, D]; weights are [B, H, G * T, S].

        Args:
            hidden: [B * G, T, D], G successive rows for each sentence, whose keys and values so exist once.
            source: keys and values of the B sentences.
            bias: [B, 1, 1, S] or None.
        """
        keys, values = source
        projected = self.queries(hidden)
        queries = _split_heads(projected.view(len(keys), -1, projected.shape[-1]), self.num_heads)
        dtype, queries = queries.dtype, queries.to(keys.dtype)
        heads, weights = self.attend(queries, keys, values, bias, self.attention_dropout, self.training, need_weights)
        output = self.output(_merge_heads(heads).to(dtype))
        return Attended(output.view(hidden.shape), weights)
