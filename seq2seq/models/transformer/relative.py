"""Relative positions: a learned bias of self-attention for each head and group of distances (Raffel et al. 2020, 2.1).

Numbers of positions enter, of queries and of keys; what is added to the products of attention leaves. Near distances
have a group each, farther ones share groups that grow with the distance, and beyond the largest all are one.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seq2seq.models.transformer.initialization import ZeroEmbedding
from seq2seq.models.transformer.options import TransformerOptions


def distance_buckets(distances: Tensor, num_buckets: int, largest: int, both_sides: bool) -> Tensor:
    """Return the group of each distance, int64: that of a key behind the query, or with `both_sides` before it, too.

    Args:
        distances: int64, number of the key minus that of the query.
        largest: distance from which on all are one group.
    """
    first = torch.zeros_like(distances)
    if both_sides:
        num_buckets //= 2
        first = (distances > 0).long() * num_buckets
    distances = distances.abs() if both_sides else distances.neg().clamp(min=0)
    num_exact = num_buckets // 2
    # The rounding of float32 decides some borders, as in the models that were trained so.
    share = torch.log(distances.float() / num_exact) / math.log(largest / num_exact)
    far = (num_exact + (share * (num_buckets - num_exact)).long()).clamp(max=num_buckets - 1)
    return first + torch.where(distances < num_exact, distances, far)


class RelativeBiases(nn.Module):
    """The biases of a stack's layers: one table of the first layer's that all share, or one of each.

    Args:
        both_sides: whether keys may stand on either side of a query, as in an encoder.
    """

    def __init__(self, options: TransformerOptions, num_layers: int, both_sides: bool) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.num_buckets, self.largest = options.relative_buckets, options.relative_distance
        self.both_sides = both_sides
        num_tables = num_layers if options.relative_layers == "all" else 1
        self.tables = nn.ModuleList(ZeroEmbedding(self.num_buckets, options.num_heads) for _ in range(num_tables))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Return the bias of each layer's attention, [1 or B, H, T, S].

        Args:
            queries: int64 [T], numbers of their positions.
            keys: int64 [S] or [B, S].
            mask: a bias that says what is seen, which is added; broadcasts to [B, H, T, S].
        """
        distances = keys.unsqueeze(-2) - queries.unsqueeze(-1)  # [T, S] or [B, T, S]
        buckets = distance_buckets(distances, self.num_buckets, self.largest, self.both_sides)
        buckets = buckets if buckets.dim() == 3 else buckets.unsqueeze(0)
        biases = [table(buckets).permute(0, 3, 1, 2) for table in self.tables]
        if mask is not None:
            biases = [bias + mask for bias in biases]
        return biases if len(biases) == self.num_layers else biases * self.num_layers


def relative_biases(options: TransformerOptions, num_layers: int, both_sides: bool) -> RelativeBiases | None:
    """Return the biases of a stack; None where positions are of another kind."""
    return RelativeBiases(options, num_layers, both_sides) if options.positions == "relative" else None


def biases_of_layers(
    relative: RelativeBiases | None, num_layers: int, queries: Tensor, keys: Tensor, mask: Tensor | None
) -> Sequence[Tensor | None]:
    """Return each layer's bias: the mask itself where positions are not relative."""
    return [mask] * num_layers if relative is None else relative(queries, keys, mask)
