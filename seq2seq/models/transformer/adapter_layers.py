"""peft's layers as this network needs them; imported only where there are adapters, since peft is an extra.

What peft adds to a product takes three more tensors of its size, which are gone at once, but among what stays leave
holes in a CPU's memory that nothing fits: training steps took 1.5 times the memory. Here the sum is made in place.
"""

from collections.abc import Mapping
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners import lora
from torch import Tensor, nn

ADAPTER = "default"
"""peft's name of the only adapter of a layer."""


class AdaptedLinear(lora.Linear):
    """W x + s B (A x), of rows [..., in]; the result is [..., out]."""

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Return those of a `FusedLinear`."""
        return getattr(self.base_layer, "sizes", None)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        rows = x.flatten(0, -2)
        result: Tensor = self.base_layer(rows)
        inner = self.lora_A[ADAPTER](self.lora_dropout[ADAPTER](rows)).to(result.dtype)
        up: Tensor = self.lora_B[ADAPTER].weight.to(result.dtype)  # type: ignore[assignment]
        return result.addmm_(inner, up.T, alpha=self.scaling[ADAPTER]).view(*x.shape[:-1], -1)


def put_in(model: nn.Module, chosen: Mapping[str, nn.Linear], *, rank: int, alpha: float, dropout: float) -> None:
    """Put adapters in the place of the linear layers of these names; nothing but they is trained any more."""
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(chosen))  # type: ignore[arg-type]
    config._register_custom_module({nn.Linear: AdaptedLinear})
    inject_adapter_in_model(config, model)
    for name, linear in chosen.items():
        model.get_submodule(name).train(linear.training)
