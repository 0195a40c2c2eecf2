"""From a model folder to one that CTranslate2 reads, with all that serving it needs.

The weights stay what they are (or are rounded by CTranslate2's own quantisation), only their names and their grouping
change. Sources are given to CTranslate2 as our tokens without end of sentence, which it adds itself; the tokens of ids
are those of `ctranslate2_vocabularies`, also found in the folder's `*_vocabulary.json`.
"""

from pathlib import Path
from typing import Any

import numpy
from torch import Tensor, nn

from seq2seq.assembly.decoding_defaults import DecodingDefaults, write_decoding
from seq2seq.assembly.search import inner_search
from seq2seq.data.cutting import smallest
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import Search
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.engines.ctranslate2_engine import MAX_POSITIONS, MODEL_FILE, TOKENIZER_FOLDER, require_ctranslate2
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies
from seq2seq.files import new_folder
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.layers import DecoderLayer, EncoderLayer, FeedForward

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "silu": "SWISH"}
QUANTIZATIONS = ("float32", "int8", "int8_float32", "int16", "float16", "bfloat16", "int8_float16", "int8_bfloat16")


def export_ctranslate2(
    folder: Path,
    model: Seq2SeqTransformer,
    tokenizer: TextTokenizer,
    search: Search,
    source_prefix: str = "",
    quantization: str = "float32",
    max_source_tokens: int | None = None,
    languages: tuple[str | None, str | None] = (None, None),
) -> None:
    """Write a folder that `ctranslate2.Translator` opens; it appears whole or not at all, in the place of an older one.

    Beside CTranslate2's files it holds `tokenizer/`, for `TextTokenizer.load`, and `decoding.json`.

    Args:
        tokenizer: what its targets have to begin with is written, too.
        languages: of sources and targets, for a model of many; whoever decodes may say others.

    Raises:
        ValueError: CTranslate2 is missing, has no such quantisation, or cannot express an option of the model; or the
            folder holds something else.
    """
    require_ctranslate2()
    check_replaceable(folder)
    max_source_tokens = smallest((max_source_tokens, model.max_source_tokens))  # beyond its positions it would fail
    check_one_start(tokenizer)
    spec = ctranslate2_spec(model, tokenizer, search, quantization)
    start = tokenizer.target_start or None
    with new_folder(folder) as unfinished:
        spec.save(str(unfinished))
        tokenizer.save(unfinished / TOKENIZER_FOLDER)
        write_decoding(unfinished, DecodingDefaults(search, source_prefix, max_source_tokens, *languages, start))


def ctranslate2_spec(model: Seq2SeqTransformer, tokenizer: TextTokenizer, search: Search, quantization: str) -> Any:
    """Return what CTranslate2 saves as a model, with its weights of this type.

    Raises:
        ValueError: CTranslate2 is missing, has no such quantisation, or cannot express an option of the model.
    """
    require_ctranslate2()
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"`quantization` must be one of {', '.join(QUANTIZATIONS)}, but is {quantization!r}.")
    check_expressible(model.config)
    plain = inner_search(search)
    longest = plain.max_length if isinstance(plain, SearchOptions) else 0
    spec = transformer_spec(model, num_positions=max(MAX_POSITIONS, longest))
    set_vocabularies(spec, model.config, tokenizer)
    spec.config.layer_norm_epsilon = model.config.norm_epsilon
    spec.validate()
    spec.optimize(quantization=None if quantization == "float32" else quantization)
    return spec


def check_replaceable(folder: Path, mark: str = MODEL_FILE, name: str = "CTranslate2 model") -> None:
    """Raise ValueError if the folder holds anything but an earlier export, since it will be replaced as a whole.

    Args:
        mark: a file that every such export has.
        name: what the export is called.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / mark).is_file():
        raise ValueError(f"{folder} is there and holds no {name}; give a new name, or remove it yourself.")


def check_one_start(tokenizer: TextTokenizer) -> None:
    """Raise ValueError if the decoder starts from a language; CTranslate2's start is one token for all targets."""
    if tokenizer.languages.is_start:
        raise ValueError(
            "CTranslate2 starts all targets from one token, and this model starts each from its language; convert its "
            "folder by CTranslate2's own `ct2-transformers-converter`, and give the language as `target_prefix`."
        )


def check_expressible(config: Seq2SeqTransformerConfig) -> None:
    """Raise ValueError naming the first option that CTranslate2 has no counterpart for."""
    key_size, value_size = config.head_sizes
    refused = {
        f"generation_order: {config.generation_order}": config.generation_order != "l2r",
        "a key_size other than d_model / num_heads": key_size * config.num_heads != config.d_model,
        "a value_size other than key_size": key_size != value_size,
        f"positions: {config.positions}": config.positions == "relative",
        "attention_scale: false": not config.attention_scale,
        "biases: false": not config.biases,
        "an output_scale": config.output_scale,
    }
    for option, is_used in refused.items():
        if is_used:
            raise ValueError(
                f"CTranslate2 has no counterpart for {option} here; this model cannot be exported to it. A folder of a "
                "family of transformers is converted by CTranslate2's own `ct2-transformers-converter`."
            )


# ---- vocabularies ----------------------------------------------------------------------------------------------------


def set_vocabularies(spec: Any, config: Seq2SeqTransformerConfig, tokenizer: TextTokenizer) -> None:
    """Give the tokens of both sides to the description, and the roles of the special ones."""
    rows = (config.source_vocab_size or config.vocab_size, config.vocab_size)
    source, target = ctranslate2_vocabularies(tokenizer, *rows)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    # A vocabulary without unknown token gets a token of no role: CTranslate2 would add a row that has no embedding.
    unknown = tokenizer.source.unk_id
    spec.config.unk_token = source[tokenizer.source_pad_id if unknown is None else unknown]
    spec.config.bos_token = target[config.bos_token_id]
    spec.config.eos_token = target[config.eos_token_id]
    spec.config.decoder_start_token = target[config.decoder_start_token_id]
    spec.config.add_source_eos = True


# ---- weights ---------------------------------------------------------------------------------------------------------


def transformer_spec(model: Seq2SeqTransformer, num_positions: int) -> Any:
    """Return CTranslate2's description of the model, with its weights and `num_positions` rows of sinusoids."""
    from ctranslate2.specs import common_spec
    from ctranslate2.specs import transformer_spec as specs

    config = model.config
    options = {
        "num_heads": config.num_heads,
        "pre_norm": config.norm_position == "pre",
        "activation": common_spec.Activation[ACTIVATIONS[config.activation]],
        "ffn_glu": config.gated_feed_forward,
        "rms_norm": config.norm == "rms_norm",
        "layernorm_embedding": config.embedding_norm,
        "rotary_dim": 0 if config.positions == "rotary" else None,
        "rotary_interleave": False,
    }
    encoder = specs.TransformerEncoderSpec(config.encoder_layers, **options)
    # The decoder takes "as many key-value heads as heads" only when told so.
    decoder = specs.TransformerDecoderSpec(config.decoder_layers, num_heads_kv=None, **options)
    for side, ours in ((encoder, model.encoder), (decoder, model.decoder)):
        side.scale_embeddings = numpy.dtype("float32").type(ours.embeddings.scale)
        positions: Any = ours.embeddings.positions
        if config.positions in ("sinusoidal", "closed_sinusoidal"):
            side.position_encodings.encodings = array(positions.build(num_positions))
        elif config.positions == "learned":
            side.position_encodings.encodings = array(positions.vectors.weight[config.position_offset :])
        if ours.embeddings.norm is not None:
            set_norm(side.layernorm_embedding, ours.embeddings.norm)
        if config.norm_position == "pre":
            set_norm(side.layer_norm, ours.norm)
    encoder.embeddings[0].weight = array(model.encoder.embeddings.tokens.weight)
    decoder.embeddings.weight = array(model.decoder.embeddings.tokens.weight)
    decoder.projection.weight = array(model.lm_head.weight)
    if model.lm_head.bias is not None:
        decoder.projection.bias = array(model.lm_head.bias)
    for layer_spec, encoder_layer in zip(encoder.layer, model.encoder.layers, strict=True):
        set_encoder_layer(layer_spec, encoder_layer)
    for layer_spec, decoder_layer in zip(decoder.layer, model.decoder.layers, strict=True):
        set_decoder_layer(layer_spec, decoder_layer)
    return specs.TransformerSpec(encoder, decoder)


def array(tensor: Tensor) -> numpy.ndarray:
    """Return a copy as float32; it must be one, since saving may change it in place."""
    return tensor.detach().float().cpu().numpy().copy()


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
