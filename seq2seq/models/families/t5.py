"""T5 and its kin: T5 1.0 and 1.1, FLAN-T5, mT5, umT5, ByT5, MADLAD.

Relative positions, root-mean-square norms, no biases, products of attention that are not scaled. The later ones have
gated feed-forward layers and an output layer of their own.
"""

from collections.abc import Iterator
from typing import Any

from seq2seq.models.families.bart import ACTIVATIONS
from seq2seq.models.families.tables import Config, Entry, Family, NotNative
from seq2seq.models.transformer.options import TransformerOptions


def t5_layers(options: TransformerOptions) -> Iterator[Entry]:
    """Yield all but embeddings and output layer, in the order of the network."""
    for stack, number in (("encoder", options.encoder_layers), ("decoder", options.decoder_layers)):
        for i in range(number if options.relative_layers == "all" else 1):
            attention = f"{stack}.block.{i}.layer.0.SelfAttention"
            yield Entry(f"{stack}.relative.tables.{i}.weight", (f"{attention}.relative_attention_bias.weight",))
        for i in range(number):
            yield from _layer(f"{stack}.layers.{i}", f"{stack}.block.{i}.layer", stack == "decoder", options)
        yield Entry(f"{stack}.norm.weight", (f"{stack}.final_layer_norm.weight",))


def _layer(ours: str, theirs: str, is_decoder: bool, options: TransformerOptions) -> Iterator[Entry]:
    attention, last = f"{theirs}.0.SelfAttention", 2 if is_decoder else 1
    projections = tuple(f"{attention}.{name}.weight" for name in "qkv")
    yield Entry(f"{ours}.self_attention.queries_keys_values.weight", projections)
    yield Entry(f"{ours}.self_attention.output.weight", (f"{attention}.o.weight",))
    yield Entry(f"{ours}.self_attention_residual.norm.weight", (f"{theirs}.0.layer_norm.weight",))
    if is_decoder:
        attention = f"{theirs}.1.EncDecAttention"
        yield Entry(f"{ours}.cross_attention.queries.weight", (f"{attention}.q.weight",))
        of_source = (f"{attention}.k.weight", f"{attention}.v.weight")
        yield Entry(f"{ours}.cross_attention.source_keys_values.weight", of_source)
        yield Entry(f"{ours}.cross_attention.output.weight", (f"{attention}.o.weight",))
        yield Entry(f"{ours}.cross_attention_residual.norm.weight", (f"{theirs}.1.layer_norm.weight",))
    dense = f"{theirs}.{last}.DenseReluDense"
    expand = (f"{dense}.wi_0.weight", f"{dense}.wi_1.weight") if options.gated_feed_forward else (f"{dense}.wi.weight",)
    yield Entry(f"{ours}.feed_forward.expand.weight", expand)
    yield Entry(f"{ours}.feed_forward.contract.weight", (f"{dense}.wo.weight",))
    yield Entry(f"{ours}.feed_forward_residual.norm.weight", (f"{theirs}.{last}.layer_norm.weight",))


def _common(config: Config) -> dict[str, Any]:
    """Return what all of these families say alike; raise NotNative if there is no such non-linearity."""
    gated, _, activation = config["feed_forward_proj"].rpartition("-")
    activation = "gelu_new" if (gated, activation) == ("gated", "gelu") else activation
    if activation not in ACTIVATIONS or gated not in ("", "gated"):
        raise NotNative(f"`feed_forward_proj` {config['feed_forward_proj']!r} is nothing that this network has")
    decoder_layers = config["num_layers"] if config["num_decoder_layers"] is None else config["num_decoder_layers"]
    return {
        "d_model": config["d_model"],
        "encoder_layers": config["num_layers"],
        "decoder_layers": decoder_layers,
        "num_heads": config["num_heads"],
        "ffn_size": config["d_ff"],
        "key_size": config["d_kv"],
        "value_size": config["d_kv"],
        "norm": "rms_norm",
        "norm_epsilon": config["layer_norm_epsilon"],
        "embedding_scale": False,
        "positions": "relative",
        "relative_buckets": config["relative_attention_num_buckets"],
        "relative_distance": config["relative_attention_max_distance"],
        "attention_scale": False,
        "activation": ACTIVATIONS[activation],
        "gated_feed_forward": gated == "gated",
        "biases": False,
        "dropout": config["dropout_rate"],
        "attention_dropout": config["dropout_rate"],
        "activation_dropout": config["dropout_rate"],
    }


def t5_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    """An output layer of its own is not scaled, and where the file says `tie_word_embeddings: false`, none is."""
    is_scaled = is_output_tied and config["tie_word_embeddings"] is not False
    return _common(config) | {"output_scale": is_scaled}


def mt5_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    return _common(config)


def umt5_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    return t5_options(config, is_output_tied) | {"relative_layers": "all"}


_DEFAULTS: dict[str, Any] = {
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_decoder_layers": None,
    "num_heads": 8,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
_LATER = {"d_ff": 1024, "num_layers": 8, "num_heads": 6, "feed_forward_proj": "gated-gelu"}
_EMBEDDINGS: dict[str, Any] = {
    "shared": "shared.weight",
    "encoder_embeddings": "encoder.embed_tokens.weight",
    "decoder_embeddings": "decoder.embed_tokens.weight",
    # In files of early versions; cross-attention never used it.
    "overflows_in_half": True,
    "computed": ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),
}

FAMILIES = (
    Family("t5", "T5ForConditionalGeneration", _DEFAULTS, t5_options, t5_layers, **_EMBEDDINGS),
    Family("mt5", "MT5ForConditionalGeneration", _DEFAULTS | _LATER, mt5_options, t5_layers, **_EMBEDDINGS),
    Family("umt5", "UMT5ForConditionalGeneration", _DEFAULTS | _LATER, umt5_options, t5_layers, **_EMBEDDINGS),
)
