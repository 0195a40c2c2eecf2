"""What an ONNX graph is put together from: nodes, constants, and products with weights in float32 or in 8 bits.

Names of values enter and leave; `model` gives the whole. In 8 bits a weight is stored without sign, with a scale for
each column, and its input is rounded as the graph runs: both factors are unsigned, since sums of signed by unsigned
products overflow in the instructions of older processors.
"""

from collections.abc import Sequence
from typing import Any

import numpy
from torch import Tensor

from seq2seq.export.ctranslate2_export import array

OPSET = 18
IR_VERSION = 9
"""Of the file; the one that came with the next opset but one, so that every reader of the opset reads it."""
ZERO_POINT = 128
"""What stands for 0 in 8 bits."""
HOW_TO_INSTALL = '`pip install "seq2seq-toolkit[onnx]"`'


def require_onnx() -> Any:
    """Return the library; raise ValueError with the way to install it where it is missing."""
    try:
        import onnx
    except ImportError:
        raise ValueError(f"onnx is not installed: {HOW_TO_INSTALL}.") from None
    return onnx


class Graph:
    """A graph that grows node by node.

    Args:
        has_8_bits: whether weights of products and embeddings are rounded to 8 bits.
    """

    def __init__(self, has_8_bits: bool = False) -> None:
        self.onnx = require_onnx()
        self.has_8_bits = has_8_bits
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._scales: dict[str, str] = {}

    def input(self, name: str, shape: Sequence[str | int], is_ids: bool = False) -> str:
        """Add an input and return its name."""
        self.inputs.append(self._value(name, shape, is_ids))
        return name

    def output(self, value: str, name: str, shape: Sequence[str | int]) -> None:
        """Let a value, float32, leave under this name."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self._value(name, shape, is_ids=False))

    def _value(self, name: str, shape: Sequence[str | int], is_ids: bool) -> Any:
        kind = self.onnx.TensorProto.INT64 if is_ids else self.onnx.TensorProto.FLOAT
        return self.onnx.helper.make_tensor_value_info(name, kind, shape)

    def ops(self, kind: str, *inputs: str, number: int, **attributes: Any) -> list[str]:
        """Add a node with so many outputs and return their names."""
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(number)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names

    def size(self, value: str, axis: int) -> str:
        """Return the size of a dimension, int64 without dimensions."""
        return self.op("Gather", self.op("Shape", value), self.constant(axis, "int64"))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.ops(kind, *inputs, number=1, **attributes)[0]

    def cast(self, value: str, kind: str) -> str:
        """Return the value as another type, such as `FLOAT`."""
        return self.op("Cast", value, to=getattr(self.onnx.TensorProto, kind))

    def constant(self, values: Any, dtype: str = "float32") -> str:
        """Return the name of a constant; those of a few numbers are there once."""
        found = numpy.asarray(values, dtype=dtype)
        name = f"constant_{len(self.initializers)}"
        if found.size <= 4:
            name = f"{dtype}_{'x'.join(map(str, found.shape))}_{found.tolist()}"
        return self.stored(name, found)

    def stored(self, name: str, values: numpy.ndarray) -> str:
        """Store a constant under this name, once, and return the name."""
        if name not in self.initializers:
            self.initializers[name] = self.onnx.numpy_helper.from_array(values, name)
        return name

    def scaled(self, value: str, factor: float) -> str:
        """Return the value times a number."""
        return value if factor == 1 else self.op("Mul", value, self.constant(factor))

    # ---- weights ----

    def matrix(self, name: str, weight: Tensor) -> str:
        """Store a weight [outputs, inputs] as the right factor of a product, [inputs, outputs]; return its name."""
        if name in self.initializers:
            return name
        values = array(weight).T
        if not self.has_8_bits:
            return self.stored(name, numpy.ascontiguousarray(values))
        scales = numpy.maximum(numpy.abs(values).max(axis=0), 1e-12) / (ZERO_POINT - 1)
        rounded = numpy.rint(values / scales) + ZERO_POINT
        self._scales[name] = self.stored(f"{name}_scale", scales.astype(numpy.float32))
        return self.stored(name, numpy.ascontiguousarray(rounded.astype(numpy.uint8)))

    def product(self, value: str, name: str, weight: Tensor, bias: Tensor | None) -> str:
        """Return a value [..., inputs] times a weight [outputs, inputs], plus a bias."""
        factor = self.matrix(name, weight)
        if self.has_8_bits:
            rounded, scale, zero = self.ops("DynamicQuantizeLinear", value, number=3)
            product = self.op("MatMulInteger", rounded, factor, zero, self.constant(ZERO_POINT, "uint8"))
            scales = self.op("Mul", scale, self._scales[name])
            found = self.op("Mul", self.cast(product, "FLOAT"), scales)
        else:
            found = self.op("MatMul", value, factor)
        return found if bias is None else self.op("Add", found, self.stored(f"{name}_bias", array(bias)))

    def rows(self, ids: str, name: str, weight: Tensor) -> str:
        """Return the rows of a table [entries, D] that ids [B, T] name, [B, T, D].

        It is stored as `matrix` does, so that one that also makes logits is there once.
        """
        table = self.matrix(name, weight)
        found = self.op("Transpose", self.op("Gather", table, ids, axis=1), perm=[1, 2, 0])
        if not self.has_8_bits:
            return found
        signed = self.op("Sub", self.cast(found, "FLOAT"), self.constant(float(ZERO_POINT)))
        scales = self.op("Unsqueeze", self.op("Gather", self._scales[name], ids), self.constant([-1], "int64"))
        return self.op("Mul", signed, scales)

    # ---- the whole ----

    def model(self, name: str) -> Any:
        """Return the graph as an `onnx.ModelProto`."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.initializers.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seq2seq-toolkit")
