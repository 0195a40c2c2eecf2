"""The parts of encoder and decoder as ONNX nodes, in the order and with the names of `models/transformer`.

Modules and names of values enter, names of values leave. Everything has any number of rows and positions. Position
vectors and turns are computed from numbers of positions by the graph, so that there is no longest sequence; the table
of relative biases is one for each distance.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.export.ctranslate2_export import array
from seq2seq.export.onnx_nodes import Graph
from seq2seq.models.transformer import Seq2SeqTransformerConfig
from seq2seq.models.transformer.attention import MASKED, CrossAttention, SelfAttention
from seq2seq.models.transformer.layers import DecoderLayer, EncoderLayer, FeedForward
from seq2seq.models.transformer.positions import LearnedPositions, angles, closed_angles
from seq2seq.models.transformer.relative import RelativeBiases, distance_buckets
from seq2seq.models.transformer.stacks import Embeddings


class Earlier(NamedTuple):
    """What a decoder layer is given of earlier steps: names of keys and values, and the states that have none yet."""

    target_keys: str
    target_values: str
    source_keys: str
    source_values: str
    missing: str


class Stack:
    """Writes the nodes of one stack.

    Args:
        name: `encoder` or `decoder`, with which names of weights begin.
        past: int64, number of earlier positions.
        length: int64, number of positions.
    """

    def __init__(self, graph: Graph, config: Seq2SeqTransformerConfig, name: str, past: str, length: str) -> None:
        self.graph = graph
        self.config = config
        self.name = name
        one = graph.constant(1, "int64")
        self.end = graph.op("Add", past, length)
        self.keys = graph.op("Range", graph.constant(0, "int64"), self.end, one)
        self.numbers = graph.op("Range", past, self.end, one)
        self.rotation = self._rotation() if config.positions == "rotary" else None

    # ---- positions and masks ----

    def _turned(self, first: Tensor, offset: int = 0) -> tuple[str, str]:
        """Return sines and cosines [T, features], given the angles at position 1 [features]; in their type."""
        kind = "DOUBLE" if first.dtype == torch.float64 else "FLOAT"
        graph, dtype = self.graph, kind.lower().replace("float", "float32").replace("double", "float64")
        numbers = graph.op("Add", self.numbers, graph.constant(offset, "int64"))
        column = graph.op("Unsqueeze", graph.cast(numbers, kind), graph.constant([1], "int64"))
        angle = graph.op("Mul", column, graph.stored("angles", first.numpy().astype(dtype)[None]))
        return graph.cast(graph.op("Sin", angle), "FLOAT"), graph.cast(graph.op("Cos", angle), "FLOAT")

    def _rotation(self) -> tuple[str, str]:
        """Return cosines and signed sines [T, K] of rotary positions."""
        sines, cosines = self._turned(angles(torch.ones(1, dtype=torch.float64), self.config.head_sizes[0])[0])
        negative = self.graph.op("Neg", sines)
        join = self.graph.op
        return join("Concat", cosines, cosines, axis=-1), join("Concat", negative, sines, axis=-1)

    def _position_vectors(self, positions: nn.Module) -> str:
        """Return [T, D], or [T, fewer features] and zeros behind them."""
        graph, width = self.graph, self.config.d_model
        if isinstance(positions, LearnedPositions):
            numbers = graph.op("Add", self.numbers, graph.constant(positions.offset, "int64"))
            table = graph.stored(f"{self.name}.embeddings.positions", array(positions.vectors.weight))
            return graph.op("Gather", table, numbers, axis=0)
        is_closed = self.config.positions == "closed_sinusoidal"
        first = (closed_angles if is_closed else angles)(torch.ones(1, dtype=torch.float64), width)[0]
        waves = graph.op("Concat", *self._turned(first, self.config.position_offset), axis=-1)
        surplus = width - 2 * len(first)
        if surplus == 0:
            return waves
        if surplus < 0:  # one cosine more than there are features
            ends = [graph.constant([n], "int64") for n in (0, width, -1)]
            return graph.op("Slice", waves, *ends)
        return graph.op("Pad", waves, graph.constant([0, 0, 0, surplus], "int64"))

    def source_bias(self, mask: str) -> str:
        """Return [B, 1, 1, S] of a mask [B, S], 1 = real."""
        masked = self.graph.op(
            "Mul", self.graph.op("Sub", mask, self.graph.constant(1.0)), self.graph.constant(-MASKED)
        )
        return self.graph.op("Unsqueeze", masked, self.graph.constant([1, 2], "int64"))

    def causal_bias(self) -> str:
        """Return [T, past + T]: what each position sees of all."""
        column = self.graph.op("Unsqueeze", self.numbers, self.graph.constant([1], "int64"))
        is_seen = self.graph.op("LessOrEqual", self.keys, column)
        return self.graph.op("Where", is_seen, self.graph.constant(0.0), self.graph.constant(MASKED))

    def biases(self, relative: RelativeBiases | None, mask: str, num_layers: int, both_sides: bool) -> list[str]:
        """Return each layer's bias: the mask, to which those of distances are added where positions are relative."""
        if relative is None:
            return [mask] * num_layers
        graph, largest = self.graph, relative.largest
        distances = torch.arange(-largest, largest + 1)
        buckets = distance_buckets(distances, relative.num_buckets, largest, both_sides)
        column = graph.op("Unsqueeze", self.numbers, graph.constant([1], "int64"))
        limits = [graph.constant(n, "int64") for n in (-largest, largest)]
        distance = graph.op("Clip", graph.op("Sub", self.keys, column), *limits)
        places = graph.op("Add", distance, limits[1])
        found = []
        for i, table in enumerate(relative.tables):
            values = graph.stored(f"{self.name}.relative.{i}", array(table.weight[buckets]).T.copy())  # type: ignore[index]
            found.append(graph.op("Add", graph.op("Gather", values, places, axis=1), mask))
        return found if len(found) == num_layers else found * num_layers

    def behind(self, states: str, number: str) -> str:
        """Return the states [B, S, D] without the first so many positions."""
        start = self.graph.op("Unsqueeze", number, self.graph.constant([0], "int64"))
        end, axis = (self.graph.constant([n], "int64") for n in (2**62, 1))
        return self.graph.op("Slice", states, start, end, axis)

    # ---- parts ----

    def embedded(self, ids: str, embeddings: Embeddings) -> str:
        """Return token and position vectors [B, T, D]."""
        name = f"{self.name}.embeddings"
        hidden = self.graph.rows(ids, f"{name}.tokens", embeddings.tokens.weight)
        hidden = self.graph.scaled(hidden, embeddings.scale)
        if embeddings.positions is not None:
            hidden = self.graph.op("Add", hidden, self._position_vectors(embeddings.positions))
        return hidden if embeddings.norm is None else self.normed(hidden, embeddings.norm, f"{name}.norm")

    def normed(self, hidden: str, norm: nn.Module, name: str) -> str:
        """Return the normalised states; a stack of post-norm layers ends with none."""
        if isinstance(norm, nn.Identity):
            return hidden
        graph, epsilon = self.graph, self.config.norm_epsilon
        weight = graph.stored(f"{name}.weight", array(norm.weight))  # type: ignore[arg-type]
        if isinstance(norm, nn.LayerNorm):
            bias = graph.stored(f"{name}.bias", array(norm.bias))
            return graph.op("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=epsilon)
        squares = graph.op("ReduceMean", graph.op("Mul", hidden, hidden), graph.constant([-1], "int64"), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", squares, graph.constant(epsilon)))
        return graph.op("Mul", graph.op("Div", hidden, root), weight)

    def linear(self, hidden: str, layer: nn.Linear, name: str) -> str:
        return self.graph.product(hidden, name, layer.weight, layer.bias)

    def split(self, value: str, sizes: tuple[int, ...]) -> list[str]:
        """Return parts of the last dimension with these widths."""
        return self.graph.ops("Split", value, self.graph.constant(sizes, "int64"), number=len(sizes), axis=-1)

    def heads(self, value: str, width: int) -> str:
        """From [B, T, H*K] to [B, H, T, K]; the width H*K is said, since it cannot be told where T is 0."""
        num_heads = self.config.num_heads
        size = self.graph.constant([0, 0, num_heads, width // num_heads], "int64")
        return self.graph.op("Transpose", self.graph.op("Reshape", value, size), perm=[0, 2, 1, 3])

    def split_heads(self, joint: str, sizes: tuple[int, ...]) -> list[str]:
        """Return the heads of each part of a joint product."""
        return [self.heads(part, size) for part, size in zip(self.split(joint, sizes), sizes, strict=True)]

    def attended(self, queries: str, pair: tuple[str, str], bias: str) -> tuple[str, str]:
        """Return what heads attend to, [B, T, H*V], and their weights [B, H, T, S]."""
        graph, (key_size, value_size) = self.graph, self.config.head_sizes
        queries = graph.scaled(queries, key_size**-0.5 if self.config.attention_scale else 1.0)
        products = graph.op("MatMul", queries, graph.op("Transpose", pair[0], perm=[0, 1, 3, 2]))
        weights = graph.op("Softmax", graph.op("Add", products, bias), axis=-1)
        heads = graph.op("Transpose", graph.op("MatMul", weights, pair[1]), perm=[0, 2, 1, 3])
        size = graph.constant([0, 0, self.config.num_heads * value_size], "int64")
        return graph.op("Reshape", heads, size), weights

    def self_attention(
        self, hidden: str, layer: SelfAttention, name: str, bias: str, earlier: tuple[str, str] | None = None
    ) -> tuple[str, tuple[str, str]]:
        """Return attention to the sequence itself, and keys and values of all positions so far."""
        product, sizes = layer.queries_keys_values, layer.queries_keys_values.sizes
        joint = self.linear(hidden, product, f"{name}.queries_keys_values")
        queries, keys, values = self.split_heads(joint, sizes)
        if self.rotation is not None:
            queries, keys = self._rotated(queries), self._rotated(keys)
        pair = self._joined(earlier, (keys, values))
        found, _ = self.attended(queries, pair, bias)
        return self.linear(found, layer.output, f"{name}.output"), pair

    def _rotated(self, heads: str) -> str:
        assert self.rotation is not None, "called where positions are rotary"
        half = self.config.head_sizes[0] // 2
        first, second = self.split(heads, (half, half))
        swapped = self.graph.op("Concat", second, first, axis=-1)
        cosines, sines = self.rotation
        turned = self.graph.op("Mul", swapped, sines)
        return self.graph.op("Add", self.graph.op("Mul", heads, cosines), turned)

    def _joined(self, earlier: tuple[str, str] | None, new: tuple[str, str]) -> tuple[str, str]:
        """Return keys and values of earlier and of new positions."""
        if earlier is None:
            return new
        keys, values = (self.graph.op("Concat", old, more, axis=2) for old, more in zip(earlier, new, strict=True))
        return keys, values

    def cross_attention(
        self, hidden: str, layer: CrossAttention, name: str, bias: str, earlier: Earlier
    ) -> tuple[str, str, tuple[str, str]]:
        """Return attention to the source, its weights, and keys and values of the whole source."""
        product = layer.source_keys_values
        joint = self.linear(earlier.missing, product, f"{name}.source_keys_values")
        keys, values = self.split_heads(joint, product.sizes)
        pair = self._joined((earlier.source_keys, earlier.source_values), (keys, values))
        queries = self.heads(self.linear(hidden, layer.queries, f"{name}.queries"), layer.queries.out_features)
        found, weights = self.attended(queries, pair, bias)
        return self.linear(found, layer.output, f"{name}.output"), weights, pair

    def feed_forward(self, hidden: str, layer: FeedForward, name: str) -> str:
        expanded = self.linear(hidden, layer.expand, f"{name}.expand")
        if layer.is_gated:
            first, second = self.split(expanded, layer.expand.sizes)
            expanded = self.graph.op("Mul", self.activated(first), second)
        else:
            expanded = self.activated(expanded)
        return self.linear(expanded, layer.contract, f"{name}.contract")

    def activated(self, value: str) -> str:
        """Return what the model's non-linearity makes of a value."""
        graph = self.graph
        match self.config.activation:
            case "relu":
                return graph.op("Relu", value)
            case "silu":
                return graph.op("Mul", value, graph.op("Sigmoid", value))
            case "gelu":
                curve = graph.op("Erf", graph.scaled(value, 0.5**0.5))
            case "gelu_tanh":
                cube = graph.op("Mul", graph.op("Mul", value, value), value)
                inner = graph.op("Add", value, graph.scaled(cube, 0.044715))
                curve = graph.op("Tanh", graph.scaled(inner, (2 / math.pi) ** 0.5))
            case other:
                raise AssertionError(f"an activation without nodes: {other}")
        return graph.op("Mul", graph.scaled(value, 0.5), graph.op("Add", curve, graph.constant(1.0)))

    # ---- layers ----

    def enter(self, hidden: str, residual: Any, name: str) -> str:
        """Return what a sub-layer is given."""
        return self.normed(hidden, residual.norm, f"{name}.norm") if residual.norm_first else hidden

    def leave(self, hidden: str, branch: str, residual: Any, name: str) -> str:
        """Return the states behind a sub-layer that returned `branch`."""
        total = self.graph.op("Add", hidden, branch)
        return total if residual.norm_first else self.normed(total, residual.norm, f"{name}.norm")

    def fed_forward(self, hidden: str, layer: EncoderLayer | DecoderLayer, name: str) -> str:
        residual, place = layer.feed_forward_residual, f"{name}.feed_forward_residual"
        branch = self.feed_forward(self.enter(hidden, residual, place), layer.feed_forward, f"{name}.feed_forward")
        return self.leave(hidden, branch, residual, place)

    def encoder_layer(self, hidden: str, layer: EncoderLayer, name: str, bias: str) -> str:
        residual, place = layer.self_attention_residual, f"{name}.self_attention_residual"
        entered = self.enter(hidden, residual, place)
        branch, _ = self.self_attention(entered, layer.self_attention, f"{name}.self_attention", bias)
        return self.fed_forward(self.leave(hidden, branch, residual, place), layer, name)

    def decoder_layer(
        self, hidden: str, layer: DecoderLayer, name: str, self_bias: str, cross_bias: str, earlier: Earlier
    ) -> tuple[str, str, list[str]]:
        """Return the states, the weights of attention to the source, and keys and values of target and source."""
        residual, place = layer.self_attention_residual, f"{name}.self_attention_residual"
        entered, past = self.enter(hidden, residual, place), (earlier.target_keys, earlier.target_values)
        branch, target = self.self_attention(entered, layer.self_attention, f"{name}.self_attention", self_bias, past)
        hidden = self.leave(hidden, branch, residual, place)

        residual, place = layer.cross_attention_residual, f"{name}.cross_attention_residual"
        entered = self.enter(hidden, residual, place)
        branch, weights, source = self.cross_attention(
            entered, layer.cross_attention, f"{name}.cross_attention", cross_bias, earlier
        )
        hidden = self.leave(hidden, branch, residual, place)
        return self.fed_forward(hidden, layer, name), weights, [*target, *source]
