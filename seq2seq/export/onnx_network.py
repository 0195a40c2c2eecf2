"""A model's encoder and its decoder as ONNX graphs, with the names of inputs and outputs that transformers.js knows.

Enter a model, leave two `onnx.ModelProto`. There is one decoder graph for the first step and for all later ones: it is
given what earlier steps returned, of which there is nothing at first, and computes of the source's keys and values only
what is missing. So no weight is there twice, nothing has to be chosen as the graph runs, and later steps need no hidden
states of the encoder. The graphs are written down, not traced, for the reasons in decision 36.
"""

from typing import Any

from seq2seq.export.onnx_layers import Earlier, Stack
from seq2seq.export.onnx_nodes import Graph
from seq2seq.models.transformer import Seq2SeqTransformer

ATTENTION = "cross_attentions"
"""Output of the decoder: weights of the last layer's attention to the source, mean over its heads, [B, T, S]."""
BATCH, SOURCE, TARGET = "batch_size", "encoder_sequence_length", "decoder_sequence_length"
STATES, PAST, PAST_SOURCE = "encoder_states_length", "past_decoder_sequence_length", "past_encoder_sequence_length"
"""Names of sizes. In the first step transformers.js takes those of the past for 0, and any but `batch_size`."""
SIDES = ("decoder", "encoder")


def cache_names(num_layers: int, start: str) -> list[str]:
    """Return names of keys and values, layer by layer: of the target, then of the source."""
    return [f"{start}.{i}.{side}.{part}" for i in range(num_layers) for side in SIDES for part in ("key", "value")]


def past_names(num_layers: int) -> list[str]:
    """Return the names of the decoder's inputs that are earlier keys and values."""
    return cache_names(num_layers, "past_key_values")


def encoder_graph(model: Seq2SeqTransformer, has_8_bits: bool = False) -> Any:
    """Return the encoder: `input_ids` and `attention_mask` [B, S] to `last_hidden_state` [B, S, D]."""
    graph, config, encoder = Graph(has_8_bits), model.config, model.encoder
    ids = graph.input("input_ids", [BATCH, SOURCE], is_ids=True)
    mask = graph.cast(graph.input("attention_mask", [BATCH, SOURCE], is_ids=True), "FLOAT")
    stack = Stack(graph, config, "encoder", past=graph.constant(0, "int64"), length=graph.size(ids, 1))
    hidden = stack.embedded(ids, encoder.embeddings)
    biases = stack.biases(encoder.relative, stack.source_bias(mask), len(encoder.layers), both_sides=True)
    for i, layer in enumerate(encoder.layers):
        hidden = stack.encoder_layer(hidden, layer, f"encoder.layers.{i}", biases[i])
    hidden = stack.normed(hidden, encoder.norm, "encoder.norm")
    real = graph.op("Mul", hidden, graph.op("Unsqueeze", mask, graph.constant([2], "int64")))
    graph.output(real, "last_hidden_state", [BATCH, SOURCE, config.d_model])
    return graph.model("encoder")


def decoder_graph(model: Seq2SeqTransformer, has_8_bits: bool = False) -> Any:
    """Return the decoder: `input_ids` [B, T] and what is known of source and earlier positions to `logits` [B, T, V].

    Further inputs are `encoder_hidden_states` [B, S, D], of which those whose keys are in the past may be left out;
    `encoder_attention_mask` [B, S], of all; and `past_names`, [B, H, P, K]. Keys and values of all positions leave as
    `present`, and `ATTENTION`.
    """
    graph, config, decoder = Graph(has_8_bits), model.config, model.decoder
    heads, num_layers = config.num_heads, config.decoder_layers
    ids = graph.input("input_ids", [BATCH, TARGET], is_ids=True)
    states = graph.input("encoder_hidden_states", [BATCH, STATES, config.d_model])
    mask = graph.cast(graph.input("encoder_attention_mask", [BATCH, SOURCE], is_ids=True), "FLOAT")
    names, sizes = past_names(num_layers), config.head_sizes * 2 * num_layers
    lengths = [PAST, PAST, PAST_SOURCE, PAST_SOURCE] * num_layers
    for name, length, size in zip(names, lengths, sizes, strict=True):
        graph.input(name, [BATCH, heads, length, size])

    stack = Stack(graph, config, "decoder", past=graph.size(names[0], 2), length=graph.size(ids, 1))
    missing = stack.behind(states, graph.size(names[2], 2))
    hidden = stack.embedded(ids, decoder.embeddings)
    cross_bias = stack.source_bias(mask)
    biases = stack.biases(decoder.relative, stack.causal_bias(), num_layers, both_sides=False)
    present, weights = [], ""
    for i, layer in enumerate(decoder.layers):
        target_keys, target_values, source_keys, source_values = names[4 * i : 4 * i + 4]
        earlier = Earlier(target_keys, target_values, source_keys, source_values, missing)
        hidden, weights, kept = stack.decoder_layer(
            hidden, layer, f"decoder.layers.{i}", biases[i], cross_bias, earlier
        )
        present += kept
    hidden = graph.scaled(stack.normed(hidden, decoder.norm, "decoder.norm"), decoder.output_scale)

    is_tied = model.lm_head.weight is decoder.embeddings.tokens.weight
    output = "decoder.embeddings.tokens" if is_tied else "lm_head"
    logits = graph.product(hidden, output, model.lm_head.weight, model.lm_head.bias)
    graph.output(logits, "logits", [BATCH, TARGET, config.vocab_size])
    for value, name, size in zip(present, cache_names(num_layers, "present"), sizes, strict=True):
        graph.output(value, name, [BATCH, heads, f"{name.split('.')[2]}_positions", size])
    mean = graph.op("ReduceMean", weights, graph.constant([1], "int64"), keepdims=0)
    graph.output(mean, ATTENTION, [BATCH, TARGET, SOURCE])
    return graph.model("decoder")
