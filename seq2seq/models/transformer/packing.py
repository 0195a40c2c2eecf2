"""Weights laid out for inference: on CPUs, linear layers keep them in oneDNN's blocked format.

An ordinary product rearranges its weight on every call. With 32 rows, those of a greedy step, that took half of the
product's time in either precision; with 160, those of a beam, a third in bf16 and a tenth in fp32. A packed model
computes the same network, but can no longer be trained or saved.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from seq2seq.models.transformer.layers import ACTIVATIONS, FeedForward
from seq2seq.models.transformer.modeling import Seq2SeqTransformer

FUSED_ACTIVATIONS = {
    ACTIVATIONS["relu"]: ("relu", ""),
    ACTIVATIONS["gelu"]: ("gelu", "none"),
    ACTIVATIONS["gelu_tanh"]: ("gelu", "tanh"),
}


class PackedLinear(nn.Module):
    """A linear layer, with a non-linearity in the same pass, over a packed copy of its weight."""

    def __init__(self, linear: nn.Linear, activation: str = "none", variant: str = "") -> None:
        super().__init__()
        self.packed_weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias
        self.sizes = getattr(linear, "sizes", None)
        self.activation = activation
        self.variant = variant

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(
            hidden, self.packed_weight, self.bias, self.activation, [], self.variant
        )


def can_pack(weight: Tensor) -> bool:
    """Return whether oneDNN has kernels for such a weight on this machine."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    kernels = torch.ops.mkldnn
    if weight.dtype == torch.bfloat16:
        return bool(kernels._is_mkldnn_bf16_supported())
    if weight.dtype == torch.float16:
        return bool(kernels._is_mkldnn_fp16_supported())
    return weight.dtype == torch.float32


@torch.no_grad()
def pack(model: Seq2SeqTransformer) -> Seq2SeqTransformer:
    """Pack the weights of a model in place, if that makes it faster; return the model."""
    if not can_pack(model.lm_head.weight):
        return model
    output_weight = model.lm_head.weight
    for module in list(model.modules()):
        if isinstance(module, FeedForward) and module.activation in FUSED_ACTIVATIONS:
            module.expand = PackedLinear(module.expand, *FUSED_ACTIVATIONS[module.activation])  # type: ignore[assignment]
            module.activation = _identity
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child))
    model.lm_head.weight = output_weight  # which callers read as the target's embeddings
    return model


def _identity(hidden: Tensor) -> Tensor:
    return hidden


def decoding_copy(model: Seq2SeqTransformer, dtype: torch.dtype) -> Seq2SeqTransformer:
    """Return a packed copy of a model in training, in evaluation mode and with weights of type `dtype`."""
    copy = deepcopy(model).eval()
    nn.Module.to(copy, dtype)  # transformers wraps `to` for quantised models, in types that leave out this use
    return pack(copy)
