"""The layers between embeddings and logits: residual branches, feed-forward network, encoder and decoder layer.

Everything keeps the shape [B, T, D]. The parts come built: a layer knows their order, not their options.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from seq2seq.models.transformer.activated import activated_product, saves_memory
from seq2seq.models.transformer.attention import CrossAttention, KeysValues, Partner, Remember, SelfAttention
from seq2seq.models.transformer.dropout import Dropout
from seq2seq.models.transformer.initialization import FusedLinear
from seq2seq.models.transformer.recomputation import RecomputingLayer, recomputed

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}


class FeedForward(nn.Module):
    """Two matrices with a non-linearity between them.

    Args:
        is_gated: the first makes two parts, and the second of them is multiplied with the first's non-linearity
            (Shazeer 2020).
    """

    def __init__(
        self,
        d_model: int,
        ffn_size: int,
        activation: str,
        activation_dropout: float,
        has_bias: bool = True,
        is_gated: bool = False,
    ) -> None:
        super().__init__()
        self.is_gated = is_gated
        self.expand = FusedLinear(d_model, (ffn_size, ffn_size) if is_gated else (ffn_size,), bias=has_bias)
        self.contract = nn.Linear(ffn_size, d_model, bias=has_bias)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(activation_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        expanded = self.expand(hidden)
        if self.is_gated:
            first, second = expanded.chunk(2, dim=-1)
            return self.contract(self.dropout(self.activation(first) * second))
        drops = self.training and self.dropout.probability > 0
        if not drops and saves_memory(expanded, self.contract, self.activation):
            return activated_product(expanded, self.contract, self.activation)
        return self.contract(self.dropout(self.activation(expanded)))


class Residual(nn.Module):
    """What surrounds a sub-layer: `hidden = leave(hidden, sublayer(enter(hidden)))`.

    Pre-norm normalises on entry (Xiong et al. 2020), post-norm after the sum (Vaswani et al. 2017).
    """

    def __init__(self, new_norm: Callable[[], nn.Module], norm_position: str, dropout: float) -> None:
        super().__init__()
        self.norm = new_norm()
        self.norm_first = norm_position == "pre"
        self.dropout = Dropout(dropout)

    def enter(self, hidden: Tensor) -> Tensor:
        return self.norm(hidden) if self.norm_first else hidden

    def leave(self, hidden: Tensor, branch: Tensor) -> Tensor:
        branch = self.dropout(branch)
        return hidden + branch if self.norm_first else self.norm(hidden + branch)


class EncoderLayer(RecomputingLayer):
    """Self-attention and feed-forward network."""

    def __init__(
        self, self_attention: SelfAttention, feed_forward: FeedForward, make_residual: Callable[[], Residual]
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.self_attention_residual = make_residual()
        self.feed_forward = feed_forward
        self.feed_forward_residual = make_residual()

    @recomputed
    def forward(
        self, hidden: Tensor, bias: Tensor | None, rotation: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return [B, S, D] and, if needed, attention weights [B, H, S, S]."""
        attended = self.self_attention(
            self.self_attention_residual.enter(hidden), bias, rotation, need_weights=need_weights
        )
        hidden = self.self_attention_residual.leave(hidden, attended.output)
        branch = self.feed_forward(self.feed_forward_residual.enter(hidden))
        return self.feed_forward_residual.leave(hidden, branch), attended.weights


class DecoderLayerOutput(NamedTuple):
    """Hidden [B, T, D], and weights where needed."""

    hidden: Tensor
    self_weights: Tensor | None
    cross_weights: Tensor | None


class DecoderLayer(RecomputingLayer):
    """Causal self-attention, cross-attention and feed-forward network."""

    def __init__(
        self,
        self_attention: SelfAttention,
        cross_attention: CrossAttention,
        feed_forward: FeedForward,
        make_residual: Callable[[], Residual],
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.self_attention_residual = make_residual()
        self.cross_attention = cross_attention
        self.cross_attention_residual = make_residual()
        self.feed_forward = feed_forward
        self.feed_forward_residual = make_residual()

    @recomputed
    def forward(
        self,
        hidden: Tensor,
        self_bias: Tensor | None,
        rotation: Tensor | None,
        remember: Remember | None,
        source: KeysValues | Tensor,
        source_bias: Tensor | None,
        need_weights: bool,
        partner: Partner | None = None,
    ) -> DecoderLayerOutput:
        """Return the new hidden states; arguments are those of `SelfAttention` and `CrossAttention`.

        Args:
            source: keys and values of the encoder's output, or that output itself. From it they are made here, within
                the layer's own forward: only there does a sharded layer (FSDP) have its weights.
        """
        if isinstance(source, Tensor):
            source = self.cross_attention.keys_values(source)
        attended = self.self_attention(
            self.self_attention_residual.enter(hidden), self_bias, rotation, remember, need_weights, partner
        )
        hidden = self.self_attention_residual.leave(hidden, attended.output)
        cross = self.cross_attention(self.cross_attention_residual.enter(hidden), source, source_bias, need_weights)
        hidden = self.cross_attention_residual.leave(hidden, cross.output)
        branch = self.feed_forward(self.feed_forward_residual.enter(hidden))
        hidden = self.feed_forward_residual.leave(hidden, branch)
        return DecoderLayerOutput(hidden, attended.weights, cross.weights)
