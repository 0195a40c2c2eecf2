"""Tiny models of all-distinct prime sizes, and batches for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "d_model": 23,
    "num_heads": 3,
    "key_size": 4,
    "value_size": 7,
    "ffn_size": 19,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "max_positions": 17,
}

RELATIVE: dict[str, Any] = {"positions": "relative", "relative_buckets": 6, "relative_distance": 7}
"""Buckets of near and of far distances, and some that share the last."""
LIKE_BART: dict[str, Any] = {
    "norm_position": "post",
    "positions": "learned",
    "position_offset": 2,
    "embedding_norm": True,
    "output_bias": True,
}
LIKE_M2M100: dict[str, Any] = {"positions": "closed_sinusoidal", "position_offset": 2}
LIKE_T5: dict[str, Any] = {
    **RELATIVE,
    "norm": "rms_norm",
    "embedding_scale": False,
    "attention_scale": False,
    "biases": False,
    "output_scale": True,
}
LIKE_UMT5: dict[str, Any] = {
    **LIKE_T5,
    "relative_layers": "all",
    "encoder_layers": 2,
    "activation": "gelu_tanh",
    "gated_feed_forward": True,
    "output_scale": False,
    "tie_embeddings": "inputs",
}
GATED_WITH_BIASES: dict[str, Any] = {"activation": "silu", "gated_feed_forward": True, "output_bias": True}
PRETRAINED = [LIKE_BART, LIKE_M2M100, LIKE_T5, LIKE_UMT5, GATED_WITH_BIASES]
"""What families of pretrained models have that is not there by default."""


class Pairs(NamedTuple):
    """Random sentences: source [5, 11] of various lengths, decoder inputs [5, 13]."""

    input_ids: Tensor
    attention_mask: Tensor
    decoder_input_ids: Tensor


def tiny_model(**options: Any) -> Seq2SeqTransformer:
    """Return a float64 model in evaluation mode, whose norms and biases, also of distances, are not as they start."""
    model = Seq2SeqTransformer(Seq2SeqTransformerConfig(**{**SIZES, **options})).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or ".relative." in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def random_pairs(vocab_size: int = 37) -> Pairs:
    lengths = torch.tensor([11, 3, 7, 1, 5])
    mask = torch.arange(11) < lengths[:, None]
    source = torch.randint(3, vocab_size, (5, 11)).masked_fill(~mask, 0)
    return Pairs(source, mask, torch.randint(3, vocab_size, (5, 13)))


@contextmanager
def kept_for_the_backward() -> Iterator[list[Tensor]]:
    """Give the tensors that operations of the block keep for their backward."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
