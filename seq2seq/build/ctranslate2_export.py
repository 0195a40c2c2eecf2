"""From a model folder to one that CTranslate2 reads, and what its output has in common with ours.

The weights stay what they are (or are rounded by CTranslate2's own quantisation), only their names and their grouping
change. Sources are given to CTranslate2 as our tokens without end of sentence, which it adds itself.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.layers import NORM_EPSILON, DecoderLayer, EncoderLayer, FeedForward
from seq2seq.models.transformer.positions import sinusoids

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "swiglu": "SWISH"}
QUANTIZATIONS = ("float32", "int8", "int8_float32", "int16", "float16", "bfloat16", "int8_float16", "int8_bfloat16")
MAX_POSITIONS = 1024
"""Rows of the table of sinusoids: CTranslate2 takes positions as a table."""


def require_ctranslate2() -> Any:
    """Return the library; raise ValueError with the way to install it where it is missing."""
    try:
        import ctranslate2
    except ImportError:
        raise ValueError('CTranslate2 is not installed: `pip install "seq2seq[ctranslate2]"`.') from None
    return ctranslate2


def export_ctranslate2(
    folder: Path,
    model: Seq2SeqTransformer,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    quantization: str = "float32",
) -> None:
    """Write a folder that `ctranslate2.Translator` opens; it appears whole or not at all.

    Args:
        source_tokens, target_tokens: the vocabularies' tokens by id, all different.

    Raises:
        ValueError: CTranslate2 is missing, has no such quantisation, or cannot express an option of the model.
    """
    require_ctranslate2()
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"`quantization` must be one of {', '.join(QUANTIZATIONS)}, but is {quantization!r}.")
    config = model.config
    check_expressible(config)
    spec = transformer_spec(model)
    spec.register_source_vocabulary(list(source_tokens))
    spec.register_target_vocabulary(list(target_tokens))
    spec.config.unk_token = "<unk>" if "<unk>" in source_tokens else source_tokens[config.pad_token_id]
    spec.config.bos_token = target_tokens[config.bos_token_id]
    spec.config.eos_token = target_tokens[config.eos_token_id]
    spec.config.decoder_start_token = target_tokens[config.decoder_start_token_id]
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = NORM_EPSILON
    spec.validate()
    spec.optimize(quantization=None if quantization == "float32" else quantization)
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    spec.save(str(temporary))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def check_expressible(config: Seq2SeqTransformerConfig) -> None:
    """Raise ValueError naming the first option that CTranslate2 has no counterpart for."""
    key_size, value_size = config.head_sizes
    refused = {
        "talking_heads": config.talking_heads,
        "encoder_attention: linear": config.encoder_attention == "linear",
        "a key_size other than d_model / num_heads": key_size * config.num_heads != config.d_model,
        "a value_size other than key_size": key_size != value_size,
    }
    for option, is_used in refused.items():
        if is_used:
            raise ValueError(f"CTranslate2 has no counterpart for {option}; this model cannot be exported to it.")


# ---- weights ---------------------------------------------------------------------------------------------------------


def transformer_spec(model: Seq2SeqTransformer) -> Any:
    """Return CTranslate2's description of the model, with its weights."""
    from ctranslate2.specs import common_spec
    from ctranslate2.specs import transformer_spec as specs

    config = model.config
    options = {
        "num_heads": config.num_heads,
        "pre_norm": config.norm_position == "pre",
        "activation": common_spec.Activation[ACTIVATIONS[config.activation]],
        "ffn_glu": config.activation == "swiglu",
        "rms_norm": config.norm == "rms_norm",
        "rotary_dim": 0 if config.positions == "rotary" else None,
        "rotary_interleave": False,
    }
    encoder = specs.TransformerEncoderSpec(config.encoder_layers, **options)
    # The decoder takes "as many key-value heads as heads" only when told so.
    decoder = specs.TransformerDecoderSpec(config.decoder_layers, num_heads_kv=None, **options)
    for side, ours in ((encoder, model.encoder), (decoder, model.decoder)):
        side.scale_embeddings = numpy.dtype("float32").type(ours.embeddings.scale)
        if config.positions != "rotary":
            side.position_encodings.encodings = position_table(config, ours.embeddings.positions)
        if config.norm_position == "pre":
            set_norm(side.layer_norm, ours.norm)
    encoder.embeddings[0].weight = array(model.encoder.embeddings.tokens.weight)
    decoder.embeddings.weight = array(model.decoder.embeddings.tokens.weight)
    decoder.projection.weight = array(model.lm_head.weight)
    for layer_spec, encoder_layer in zip(encoder.layer, model.encoder.layers, strict=True):
        set_encoder_layer(layer_spec, encoder_layer)
    for layer_spec, decoder_layer in zip(decoder.layer, model.decoder.layers, strict=True):
        set_decoder_layer(layer_spec, decoder_layer)
    return specs.TransformerSpec(encoder, decoder)


def array(tensor: Tensor) -> numpy.ndarray:
    """Return a copy as float32; it must be one, since saving may change it in place."""
    return tensor.detach().float().cpu().numpy().copy()


def position_table(config: Seq2SeqTransformerConfig, positions: nn.Module) -> numpy.ndarray:
    if config.positions == "learned":
        return array(positions.vectors.weight)  # type: ignore[union-attr,arg-type]
    return array(sinusoids(MAX_POSITIONS, config.d_model))


def set_norm(spec: Any, norm: nn.Module) -> None:
    spec.gamma = array(norm.weight)  # type: ignore[arg-type]
    if getattr(norm, "bias", None) is not None:
        spec.beta = array(norm.bias)  # type: ignore[arg-type]


def set_linear(spec: Any, linear: nn.Linear, rows: slice = slice(None)) -> None:
    spec.weight, spec.bias = array(linear.weight[rows]), array(linear.bias[rows])


def set_feed_forward(spec: Any, feed_forward: FeedForward, norm: nn.Module) -> None:
    sizes = feed_forward.expand.sizes
    set_linear(spec.linear_0, feed_forward.expand, slice(0, sizes[0]))
    if len(sizes) == 2:
        set_linear(spec.linear_0_noact, feed_forward.expand, slice(sizes[0], None))
    set_linear(spec.linear_1, feed_forward.contract)
    set_norm(spec.layer_norm, norm)


def set_encoder_layer(spec: Any, layer: EncoderLayer | DecoderLayer) -> None:
    set_linear(spec.self_attention.linear[0], layer.self_attention.queries_keys_values)
    set_linear(spec.self_attention.linear[1], layer.self_attention.output)
    set_norm(spec.self_attention.layer_norm, layer.self_attention_residual.norm)
    set_feed_forward(spec.ffn, layer.feed_forward, layer.feed_forward_residual.norm)


def set_decoder_layer(spec: Any, layer: DecoderLayer) -> None:
    set_encoder_layer(spec, layer)
    set_linear(spec.attention.linear[0], layer.cross_attention.queries)
    set_linear(spec.attention.linear[1], layer.cross_attention.source_keys_values)
    set_linear(spec.attention.linear[2], layer.cross_attention.output)
    set_norm(spec.attention.layer_norm, layer.cross_attention_residual.norm)
