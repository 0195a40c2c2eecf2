"""What the two directions of a target tell each other in self-attention (Zhou, Zhang and Zong, TACL 2019, section 3.2).

A position attends to the positions of its own row, and apart from that, with the same query, to those of its partner:
the row that generates the same target from the other end. Both results, heads side by side, are fused before the
output projection. Nothing but a gate adds parameters.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.models.transformer.attention import Partner, attention_bias
from seq2seq.models.transformer.dropout import Dropout

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda hidden: hidden,
    "tanh": torch.tanh,
    "relu": functional.relu,
}


def rows_in_pairs(visible: Tensor, dtype: torch.dtype) -> Partner:
    """Return the partners of training: rows 2i and 2i + 1, where a position sees no later ones.

    Args:
        visible: bool [B * 2, T], the positions of a row that its partner may attend to.
    """
    seen = _exchanged(visible)
    causal = torch.ones(seen.shape[1], seen.shape[1], dtype=torch.bool, device=seen.device).tril_()
    bias = attention_bias(causal & seen[:, None, None, :], dtype)
    return Partner(lambda parts: (_exchanged(parts[0]), _exchanged(parts[1])), bias, seen.any(1)[:, None, None])


def _exchanged(rows: Tensor) -> Tensor:
    """Return [2 * B, …] with rows 2i and 2i + 1 in each other's place."""
    return rows.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


class AddedInteraction(nn.Module):
    """own + weight * f(partner's), with f one of `NONLINEARITIES`."""

    def __init__(self, kind: str, weight: float, dropout: float) -> None:
        super().__init__()
        self.nonlinearity = NONLINEARITIES[kind]
        self.weight = weight
        self.dropout = Dropout(dropout)

    def forward(self, own: Tensor, other: Tensor, is_visible: Tensor | None) -> Tensor:
        """Return [rows, T, H * V]; dropout comes before the non-linearity, as in the authors' code."""
        added = self.nonlinearity(self.dropout(other))
        if is_visible is not None:
            added = added * is_visible
        return torch.add(own, added, alpha=self.weight)


class GatedInteraction(nn.Module):
    """r * own + z * partner's, with (r, z) = sigmoid(W [own; partner's] + b); 2 (H V)^2 parameters a layer.

    A row without a partner keeps its own as it is.
    """

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.gates = nn.Linear(2 * size, 2 * size)
        self.dropout = Dropout(dropout)

    def forward(self, own: Tensor, other: Tensor, is_visible: Tensor | None) -> Tensor:
        """Return [rows, T, H * V]."""
        other = self.dropout(other)
        keep, let_in = torch.sigmoid(self.gates(torch.cat([own, other], dim=-1))).chunk(2, dim=-1)
        fused = keep * own + let_in * other
        return fused if is_visible is None else torch.where(is_visible, fused, own)


def make_interaction(kind: str, weight: float, dropout: float, size: int) -> nn.Module:
    """Return what fuses heads of this size together, H * V; the weight is for all kinds but `gate`."""
    return GatedInteraction(size, dropout) if kind == "gate" else AddedInteraction(kind, weight, dropout)
