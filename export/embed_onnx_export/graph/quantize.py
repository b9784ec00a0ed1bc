"""int8 of any other encoder: the graph as exported, its products and word embeddings replaced where they are.

A product is a node ``Linear``, which ``functions`` defines by standard operators, with one range a token. Two
products, one of which gates the other, are a node ``GatedLinear`` (``gated``), and a norm by the root of the
mean square is a node ``RmsNorm``. Our kernels may take their place. All else keeps its graph. Weights that
several nodes share, as ALBERT's layers do, stay one. Convolutions stay float32.
"""

from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import gated, onnx_file
from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.int8 import quantize_channels, quantize_rows


def quantize(path: Path, output: Path, *, classifier: bool = False) -> Quantization:
    """Write the int8 form of a float32 graph; says how it was made.

    With a ``classifier`` in the graph, products of pooled states stay float32, as they do in a head: they
    take next to no time, and half of a small ALBERT's error came from them.

    Raises:
        ExportError: The graph has no table of word embeddings.
    """
    model = onnx.load(path)
    rewrite = _Rewrite(model.graph, classifier=classifier)
    for node in model.graph.node:
        rewrite.add(node)
    if not rewrite.has_embeddings:
        raise ExportError("the exported graph has no table of word embeddings; set precision=float32")
    nodes, texts = gated.fuse(rewrite.nodes, [output.name for output in model.graph.output])
    _replace(model.graph, nodes, rewrite.initializers)
    texts += functions.linear(quantized=True) + [functions.RMS_NORM] * rewrite.has_norms
    onnx_file.add_functions(model, texts)
    onnx_file.save(model, output)
    if not rewrite.has_products:
        return functions.QUANTIZATION
    return msgspec.structs.replace(functions.QUANTIZATION, kernel_activation_bits=8, kernel_products=True)


MOVES = ("Cast", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""What ids may go through on their way to the table of word embeddings."""
RMS_NORM, EPSILON = "SimplifiedLayerNormalization", 1e-5
"""The operator that ONNX Runtime's optimizer makes of such a norm, and its default epsilon."""


class _Rewrite:
    """Copies a graph's nodes, replacing products with tables of weights and the look-up of input_ids."""

    def __init__(self, graph: onnx.GraphProto, *, classifier: bool) -> None:
        self._tables = {tensor.name: tensor for tensor in graph.initializer if _is_table(tensor)}
        self._sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        self._biases = _biases(graph, self._tables, self._sizes)
        self._sums = {node.output[0] for node in self._biases.values()}
        """Outputs of the additions that become part of a product."""
        self._classifier = classifier
        self._ids = {"input_ids"}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.has_embeddings = False
        self.has_products = False
        self.has_norms = False

    def add(self, node: onnx.NodeProto) -> None:
        """Copy or replace the next node."""
        if node.op_type == "Gather" and node.input[0] in self._tables and self._gives_rows(node):
            self._add_embeddings(node)
        elif node.op_type == "MatMul" and node.input[1] in self._tables:
            self._add_product(node)
        elif self._is_biased_product(node) and not self._classifier:
            self._add_linear(
                node, node.input[2], node.output[0], transposed=bool(_attributes(node).get("transB"))
            )
        elif node.op_type == RMS_NORM and _attributes(node).get("axis", -1) == -1 and len(node.output) == 1:
            self.has_norms = True
            epsilon = _attributes(node).get("epsilon", EPSILON)
            self._node(
                "RmsNorm", node.input, node.output, domain=functions.DOMAIN, name=node.name, epsilon=epsilon
            )
        elif node.output[0] not in self._sums:
            self.nodes.append(node)
            if node.op_type in MOVES and node.input[0] in self._ids:
                self._ids.update(node.output)

    def _is_biased_product(self, node: onnx.NodeProto) -> bool:
        """Whether it is of two matrices; exporters write a product of [texts, tokens, width] as MatMul.

        A bias that is computed, or of another shape, does not fit ``Linear``.
        """
        if node.op_type != "Gemm" or node.input[1] not in self._tables or not _is_plain(node):
            return False
        rows, columns = self._sizes[node.input[1]]
        return self._sizes.get(node.input[2]) == [rows if _attributes(node).get("transB") else columns]

    def _gives_rows(self, node: onnx.NodeProto) -> bool:
        return node.input[1] in self._ids and _attributes(node).get("axis", 0) == 0

    def _add_embeddings(self, node: onnx.NodeProto) -> None:
        self.has_embeddings = True
        (table, ids), out = node.input, node.output[0]
        values, scales = quantize_rows(numpy_helper.to_array(self._tables[table]))
        self._store(f"{table}.int8", values)
        self._store(f"{table}.scale", scales)
        self._node("Gather", [f"{table}.int8", ids], [f"{out}.int8"])
        self._node("Gather", [f"{table}.scale", ids], [f"{out}.row_scale"])
        self._node("Cast", [f"{out}.int8"], [f"{out}.float"], to=onnx.TensorProto.FLOAT)
        self._node("Mul", [f"{out}.float", f"{out}.row_scale"], [out])

    def _add_product(self, node: onnx.NodeProto) -> None:
        """A product, and the addition of its bias where there is one."""
        addition = self._biases.get(node.output[0])
        if addition is None:
            channels = self._tables[node.input[1]].dims[1]
            zeros = f"zeros.{channels}"
            self._store(zeros, np.zeros(channels, np.float32))
            return self._add_linear(node, zeros, node.output[0])
        (bias,) = set(addition.input) - {node.output[0]}
        return self._add_linear(node, bias, addition.output[0])

    def _add_linear(self, node: onnx.NodeProto, bias: str, output: str, *, transposed: bool = False) -> None:
        self.has_products = True
        x, weights = node.input[:2]
        constants = [f"{weights}.int8", f"{weights}.scale", f"{weights}.sum"]
        if constants[0] not in self.initializers:
            values = numpy_helper.to_array(self._tables[weights])
            arrays: tuple[NDArray[Any], ...] = quantize_channels(values.T if transposed else values)
            for name, array in zip(constants, arrays, strict=True):
                self._store(name, array)
        self._node("Linear", [x, *constants, bias], [output], domain=functions.DOMAIN, name=node.name)

    def _store(self, name: str, array: NDArray[Any]) -> None:
        self.initializers[name] = numpy_helper.from_array(array, name)

    def _node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))


def _biases(
    graph: onnx.GraphProto, tables: Container[str], sizes: dict[str, list[int]]
) -> dict[str, onnx.NodeProto]:
    """By the output of a product with a table, the node that adds a bias to it and is all that reads it."""
    products = {
        node.output[0]: sizes[node.input[1]][-1:]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in tables
    }
    readers = Counter(onnx_file.read_by(graph.node))
    readers.update(output.name for output in graph.output)
    return {
        product: node
        for node in graph.node
        if node.op_type == "Add"
        for product, bias in (node.input, reversed(node.input))
        if product in products and sizes.get(bias) == products[product] and readers[product] == 1
    }


def _is_table(tensor: onnx.TensorProto) -> bool:
    """Whether it has rows, or channels, that can have scales of their own."""
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether a Gemm is x W + bias, of W or of W transposed."""
    values = _attributes(node)
    factors = {values.get("alpha", 1.0), values.get("beta", 1.0)}
    return len(node.input) == 3 and factors == {1.0} and not values.get("transA")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _replace(
    graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], initializers: dict[str, onnx.TensorProto]
) -> None:
    """Give the graph the new nodes and initializers, beside those of its own that the nodes use."""
    del graph.node[:]
    graph.node.extend(nodes)
    onnx_file.drop_unused_initializers(graph)
    graph.initializer.extend(initializers.values())
