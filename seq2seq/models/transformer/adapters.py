"""Low-rank adapters (LoRA, Hu et al. 2022): beside each product W x a learnt one, s B (A x), of small rank.

peft puts its layers into the model, in the place of linear ones, so that the model stays what it is for everything
else (`adapter_layers`). What decodes, and what is exported, has W + s B A, and no adapters: for that, names of weights
are enough.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

Targets = Literal["all_linear", "attention", "feed_forward"]
PARENTS = {
    "all_linear": ("self_attention", "cross_attention", "feed_forward"),
    "attention": ("self_attention", "cross_attention"),
    "feed_forward": ("feed_forward",),
}
"""The modules of a layer whose linear layers get adapters."""
DOWN, UP, BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer"
"""A and B by the ends of their names, and what of a name says that the rest is of the layer without adapters."""


def check_installed() -> None:
    """Raise ValueError if peft is not there."""
    if find_spec("peft") is None:
        raise ValueError('`lora` needs peft: pip install "seq2seq-toolkit[lora]".')


def add_adapters(model: nn.Module, *, rank: int, alpha: float, dropout: float, targets: Targets) -> None:
    """Put adapters beside the linear layers of a model's layers, in place; nothing but they is trained any more.

    A product that stands for several, such as queries, keys and values, has one A for all of them.

    Args:
        alpha: s is alpha / rank.
        dropout: of what enters A.
        targets: which linear layers.

    Raises:
        ValueError: peft is not installed.
    """
    check_installed()
    from seq2seq.models.transformer.adapter_layers import put_in

    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {
        name: linear
        for name, linear in linears.items()
        if ".layers." in name and name.split(".")[-2] in PARENTS[targets]
    }
    put_in(model, chosen, rank=rank, alpha=alpha, dropout=dropout)


def scaling_of(model: nn.Module) -> float | None:
    """Return s of a model's adapters; None where it has none."""
    layers: Any = (module for module in model.modules() if hasattr(module, "lora_A"))
    return next((float(layer.scaling["default"]) for layer in layers), None)


@torch.no_grad()
def merge_adapters(model: nn.Module) -> None:
    """Put the linear layers back in their place, with what the adapters have learnt; of a model without, nothing."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "lora_A"):
            layer: Any = module
            product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            layer.base_layer.weight.add_(product * layer.scaling["default"])
            path, _, child = name.rpartition(".")
            setattr(model.get_submodule(path), child, layer.base_layer)


def merged(weights: Mapping[str, Tensor], scaling: float) -> dict[str, Tensor]:
    """Return the weights of a model without adapters that computes what one with these does."""
    found = {name.replace(BASE, ""): weight for name, weight in weights.items() if ".lora_" not in name}
    for name in (name.removesuffix(DOWN) for name in weights if name.endswith(DOWN)):
        down, up = weights[name + DOWN], weights[name + UP]
        found[f"{name}.weight"] = weights[f"{name}{BASE}.weight"] + (up @ down) * scaling
    return found
