"""Folders of random models in the shapes of checkpoints that people use, as transformers writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

Values = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A checkpoint's class, the values of its `config.json` that make its shape, and what it says of search."""

    name: str
    """Of the class, without `Config`, and of the model's."""
    model: str
    sizes: Mapping[str, Any]
    tiny: Mapping[str, Any]
    generation: Mapping[str, Any]
    first_id: int
    """Of the vocabulary, the first that is no special token."""
    num_last: int = 0
    """Tokens at its end that are special."""


_STACKS = ("encoder", "decoder")


def _bart_sizes(d_model: int, layers: int, heads: int, ffn: int) -> Values:
    sizes = {f"{stack}_{name}": n for stack in _STACKS for name, n in (("layers", layers), ("ffn_dim", ffn))}
    return sizes | {f"{stack}_attention_heads": heads for stack in _STACKS} | {"d_model": d_model}


SHAPES = {
    "opus-mt": Shape(
        "MarianConfig",
        "MarianMTModel",
        _bart_sizes(512, 6, 8, 2048)
        | {"vocab_size": 58101, "pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100}
        | {"max_position_embeddings": 512, "activation_function": "swish", "scale_embedding": True}
        | {"forced_eos_token_id": None, "bos_token_id": 0},
        _bart_sizes(32, 1, 2, 64) | {"vocab_size": 101, "pad_token_id": 100, "decoder_start_token_id": 100},
        {"num_beams": 4, "max_length": 512, "forced_eos_token_id": 0, "renormalize_logits": True},
        first_id=2,
        num_last=1,
    ),
    "t5-small": Shape(
        "T5Config",
        "T5ForConditionalGeneration",
        {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
        | {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
        {"vocab_size": 101, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2},
        {},
        first_id=3,
    ),
    "nllb-600m": Shape(
        "M2M100Config",
        "M2M100ForConditionalGeneration",
        _bart_sizes(1024, 12, 16, 4096)
        | {"vocab_size": 256206, "max_position_embeddings": 1024, "scale_embedding": True}
        | {"activation_function": "relu", "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0}
        | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2},
        _bart_sizes(32, 1, 2, 64) | {"vocab_size": 101},
        {"max_length": 200},
        first_id=4,
    ),
}


def save_random(shape: Shape, folder: Path, is_tiny: bool) -> Values:
    """Write a random model; return the ids of its vocabulary: the first and behind the last of words, and `eos`."""
    torch.manual_seed(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = getattr(transformers, shape.name)(**{**shape.sizes, **(shape.tiny if is_tiny else {})})
    model = getattr(transformers, shape.model)(config)
    generation: Values = dict(shape.generation)
    if shape.num_last:  # padding, which Marian's models never say
        generation["bad_words_ids"] = [[config.pad_token_id]]
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    return {"first": shape.first_id, "end": config.vocab_size - shape.num_last, "eos": config.eos_token_id}
