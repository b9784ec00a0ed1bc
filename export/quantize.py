"""int8: weights with one scale an output channel, activations with one a token, embeddings with one a row.

Activations are quantised as they come, inside the graph. ONNX Runtime's own dynamic quantisation takes
one scale from a whole tensor, so the widest token costs all others their precision: on the parity
sentences it reaches a cosine of 0.990, one scale a token 0.996, for a tenth to a fifth of the time.
Both steps are functions of standard operators, defined in the file itself; any runtime can run them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

from embed_onnx.manifest import Quantization
from export.errors import ExportError

QUANTIZATION = Quantization(
    weight_bits=8, weight_scales="channel", activation_scales="token", embedding_scales="row"
)
DOMAIN = "embed_onnx"
LARGEST = np.float32(127)

FUNCTIONS = (
    # x [..., tokens, width] float32 -> rows uint8, around 128, and scale [..., tokens, 1]
    f"""<domain: "{DOMAIN}", opset_import: ["" : 18]>
    QuantizeTokens (x) => (rows, scale) {{
        last_axis = Constant <value_ints = [-1]> ()
        magnitude = Abs (x)
        largest = ReduceMax (magnitude, last_axis)
        steps = Constant <value = float {{127.0}}> ()
        unbounded = Div (largest, steps)
        smallest = Constant <value = float {{1e-30}}> ()
        scale = Max (unbounded, smallest)
        exact = Div (x, scale)
        rounded = Round (exact)
        zero = Constant <value = float {{128.0}}> ()
        shifted = Add (rounded, zero)
        rows = Cast <to = 2> (shifted)
    }}""",
    # weights [width, channels] int8, channel_scale [channels] -> y [..., tokens, channels] float32
    f"""<domain: "{DOMAIN}", opset_import: ["" : 18]>
    MatMulTokens (rows, scale, weights, channel_scale) => (y) {{
        zero = Constant <value = uint8 {{128}}> ()
        sums = MatMulInteger (rows, weights, zero)
        integers = Cast <to = 1> (sums)
        by_token = Mul (integers, scale)
        y = Mul (by_token, channel_scale)
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


def quantize_channels(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [width, channels] as int8 and one scale a channel, [channels]; zeros have scale 0."""
    rows, scales = quantize_rows(weights.T)
    return np.ascontiguousarray(rows.T), scales[:, 0]


def quantize_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A table [rows, width] as int8 and one scale a row, [rows, 1]; zeros have scale 0."""
    scales = (np.abs(table).max(axis=1, keepdims=True) / LARGEST).astype(np.float32)
    divisors = np.where(scales == 0, np.float32(1), scales)
    return np.rint(table / divisors).astype(np.int8), scales


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
        table = node.input[0]
        self._quantize(table, quantize_rows)
        out = node.output[0]
        self._node("Gather", [f"{table}.int8", "input_ids"], f"{out}.int8")
        self._node("Gather", [f"{table}.scale", "input_ids"], f"{out}.scale")
        self._node("Cast", [f"{out}.int8"], f"{out}.float", to=onnx.TensorProto.FLOAT)
        self._node("Mul", [f"{out}.float", f"{out}.scale"], out)

    def _add_product(self, node: onnx.NodeProto) -> None:
        x, weights = node.input
        rows, scale = f"{x}.uint8", f"{x}.scale"
        if x not in self._quantized:  # query, key and value share their input
            self._quantized.add(x)
            self.nodes.append(helper.make_node("QuantizeTokens", [x], [rows, scale], domain=DOMAIN))
        self._quantize(weights, quantize_channels)
        inputs = [rows, scale, f"{weights}.int8", f"{weights}.scale"]
        self.nodes.append(
            helper.make_node("MatMulTokens", inputs, node.output, name=node.name, domain=DOMAIN)
        )

    def _quantize(self, name: str, how: Callable[[NDArray[np.float32]], tuple[Any, Any]]) -> None:
        if f"{name}.int8" in self.initializers:
            return
        values, scales = how(numpy_helper.to_array(self._tables[name]))
        for part, array in (("int8", values), ("scale", scales)):
            self.initializers[f"{name}.{part}"] = numpy_helper.from_array(array, f"{name}.{part}")

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))


def _replace(graph: onnx.GraphProto, rewrite: _Rewrite) -> None:
    """Give the graph the new nodes, and the initializers that they use."""
    del graph.node[:]
    graph.node.extend(rewrite.nodes)
    used = {name for node in rewrite.nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *rewrite.initializers.values()])
