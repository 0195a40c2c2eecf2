"""Three networks written down from their papers in numpy, which share nothing with the package.

Oracles: a fault that transformers and this toolkit have in common would be seen here. Weights are looked up by the
names of checkpoints that transformers wrote. Batches are done sentence by sentence, the sources with their padding,
which stands on the right.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from seq2seq.models.loading import load_model
from tests.models.families.tiny_families import random_batch, random_model

Array = NDArray[numpy.float64]
HEADS = 3


class Checkpoint:
    """Tensors by name."""

    def __init__(self, folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        self.tensors = {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> Array:
        return self.tensors[name]

    def linear(self, name: str, x: Array) -> Array:
        return x @ self[f"{name}.weight"].T + self.tensors.get(f"{name}.bias", 0.0)

    def layer_norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred / numpy.sqrt(variance + 1e-5) * self[f"{name}.weight"] + self[f"{name}.bias"]

    def rms_norm(self, name: str, x: Array) -> Array:
        return x / numpy.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self[f"{name}.weight"]


def softmax(x: Array) -> Array:
    powers = numpy.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(queries: Array, keys: Array, values: Array, scale: float, bias: Array) -> Array:
    """Head by head over [T, H * K]; the bias is [H, T, S], or broadcasts to it."""
    parts = [numpy.split(part, HEADS, 1) for part in (queries, keys, values)]
    biases = numpy.broadcast_to(bias, (HEADS, len(queries), len(keys)))
    heads = [softmax(q @ k.T * scale + b) @ v for q, k, v, b in zip(*parts, biases, strict=True)]
    return numpy.concatenate(heads, 1)


def later_hidden(length: int) -> Array:
    return numpy.where(numpy.arange(length)[None, :] > numpy.arange(length)[:, None], -numpy.inf, 0.0)[None]


def padding_hidden(ids: list[int], padding: int) -> Array:
    return numpy.where(numpy.array(ids) == padding, -numpy.inf, 0.0)[None, None]


def relu(x: Array) -> Array:
    return numpy.maximum(x, 0.0)


def gelu(x: Array) -> Array:
    return x * 0.5 * (1.0 + numpy.vectorize(math.erf)(x / math.sqrt(2.0)))


def gelu_by_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + numpy.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


# ---- BART (Lewis et al. 2020) and M2M100 (Fan et al. 2020) ----


def fairseq_attention(weights: Checkpoint, name: str, x: Array, source: Array, bias: Array) -> Array:
    queries, keys, values = (
        weights.linear(f"{name}.{part}_proj", y) for part, y in (("q", x), ("k", source), ("v", source))
    )
    scale = (queries.shape[1] // HEADS) ** -0.5
    return weights.linear(f"{name}.out_proj", attention(queries, keys, values, scale, bias))


def fairseq_stack(
    weights: Checkpoint,
    name: str,
    x: Array,
    hidden: Array,
    source: tuple[Array, Array] | None,
    is_pre: bool,
    activation: Callable[[Array], Array],
) -> Array:
    """Self-attention, in a decoder attention to the source and its mask, and two products, normed before or after."""
    for i in range(1 if source is None else 2):
        layer = f"{name}.layers.{i}"

        def self_attention(y: Array, layer: str = layer) -> Array:
            return fairseq_attention(weights, f"{layer}.self_attn", y, y, hidden)

        def cross_attention(y: Array, layer: str = layer) -> Array:
            assert source is not None
            return fairseq_attention(weights, f"{layer}.encoder_attn", y, *source)

        def feed_forward(y: Array, layer: str = layer) -> Array:
            return weights.linear(f"{layer}.fc2", activation(weights.linear(f"{layer}.fc1", y)))

        branches = {"self_attn": self_attention, "encoder_attn": cross_attention, "final": feed_forward}
        if source is None:
            del branches["encoder_attn"]
        for branch, compute in branches.items():
            norm = f"{layer}.{branch}_layer_norm"
            x = x + compute(weights.layer_norm(norm, x)) if is_pre else weights.layer_norm(norm, x + compute(x))
    return weights.layer_norm(f"{name}.layer_norm", x) if is_pre else x


def fairseq_states(
    weights: Checkpoint,
    embedded: Callable[[str, list[int]], Array],
    source: list[int],
    target: list[int],
    padding: int,
    *how: Any,
) -> Array:
    mask = padding_hidden(source, padding)
    encoded = fairseq_stack(weights, "model.encoder", embedded("encoder", source), mask, None, *how)
    decoded = embedded("decoder", target)
    return fairseq_stack(weights, "model.decoder", decoded, later_hidden(len(target)), (encoded, mask), *how)


def bart_forward(weights: Checkpoint, source: list[int], target: list[int], padding: int) -> Array:
    """Learned positions, of which the table has two rows in front; norms after embeddings and after sums."""

    def embedded(stack: str, ids: list[int]) -> Array:
        x = weights["model.shared.weight"][ids] + weights[f"model.{stack}.embed_positions.weight"][2 : 2 + len(ids)]
        return weights.layer_norm(f"model.{stack}.layernorm_embedding", x)

    x = fairseq_states(weights, embedded, source, target, padding, False, gelu)
    return x @ weights["model.shared.weight"].T + weights["final_logits_bias"][0]


def m2m100_forward(weights: Checkpoint, source: list[int], target: list[int], padding: int) -> Array:
    """Sinusoids whose positions are the id of padding plus the running count of tokens that are none."""

    def embedded(stack: str, ids: list[int]) -> Array:
        embeddings = weights["model.shared.weight"]
        width, count = embeddings.shape[1], 0
        half, rows = width // 2, []
        for token in ids:
            count += token != padding
            position = padding + count if token != padding else padding
            # fairseq computes them in single precision, and that is what models have learned.
            frequencies = torch.exp(torch.arange(half).float() * -(math.log(10000.0) / (half - 1)))
            angles = torch.tensor(float(position)) * frequencies
            waves = torch.cat([torch.sin(angles), torch.cos(angles)]).double().numpy()
            rows.append(waves if token != padding else numpy.zeros(width))
        return embeddings[ids] * math.sqrt(width) + numpy.stack(rows)

    x = fairseq_states(weights, embedded, source, target, padding, True, relu)
    return x @ weights["model.shared.weight"].T


# ---- T5 (Raffel et al. 2020) ----


def t5_bucket(query: int, key: int, is_decoder: bool) -> int:
    """8 groups of distances up to 11: half of them exact, the others equally wide in the logarithm."""
    num_groups, group, distance = 8, 0, query - key
    if is_decoder:
        distance = max(distance, 0)
    else:
        num_groups = 4
        group, distance = (4, -distance) if distance < 0 else (0, distance)
    exact = num_groups // 2
    if distance < exact:
        return group + distance
    share = math.log(distance / exact) / math.log(11 / exact)
    return group + min(exact + int(share * (num_groups - exact)), num_groups - 1)


def t5_attention(weights: Checkpoint, name: str, x: Array, source: Array, bias: Array) -> Array:
    """Products are not divided by anything, and there are no biases but that of distances."""
    queries, keys, values = (
        weights.linear(f"{name}.{part}", y) for part, y in (("q", x), ("k", source), ("v", source))
    )
    return weights.linear(f"{name}.o", attention(queries, keys, values, 1.0, bias))


def t5_stack(weights: Checkpoint, name: str, x: Array, hidden: Array, source: tuple[Array, Array] | None) -> Array:
    is_decoder, length = source is not None, len(x)
    table = weights[f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    groups = [[t5_bucket(query, key, is_decoder) for key in range(length)] for query in range(length)]
    bias = table[groups].transpose(2, 0, 1) + hidden
    for i in range(2 if is_decoder else 1):
        block = f"{name}.block.{i}.layer"
        normed = weights.rms_norm(f"{block}.0.layer_norm", x)
        x = x + t5_attention(weights, f"{block}.0.SelfAttention", normed, normed, bias)
        if source is not None:
            normed = weights.rms_norm(f"{block}.1.layer_norm", x)
            x = x + t5_attention(weights, f"{block}.1.EncDecAttention", normed, *source)
        last = f"{block}.{2 if is_decoder else 1}"
        normed, dense = weights.rms_norm(f"{last}.layer_norm", x), f"{last}.DenseReluDense"
        if f"{dense}.wi.weight" in weights.tensors:
            inner = relu(weights.linear(f"{dense}.wi", normed))
        else:
            inner = gelu_by_tanh(weights.linear(f"{dense}.wi_0", normed)) * weights.linear(f"{dense}.wi_1", normed)
        x = x + weights.linear(f"{dense}.wo", inner)
    return weights.rms_norm(f"{name}.final_layer_norm", x)


def t5_forward(weights: Checkpoint, source: list[int], target: list[int], padding: int) -> Array:
    """With the embeddings as output layer, what comes out of the decoder is divided by the root of its width."""
    embeddings, mask = weights["shared.weight"], padding_hidden(source, padding)
    encoded = t5_stack(weights, "encoder", embeddings[source], mask, None)
    x = t5_stack(weights, "decoder", embeddings[target], later_hidden(len(target)), (encoded, mask))
    output = weights.tensors.get("lm_head.weight")
    return x / math.sqrt(x.shape[1]) @ embeddings.T if output is None else x @ output.T


FORWARDS = {"bart": bart_forward, "m2m100": m2m100_forward, "t5": t5_forward, "flan_t5": t5_forward}


@pytest.mark.parametrize("name", FORWARDS)
def test_logits_are_those_of_the_paper(name: str, tmp_path: Path) -> None:
    theirs: Any = random_model(name)
    theirs.save_pretrained(tmp_path)
    batch, weights = random_batch(theirs), Checkpoint(tmp_path)
    sources, targets = batch["input_ids"].tolist(), batch["decoder_input_ids"].tolist()
    ours: Any = load_model(tmp_path, dtype=torch.float64)
    found = ours.teacher_forced(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"]).numpy()
    assert not bool(batch["attention_mask"].all())
    for logits, source, target in zip(found, sources, targets, strict=True):
        expected = FORWARDS[name](weights, source, target, theirs.config.pad_token_id)
        numpy.testing.assert_allclose(logits, expected, rtol=0, atol=1e-10)
