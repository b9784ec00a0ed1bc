"""int8: weights with one scale an output channel, activations with one range a token, embeddings by row.

Activations are quantised as they come, inside the graph. ONNX Runtime's own dynamic quantisation takes
one range from a whole tensor, so that its widest token costs all others their precision. Here, each
token has its own minimum and scale,

    x = scale * rows + minimum,    rows in 0..255

and a product with weights W = channel_scale * w comes back as

    x W = scale * channel_scale * (rows w) + minimum * channel_sum,    channel_sum = channel_scale * sum(w)

Weights keep to 7 bits: without VNNI, x86 CPUs add two products of uint8 and int8 in 16 bits, which
255 * 63 * 2 fits and 255 * 127 * 2 does not. So the integers are exact, and the same, on every CPU.

Both steps are functions of standard operators, defined in the file itself; any runtime runs them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

from embed_onnx.manifest import Quantization
from export.errors import ExportError

QUANTIZATION = Quantization(
    weight_bits=7, weight_scales="channel", activation_scales="token", embedding_scales="row"
)
Floats = NDArray[np.float32]
DOMAIN = "embed_onnx"
LARGEST_WEIGHT = 63
LARGEST_EMBEDDING = 127

FUNCTIONS = (
    # x [..., tokens, width] float32 -> rows, uint8 in the same shape; scale, minimum [..., tokens, 1]
    f"""<domain: "{DOMAIN}", opset_import: ["" : 18]>
    QuantizeTokens (x) => (rows, scale, minimum) {{
        last_axis = Constant <value_ints = [-1]> ()
        minimum = ReduceMin (x, last_axis)
        maximum = ReduceMax (x, last_axis)
        range = Sub (maximum, minimum)
        steps = Constant <value = float {{255.0}}> ()
        unbounded = Div (range, steps)
        smallest = Constant <value = float {{1e-30}}> ()
        scale = Max (unbounded, smallest)
        above = Sub (x, minimum)
        exact = Div (above, scale)
        rounded = Round (exact)
        rows = Cast <to = 2> (rounded)
    }}""",
    # w [width, channels] int8; channel_scale, channel_sum [channels] -> y [..., tokens, channels]
    f"""<domain: "{DOMAIN}", opset_import: ["" : 18]>
    MatMulTokens (rows, scale, minimum, w, channel_scale, channel_sum) => (y) {{
        sums = MatMulInteger (rows, w)
        integers = Cast <to = 1> (sums)
        by_token = Mul (integers, scale)
        by_channel = Mul (by_token, channel_scale)
        offset = Mul (minimum, channel_sum)
        y = Add (by_channel, offset)
    }}""",
)


def quantize(path: Path, output: Path) -> Quantization:
    """Write the int8 form of a float32 graph; says how it was made.

    Raises:
        ExportError: The graph has no table of word embeddings.
    """
    model = onnx.load(path)
    tables = {tensor.name: tensor for tensor in model.graph.initializer}
    rewrite = _Rewrite(tables)
    for node in model.graph.node:
        rewrite.add(node)
    if not rewrite.found_embeddings:
        raise ExportError("the exported graph has no table of word embeddings; set precision=float32")
    _replace(model.graph, rewrite)
    model.functions.extend(parser.parse_function(text) for text in FUNCTIONS)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, output)
    return QUANTIZATION


def quantize_channels(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights [width, channels] as int8 within 7 bits, and one scale a channel, [channels]."""
    rows, scales = _quantize(weights.T, LARGEST_WEIGHT)
    return np.ascontiguousarray(rows.T), scales[:, 0]


def quantize_rows(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """A table [rows, width] as int8, and one scale a row, [rows, 1]."""
    return _quantize(table, LARGEST_EMBEDDING)


def _quantize(rows: Floats, largest: int) -> tuple[NDArray[np.int8], Floats]:
    """Each row as integers of -largest..largest and a scale, [rows, 1]; a row of zeros has scale 0."""
    scales = (np.abs(rows).max(axis=1, keepdims=True) / np.float32(largest)).astype(np.float32)
    divisors = np.where(scales == 0, np.float32(1), scales)
    return np.clip(np.rint(rows / divisors), -largest, largest).astype(np.int8), scales


class _Rewrite:
    """Copies a graph's nodes, replacing products with constant weights and the look-up of input_ids."""

    def __init__(self, tables: dict[str, onnx.TensorProto]) -> None:
        self._tables = tables
        self._quantized: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.found_embeddings = False

    def add(self, node: onnx.NodeProto) -> None:
        """Copy or replace the next node."""
        if node.op_type == "Gather" and node.input[0] in self._tables and node.input[1] == "input_ids":
            self._add_embeddings(node)
        elif node.op_type == "MatMul" and node.input[1] in self._tables:
            self._add_product(node)
        else:
            self.nodes.append(node)

    def _add_embeddings(self, node: onnx.NodeProto) -> None:
        self.found_embeddings = True
        table, out = node.input[0], node.output[0]
        values, scales = quantize_rows(numpy_helper.to_array(self._tables[table]))
        self._store(f"{table}.int8", values)
        self._store(f"{table}.scale", scales)
        self._node("Gather", [f"{table}.int8", "input_ids"], [f"{out}.int8"])
        self._node("Gather", [f"{table}.scale", "input_ids"], [f"{out}.scale"])
        self._node("Cast", [f"{out}.int8"], [f"{out}.float"], to=onnx.TensorProto.FLOAT)
        self._node("Mul", [f"{out}.float", f"{out}.scale"], [out])

    def _add_product(self, node: onnx.NodeProto) -> None:
        x, weights = node.input
        tokens = [f"{x}.rows", f"{x}.scale", f"{x}.minimum"]
        if x not in self._quantized:  # query, key and value share their input
            self._quantized.add(x)
            self._node("QuantizeTokens", [x], tokens, domain=DOMAIN)
        constants = [f"{weights}.int8", f"{weights}.scale", f"{weights}.sum"]
        if constants[0] not in self.initializers:
            values, scales = quantize_channels(numpy_helper.to_array(self._tables[weights]))
            sums = scales * values.sum(axis=0, dtype=np.int32).astype(np.float32)
            for name, array in zip(constants, (values, scales, sums), strict=True):
                self._store(name, array)
        self._node("MatMulTokens", [*tokens, *constants], node.output, domain=DOMAIN, name=node.name)

    def _store(self, name: str, array: NDArray[Any]) -> None:
        self.initializers[name] = numpy_helper.from_array(array, name)

    def _node(self, kind: str, inputs: list[str], outputs: Sequence[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))


def _replace(graph: onnx.GraphProto, rewrite: _Rewrite) -> None:
    """Give the graph the new nodes, and the initializers that they use."""
    del graph.node[:]
    graph.node.extend(rewrite.nodes)
    used = {name for node in rewrite.nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *rewrite.initializers.values()])
