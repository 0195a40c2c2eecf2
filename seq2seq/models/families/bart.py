"""BART and its kin: Marian, mBART (25 and 50 languages), M2M100 with NLLB, PEGASUS.

One layout of names, one way of attention; they differ in positions, in where they normalise, and in what scales and
biases they have.
"""

from collections.abc import Iterator
from typing import Any

from seq2seq.models.families.tables import Config, Entry, Family, NotNative
from seq2seq.models.transformer.options import TransformerOptions

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}

NORMS = {
    "self_attention_residual": "self_attn_layer_norm",
    "cross_attention_residual": "encoder_attn_layer_norm",
    "feed_forward_residual": "final_layer_norm",
}
PARTS = ("weight", "bias")


def bart_layers(options: TransformerOptions) -> Iterator[Entry]:
    """Yield all but embeddings and output layer, in the order of the network."""
    for stack, number in (("encoder", options.encoder_layers), ("decoder", options.decoder_layers)):
        if options.positions == "learned":
            yield Entry(f"{stack}.embeddings.positions.vectors.weight", (f"model.{stack}.embed_positions.weight",))
        for part in PARTS if options.embedding_norm else ():
            yield Entry(f"{stack}.embeddings.norm.{part}", (f"model.{stack}.layernorm_embedding.{part}",))
        for part in PARTS if options.norm_position == "pre" else ():
            yield Entry(f"{stack}.norm.{part}", (f"model.{stack}.layer_norm.{part}",))
        for i in range(number):
            yield from _layer(f"{stack}.layers.{i}", f"model.{stack}.layers.{i}", stack == "decoder")


def _layer(ours: str, theirs: str, is_decoder: bool) -> Iterator[Entry]:
    for part in PARTS:
        attention = f"{theirs}.self_attn"
        projections = tuple(f"{attention}.{name}_proj.{part}" for name in "qkv")
        yield Entry(f"{ours}.self_attention.queries_keys_values.{part}", projections)
        yield Entry(f"{ours}.self_attention.output.{part}", (f"{attention}.out_proj.{part}",))
        if is_decoder:
            attention = f"{theirs}.encoder_attn"
            yield Entry(f"{ours}.cross_attention.queries.{part}", (f"{attention}.q_proj.{part}",))
            of_source = tuple(f"{attention}.{name}_proj.{part}" for name in "kv")
            yield Entry(f"{ours}.cross_attention.source_keys_values.{part}", of_source)
            yield Entry(f"{ours}.cross_attention.output.{part}", (f"{attention}.out_proj.{part}",))
        yield Entry(f"{ours}.feed_forward.expand.{part}", (f"{theirs}.fc1.{part}",))
        yield Entry(f"{ours}.feed_forward.contract.{part}", (f"{theirs}.fc2.{part}",))
        for residual, norm in NORMS.items():
            if is_decoder or not residual.startswith("cross"):
                yield Entry(f"{ours}.{residual}.norm.{part}", (f"{theirs}.{norm}.{part}",))


def _common(config: Config, has_output_bias: bool) -> dict[str, Any]:
    """Return what all of these families say alike.

    Raises:
        NotNative: the stacks differ in what they have in common here, or there is no such non-linearity.
    """
    for name in ("attention_heads", "ffn_dim"):
        if config[f"encoder_{name}"] != config[f"decoder_{name}"]:
            raise NotNative(
                f"`encoder_{name}` ({config[f'encoder_{name}']}) and `decoder_{name}` ({config[f'decoder_{name}']}) "
                "differ, which this network has one of"
            )
    activation = config["activation_function"]
    if activation not in ACTIVATIONS:
        raise NotNative(f"`activation_function` {activation!r} is none of {', '.join(ACTIVATIONS)}")
    return {
        "d_model": config["d_model"],
        "encoder_layers": config["encoder_layers"],
        "decoder_layers": config["decoder_layers"],
        "num_heads": config["encoder_attention_heads"],
        "ffn_size": config["encoder_ffn_dim"],
        "activation": ACTIVATIONS[activation],
        "embedding_scale": bool(config["scale_embedding"]),
        "output_bias": has_output_bias,
        "fixed_padding": True,
        "dropout": config["dropout"],
        "attention_dropout": config["attention_dropout"],
        "activation_dropout": config["activation_dropout"],
    }


def marian_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    common = _common(config, True)
    return common | {"norm_position": "post", "max_tokens": config["max_position_embeddings"]}


def bart_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    return _common(config, True) | {
        "norm_position": "post",
        "embedding_norm": True,
        "positions": "learned",
        "position_offset": 2,
        "max_positions": config["max_position_embeddings"],
    }


def mbart_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    return bart_options(config, is_output_tied) | {"norm_position": "pre"}


def m2m100_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    """Positions are counted from the id of padding on, and not at padding, which here stands on the right only."""
    return _common(config, False) | {
        "norm_position": "pre",
        "positions": "closed_sinusoidal",
        "position_offset": config["pad_token_id"] + 1,
    }


def pegasus_options(config: Config, is_output_tied: bool) -> dict[str, Any]:
    common = _common(config, True)
    return common | {"norm_position": "pre", "max_tokens": config["max_position_embeddings"]}


def _defaults(**values: Any) -> dict[str, Any]:
    """Return what the configurations of transformers say where a file says nothing."""
    common = {
        "d_model": 1024,
        "encoder_layers": 12,
        "decoder_layers": 12,
        "encoder_attention_heads": 16,
        "decoder_attention_heads": 16,
        "encoder_ffn_dim": 4096,
        "decoder_ffn_dim": 4096,
        "activation_function": "gelu",
        "scale_embedding": False,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "max_position_embeddings": 1024,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    return common | values


_EMBEDDINGS: dict[str, Any] = {
    "base": "model.",
    "shared": "model.shared.weight",
    "encoder_embeddings": "model.encoder.embed_tokens.weight",
    "decoder_embeddings": "model.decoder.embed_tokens.weight",
}
_VERSIONS = ("model.encoder.version", "model.decoder.version")
"""In files that are of fairseq's; they say nothing."""
_SINUSOIDS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")

FAMILIES = (
    Family(
        "marian",
        "MarianMTModel",
        _defaults(pad_token_id=58100, eos_token_id=0, bos_token_id=None, decoder_start_token_id=58100),
        marian_options,
        bart_layers,
        **_EMBEDDINGS,
        output_bias="final_logits_bias",
        computed=_SINUSOIDS,
    ),
    Family(
        "bart",
        "BartForConditionalGeneration",
        _defaults(decoder_start_token_id=2),
        bart_options,
        bart_layers,
        **_EMBEDDINGS,
        output_bias="final_logits_bias",
        computed=_VERSIONS,
    ),
    Family(
        "mbart",
        "MBartForConditionalGeneration",
        _defaults(),
        mbart_options,
        bart_layers,
        **_EMBEDDINGS,
        output_bias="final_logits_bias",
    ),
    Family(
        "m2m_100",
        "M2M100ForConditionalGeneration",
        _defaults(activation_function="relu", scale_embedding=True, attention_dropout=0.1, decoder_start_token_id=2),
        m2m100_options,
        bart_layers,
        **_EMBEDDINGS,
        computed=("model.encoder.embed_positions.", "model.decoder.embed_positions."),
    ),
    Family(
        "pegasus",
        "PegasusForConditionalGeneration",
        _defaults(pad_token_id=0, eos_token_id=1, bos_token_id=None, decoder_start_token_id=0),
        pegasus_options,
        bart_layers,
        **_EMBEDDINGS,
        output_bias="final_logits_bias",
        computed=_SINUSOIDS,
    ),
)
