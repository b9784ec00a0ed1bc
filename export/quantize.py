"""int8 of any other encoder: optimum's graph, its products and its word embeddings replaced where they are.

Activations keep their graph; ``functions`` says how a product is computed, one range a token.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

from embed_onnx.manifest import Quantization
from export import functions
from export.errors import ExportError
from export.int8 import quantize_channels, quantize_rows


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
    texts = (functions.QUANTIZE_TOKENS, functions.MATMUL_TOKENS)
    model.functions.extend(parser.parse_function(text) for text in texts)
    model.opset_import.append(helper.make_opsetid(functions.DOMAIN, 1))
    onnx.save(model, output)
    return functions.QUANTIZATION


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
            self._node("QuantizeTokens", [x], tokens, domain=functions.DOMAIN)
        constants = [f"{weights}.int8", f"{weights}.scale", f"{weights}.sum"]
        if constants[0] not in self.initializers:
            arrays: tuple[NDArray[Any], ...] = quantize_channels(numpy_helper.to_array(self._tables[weights]))
            for name, array in zip(constants, arrays, strict=True):
                self._store(name, array)
        self._node(
            "MatMulTokens", [*tokens, *constants], node.output, domain=functions.DOMAIN, name=node.name
        )

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
