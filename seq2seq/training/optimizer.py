"""Optimizers over a model's parameters, with weight decay only where it belongs.

A model enters; a `torch.optim.Optimizer` with two parameter groups leaves. Decay acts on weight matrices; biases,
normalisation weights and embeddings are left alone, since their scale is what they say.
"""

from typing import Literal

from torch import nn
from torch.nn import Parameter
from torch.optim import Adafactor, AdamW, Optimizer
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices


def build_optimizer(
    model: nn.Module,
    *,
    name: Literal["adamw", "adafactor"],
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.98),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Return the optimizer; call it before the model is wrapped for several processes.

    AdamW (Loshchilov, Hutter 2019) runs as one fused kernel where the device has it. Adafactor (Shazeer, Stern 2018) is
    PyTorch's: steps are relative to each parameter's size and the rate is min(learning_rate, 1 / sqrt(step)); it takes
    neither `betas` nor `epsilon`.

    Raises:
        ValueError: the name is unknown, or the learning rate is not positive.
    """
    if learning_rate <= 0:
        raise ValueError(f"`learning_rate` must be positive, but is {learning_rate}.")
    groups = decay_groups(model, weight_decay)
    if name == "adamw":
        fusible = _get_fused_kernels_supported_devices()
        fused = all(parameter.device.type in fusible for parameter in model.parameters())
        return AdamW(groups, lr=learning_rate, betas=betas, eps=epsilon, fused=fused)
    if name == "adafactor":
        return Adafactor(groups, lr=learning_rate)
    raise ValueError(f"`optimizer.name` must be adamw or adafactor, but is {name!r}.")


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Return parameter groups with and without decay; a group that would be empty is left out.

    Decay is for parameters with two or more dimensions that do not belong to an embedding, also not by sharing.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    decayed: list[Parameter] = []
    others: list[Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_embedding = id(parameter) in embeddings or "embedding" in name
            (others if parameter.ndim < 2 or is_embedding else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
