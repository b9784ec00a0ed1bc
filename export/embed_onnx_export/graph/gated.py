"""Gated feed-forwards of an int8 graph, an activation of one product times another, as nodes ``GatedLinear``.

The kernel reads their common input once, and neither of the two results lies in memory.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import onnx
from onnx import helper

from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.bert import functions

PRODUCT = "Linear"


class _Gate(msgspec.Struct, frozen=True):
    """The nodes that become one."""

    gate: onnx.NodeProto
    product: onnx.NodeProto
    activation: str
    others: Sequence[onnx.NodeProto]


def fuse(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> tuple[list[onnx.NodeProto], list[str]]:
    """The nodes of a graph with its gates replaced, and the texts of the functions that they need.

    One function has one activation: gates with another than the first one's stay as they are.
    """
    makers = {name: node for node in nodes for name in node.output}
    readers = Counter(onnx_file.read_by(nodes))
    readers.update(outputs)
    gates: dict[str, _Gate] = {}
    for node in nodes:
        gate = _gate(node, makers, readers) if node.op_type == "Mul" else None
        if gate is not None and gate.activation == next(iter(gates.values()), gate).activation:
            gates[node.output[0]] = gate
    replaced = {other.output[0] for gate in gates.values() for other in gate.others}
    fused = []
    for node in nodes:
        if node.output[0] in gates:
            fused.append(_node(gates[node.output[0]], node))
        elif node.output[0] not in replaced:
            fused.append(node)
    return fused, [functions.gated_linear(gate.activation) for gate in gates.values()][:1]


def _gate(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], readers: Counter[str]) -> _Gate | None:
    """The gate that ends with this multiplication; None if it is none, or if another node reads its parts."""
    for first, second in (node.input, reversed(node.input)):
        active, product = makers.get(first), makers.get(second)
        if active is None or product is None or product.op_type != PRODUCT:
            continue
        activation, raised, inner = _activation(active, makers)
        gate = makers.get(raised)
        if activation is None or gate is None or gate.op_type != PRODUCT or gate.input[0] != product.input[0]:
            continue
        once = [active.output[0], product.output[0], *(other.output[0] for other in inner)]
        alone = all(readers[name] == 1 for name in once) and readers[raised] == 1 + len(inner)
        return _Gate(gate, product, activation, [gate, product, active, *inner]) if alone else None
    return None


def _activation(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]
) -> tuple[str | None, str, list[onnx.NodeProto]]:
    """The name of an activation, the tensor that it takes, and its nodes before the last one.

    The name is None where the node ends no activation of the kernels.
    """
    if node.op_type == "Mul":
        for raised, name in (node.input, reversed(node.input)):
            sigmoid = makers.get(name)
            if sigmoid is not None and sigmoid.op_type == "Sigmoid" and sigmoid.input[0] == raised:
                return "silu", raised, [sigmoid]
    if node.op_type == "Gelu":
        values = {attribute.name: attribute.s for attribute in node.attribute}
        return "gelu_tanh" if values.get("approximate") == b"tanh" else "gelu", node.input[0], []
    if node.op_type == "Relu":
        return "relu", node.input[0], []
    return None, "", []


def _node(gate: _Gate, node: onnx.NodeProto) -> onnx.NodeProto:
    return helper.make_node(
        "GatedLinear",
        [*gate.gate.input, *gate.product.input[1:]],
        node.output,
        name=node.name,
        domain=functions.DOMAIN,
        activation=gate.activation,
    )
