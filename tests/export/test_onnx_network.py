"""onnxruntime and our own network over the same random weights: the same logits, whatever the options."""

from typing import Any

import numpy
import pytest
import torch

from seq2seq.export.onnx_network import ATTENTION, cache_names, decoder_graph, encoder_graph, past_names
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.tiny import LIKE_T5, PRETRAINED, Pairs, random_pairs, tiny_model

onnx = pytest.importorskip("onnx", reason="onnx is an optional package")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is an optional package")

VARIANTS: list[dict[str, Any]] = [
    {},
    {"d_model": 24, "key_size": None, "value_size": None},
    {"positions": "rotary"},
    {"positions": "learned", "norm": "rms_norm"},
    {"positions": "closed_sinusoidal"},
    {"norm_position": "post", "activation": "gelu"},
    {"activation": "gelu_tanh", "tie_embeddings": "target"},
    {"tie_embeddings": "none", "source_vocab_size": 41},
    *PRETRAINED,
]
ATOL = 1e-5


def session(graph: Any) -> Any:
    onnx.checker.check_model(graph, full_check=True)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def sessions(model: Seq2SeqTransformer, has_8_bits: bool = False) -> tuple[Any, Any]:
    return session(encoder_graph(model, has_8_bits)), session(decoder_graph(model, has_8_bits))


def empty_past(model: Seq2SeqTransformer, rows: int) -> dict[str, numpy.ndarray]:
    names, sizes = past_names(model.config.decoder_layers), model.config.head_sizes
    shape = (rows, model.config.num_heads, 0)
    return {name: numpy.zeros((*shape, sizes[i % 2]), numpy.float32) for i, name in enumerate(names)}


def encoded(encoder: Any, pairs: Pairs) -> dict[str, numpy.ndarray]:
    mask = pairs.attention_mask.long().numpy()
    [states] = encoder.run(None, {"input_ids": pairs.input_ids.numpy(), "attention_mask": mask})
    return {"encoder_hidden_states": states, "encoder_attention_mask": mask}


def stepwise(decoder: Any, pairs: Pairs, source: dict[str, Any], past: dict[str, Any]) -> numpy.ndarray:
    """Return logits [B, T, V], one position after the other; every second step is not given the states again."""
    found = []
    for t in range(pairs.decoder_input_ids.shape[1]):
        states = source["encoder_hidden_states"]
        given = source | {"encoder_hidden_states": states[:, :0] if t % 2 else states}
        logits, *present, _ = decoder.run(
            None, {"input_ids": pairs.decoder_input_ids[:, t : t + 1].numpy(), **given, **past}
        )
        past = dict(zip(past, present, strict=True))
        found.append(logits)
    return numpy.concatenate(found, axis=1)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_logits_are_ours_at_once_and_step_by_step(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options).float(), random_pairs()
    encoder, decoder = sessions(model)
    with torch.no_grad():
        expected = model(*pairs, output_attentions=True)
    source, past = encoded(encoder, pairs), empty_past(model, 5)
    states = expected.encoder_last_hidden_state.numpy()
    numpy.testing.assert_allclose(source["encoder_hidden_states"], states, atol=ATOL, rtol=0)
    logits, *_, attention = decoder.run(None, {"input_ids": pairs.decoder_input_ids.numpy(), **source, **past})
    numpy.testing.assert_allclose(logits, expected.logits, atol=ATOL, rtol=0)
    mean = expected.cross_attentions[-1].mean(1)
    numpy.testing.assert_allclose(attention, mean, atol=ATOL, rtol=0)
    numpy.testing.assert_allclose(stepwise(decoder, pairs, source, past), expected.logits, atol=ATOL, rtol=0)


@pytest.mark.parametrize("options", [{}, {"positions": "rotary", "tie_embeddings": "none"}, LIKE_T5], ids=str)
def test_weights_of_8_bits_are_near(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options).float(), random_pairs()
    encoder, decoder = sessions(model, has_8_bits=True)
    with torch.no_grad():
        expected = model(*pairs).logits.numpy()
    found = stepwise(decoder, pairs, encoded(encoder, pairs), empty_past(model, 5))
    error = numpy.abs(found - expected).max() / expected.std()
    assert 1e-3 < error < 0.3


def test_what_is_tied_is_stored_once() -> None:
    model = tiny_model().float()
    shapes = [tuple(tensor.dims) for tensor in decoder_graph(model).graph.initializer]
    assert shapes.count((23, 37)) == 1
    untied = tiny_model(tie_embeddings="none").float()
    assert [tuple(tensor.dims) for tensor in decoder_graph(untied).graph.initializer].count((23, 37)) == 2


def test_names_are_those_of_transformers_js() -> None:
    model = tiny_model().float()
    encoder, decoder = encoder_graph(model).graph, decoder_graph(model).graph
    assert [value.name for value in encoder.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in encoder.output] == ["last_hidden_state"]
    given = ["input_ids", "encoder_hidden_states", "encoder_attention_mask"]
    assert [value.name for value in decoder.input] == [*given, *past_names(2)]
    assert [value.name for value in decoder.output] == ["logits", *cache_names(2, "present"), ATTENTION]
    assert past_names(1)[2] == "past_key_values.0.encoder.key"
    # The first dimension of what is empty at first is taken from its name, all others from nothing.
    shape = decoder.input[3].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in shape] == [
        *("batch_size", 3, "past_decoder_sequence_length", 4)
    ]


def test_positions_beyond_those_that_were_learned_stop_the_graph() -> None:
    model = tiny_model(positions="learned").float()
    encoder = session(encoder_graph(model))
    ids = numpy.full((1, 18), 5)
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        encoder.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})
