"""How weights start: uniform for matrices (Glorot, Bengio 2010), normal for embeddings, constant for biases and norms.

A fused product (queries, keys and values as one matrix) is initialised as the separate matrices that it stands for:
its bounds would otherwise shrink with the number of parts. Embeddings start as N(0, 1/D): with the scaling by sqrt(D)
on the way in they have unit variance, and tied to the output layer they give logits of unit variance.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FusedLinear(nn.Linear):
    """Linear maps of one input as one product, `sizes` their output widths.

    Only initialisation looks at the parts; callers split the output themselves.
    """

    def __init__(self, in_features: int, sizes: Sequence[int], bias: bool = True) -> None:
        self.sizes = tuple(sizes)
        super().__init__(in_features, sum(sizes), bias=bias)


class ZeroEmbedding(nn.Embedding):
    """An embedding that starts at 0, so that a model without it can become one with it."""


def initialize_module(module: nn.Module, *, is_output: bool) -> None:
    """Initialise the parameters that this very module owns, except those that transformers says were loaded.

    Args:
        is_output: the weight is that of the output layer, which starts as embeddings do.
    """
    for name, parameter in module.named_parameters(recurse=False):
        if not getattr(parameter, "_is_hf_initialized", False):
            with torch.no_grad():
                parameter.copy_(_initial_value(module, name, parameter, is_output))


def _initial_value(module: nn.Module, name: str, parameter: Tensor, is_output: bool) -> Tensor:
    if isinstance(module, ZeroEmbedding):
        return torch.zeros_like(parameter)
    if isinstance(module, nn.Embedding) or (is_output and name == "weight"):
        return nn.init.normal_(torch.empty_like(parameter), std=parameter.shape[1] ** -0.5)
    if isinstance(module, nn.Linear) and name == "weight":
        sizes = module.sizes if isinstance(module, FusedLinear) else [module.out_features]
        return torch.cat([nn.init.xavier_uniform_(parameter.new_empty(rows, module.in_features)) for rows in sizes])
    known = isinstance(module, nn.Linear | nn.LayerNorm | nn.RMSNorm)
    assert known, f"{name} of {type(module).__name__} has no rule of initialisation"
    return torch.full_like(parameter, float(name == "weight"))
