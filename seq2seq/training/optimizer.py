"""The optimizer over a model's parameters, with weight decay only where it belongs.

A model enters; a `torch.optim.Optimizer` with parameter groups leaves. Decay acts on the weights of linear layers.
Biases, normalisation weights and embeddings are left alone, since their scale is what they say, and so is whatever else
a module owns: a gate, a scale, or a mixing matrix that starts as the identity is not at rest at 0.
"""

from typing import Any, Literal

from torch import nn
from torch.nn import Parameter
from torch.optim import Adafactor, AdamW, Optimizer

from seq2seq.training.muon import MATRICES, Muon

OptimizerName = Literal["adamw", "muon", "adafactor"]

SQUARES_OF_NOTHING, LEAST_SCALE = 1e-18, 1e-3
"""Adafactor's two epsilons. The first keeps a row whose gradients are all 0 from a division by 0, and torch squares it,
so that it is near the square root of float32's smallest number; torch's own, 1e-7, is above the mean square of ordinary
gradients of a large matrix. The second is the paper's: the least size of a parameter's weights that a step looks at."""


def build_optimizer(
    model: nn.Module,
    *,
    name: OptimizerName,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> Optimizer:
    """Return the optimizer of a name; call it before the model is wrapped for several processes.

    AdamW (Loshchilov, Hutter 2019) runs as one fused kernel where the device has it; so does what of `Muon` is AdamW.
    Adafactor (Shazeer, Stern 2018) has neither `betas` nor an epsilon to choose; its steps are clipped at a root mean
    square of 1, as in the paper.

    Raises:
        ValueError: the learning rate is not positive.
    """
    if learning_rate <= 0:
        raise ValueError(f"`learning_rate` must be positive, but is {learning_rate}.")
    groups = decay_groups(model, weight_decay)
    if name == "adafactor":
        return Adafactor(groups, lr=learning_rate, eps=(SQUARES_OF_NOTHING, LEAST_SCALE))
    options: dict[str, Any] = {"lr": learning_rate, "betas": betas, "eps": epsilon}
    kind, groups = (Muon, with_matrices_apart(model, groups)) if name == "muon" else (AdamW, groups)
    try:
        return kind([dict(group) for group in groups], fused=True, **options)
    except RuntimeError:  # a device without such a kernel
        return kind(groups, fused=False, **options)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Return parameter groups with and without decay; a group that would be empty is left out."""
    products = weights_of_products(model)
    decayed: list[Parameter] = []
    others: list[Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if id(parameter) in products else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def with_matrices_apart(model: nn.Module, groups: list[dict]) -> list[dict]:
    """Return groups of parameters with the weights of linear layers in groups of their own, for Muon.

    The output layer stays with the others, as embeddings do: each of its rows is of one token.
    """
    output = getattr(model, "get_output_embeddings", lambda: None)()
    matrices = weights_of_products(model) - ({id(output.weight)} if output is not None else set())
    found = [
        group
        | {MATRICES: are, "params": [parameter for parameter in group["params"] if (id(parameter) in matrices) == are]}
        for group in groups
        for are in (True, False)
    ]
    return [group for group in found if group["params"]]


def weights_of_products(model: nn.Module) -> set[int]:
    """Return the `id` of each weight of a linear layer that does not belong to an embedding, also not by sharing."""
    kinds = (nn.Linear, nn.Embedding)
    products, embeddings = ({id(part.weight) for part in model.modules() if isinstance(part, kind)} for kind in kinds)
    return products - embeddings
