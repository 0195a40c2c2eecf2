"""How weights start: three kinds for matrices, one rule for embeddings and norms.

A fused product (queries, keys and values as one matrix) is initialised as the separate matrices that it stands for:
its bounds would otherwise shrink with the number of parts. Embeddings start as N(0, 1/D): with the scaling by sqrt(D)
on the way in they have unit variance, and tied to the output layer they give logits of unit variance.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

TRUNCATED_STANDARD_DEVIATION = 0.87962566103423978
"""Standard deviation of a unit normal cut off at two standard deviations."""


class FusedLinear(nn.Linear):
    """Linear maps of one input as one product, `sizes` their output widths; each holds `num_heads` equal heads.

    Only initialisation looks at the parts; callers split the output themselves.
    """

    def __init__(self, in_features: int, sizes: Sequence[int], num_heads: int = 1) -> None:
        self.sizes = tuple(sizes)
        self.num_heads = num_heads
        super().__init__(in_features, sum(sizes))

    def blocks(self, kind: str) -> list[int]:
        """Return the rows that are initialised together: single heads if orthogonal, whole maps otherwise."""
        if kind != "orthogonal":
            return list(self.sizes)
        return [size // self.num_heads for size in self.sizes for _ in range(self.num_heads)]


class ZeroEmbedding(nn.Embedding):
    """An embedding that starts at 0, so that a model without it can become one with it."""


def truncated_normal_(weight: Tensor) -> Tensor:
    """Fill with a normal of variance 1/fan_in, cut off at two standard deviations."""
    scale = weight.shape[1] ** -0.5 / TRUNCATED_STANDARD_DEVIATION
    return nn.init.trunc_normal_(weight, std=scale, a=-2 * scale, b=2 * scale)


def embedding_normal_(weight: Tensor) -> Tensor:
    """Fill [V, D] with N(0, 1/D)."""
    return nn.init.normal_(weight, std=weight.shape[1] ** -0.5)


MATRIX_KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
    "truncated_normal": truncated_normal_,
    "embedding": embedding_normal_,
}


def initialize_module(module: nn.Module, kind: str) -> None:
    """Initialise the parameters that this very module owns, except those that transformers says were loaded.

    Args:
        kind: of linear layers, one of `MATRIX_KINDS`; biases start at 0, norms at 1.
    """
    for name, parameter in module.named_parameters(recurse=False):
        if not getattr(parameter, "_is_hf_initialized", False):
            with torch.no_grad():
                parameter.copy_(_initial_value(module, name, parameter, kind))


def _initial_value(module: nn.Module, name: str, parameter: Tensor, kind: str) -> Tensor:
    if isinstance(module, nn.Linear) and name == "weight":
        blocks = module.blocks(kind) if isinstance(module, FusedLinear) else [module.out_features]
        return torch.cat([MATRIX_KINDS[kind](parameter.new_empty(rows, module.in_features)) for rows in blocks])
    if isinstance(module, ZeroEmbedding):
        return torch.zeros_like(parameter)
    if isinstance(module, nn.Embedding):
        return embedding_normal_(torch.empty_like(parameter))
    known = isinstance(module, nn.Linear | nn.LayerNorm | nn.RMSNorm)
    assert known, f"{name} of {type(module).__name__} has no rule of initialisation"
    return torch.full_like(parameter, float(name == "weight"))
