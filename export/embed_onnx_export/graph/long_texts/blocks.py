"""Some rows of attention, computed from some rows of what it reads: a node of a graph, cut to a block.

The tensors of attention that grow with the square of a text, scores and masks and biases, have an axis of
queries and one of keys. To have only some rows of one, the nodes before it need only those rows, and so on
back to tensors that grow with the text and no faster, such as queries, keys and positions: these are sliced.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from embed_onnx_export.graph.long_texts.axes import TOKENS, Tensor

Cut = Mapping[int, str]
"""Axes of a tensor that are cut, and whether to the block's queries or to its keys."""
QUERIES, KEYS = "queries", "keys"

ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Div", "Equal", "Erf", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "Identity", "IsNaN", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not",
    "Or", "Pow", "Round", "Sign", "Sqrt", "Sub", "Sum", "Tanh", "Where",
}  # fmt: skip
"""Each element comes from the elements at its place, broadcast by numpy's rules."""


_LAST = np.iinfo(np.int32).max
"""From here on, an end is that of the axis, however long."""


class NotCut(Exception):
    """A node cannot be computed in blocks."""


class Graph:
    """The nodes, constants and axes of a graph, by the names of tensors."""

    def __init__(self, graph: onnx.GraphProto, tensors: Mapping[str, Tensor]) -> None:
        self.nodes = list(graph.node)
        self.makers = {name: node for node in graph.node for name in node.output}
        self._tensors = tensors
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}

    def quadratic(self, name: str) -> bool:
        """Whether a tensor grows with the square of the tokens."""
        return name in self._tensors and self._tensors[name].quadratic

    def axes(self, name: str) -> tuple[Any, ...]:
        """What follows a tensor's axes."""
        if name in self._tensors:
            return self._tensors[name].axes
        if name in self._initializers:
            return tuple(self._initializers[name].dims)
        raise NotCut(f"the shape of {name} is not known")

    def kind(self, name: str) -> int:
        """The number of a tensor's type in ONNX."""
        return self._tensors[name].kind

    def constant(self, name: str) -> list[Any] | None:
        """The values of a constant, flat; None for what is computed."""
        if name in self._initializers:
            values = numpy_helper.to_array(self._initializers[name])
        elif name in self.makers and self.makers[name].op_type == "Constant":
            values = np.asarray(attributes(self.makers[name]).get("value"))
        else:
            return None
        flat: list[Any] = values.flatten().tolist()
        return flat


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes, tensors as arrays."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {
        name: numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        for name, value in values.items()
    }


class Block:
    """The nodes that compute a block.

    They read tensors, int64 [1], that somebody else computes: ``queries.start``, ``queries.end`` and
    ``queries.count``, and the same of ``keys`` where keys are cut, each with ``prefix`` before its name.
    """

    def __init__(self, graph: Graph, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.prefix = prefix
        self._graph = graph
        self._names: dict[tuple[str, tuple[tuple[int, str], ...]], str] = {}

    def cut(self, name: str, cut: Cut) -> str:
        """The name of the part of a tensor that the block needs.

        Raises:
            NotCut: It cannot be computed from parts.
        """
        axes = self._graph.axes(name)
        cut = {axis: kind for axis, kind in sorted(cut.items()) if axes[axis] != 1}
        if any(axes[axis] != TOKENS for axis in cut):
            raise NotCut(f"{name} has no axis of tokens where one is cut")
        if not cut and not self._graph.quadratic(name):
            return name
        key = (name, tuple(cut.items()))
        if key not in self._names:
            make = self._compute if self._graph.quadratic(name) else self._slice
            self._names[key] = make(name, cut)
        return self._names[key]

    def product(self, node: onnx.NodeProto, cut: Cut) -> str:
        """The block of what a product of shares and values gives; the cut is that of the shares."""
        shares, values = node.input
        keys = {len(self._graph.axes(values)) - 2: kind for kind in cut.values() if kind == KEYS}
        return self._copy(node, [self.cut(shares, cut), self.cut(values, keys)])

    def _compute(self, name: str, cut: Cut) -> str:
        node = self._graph.makers[name]
        if node.op_type in ELEMENTWISE:
            return self._elementwise(node, cut)
        if node.op_type not in RULES or node.domain:
            raise NotCut(f"{node.op_type} is not computed in blocks")
        return RULES[node.op_type](self, node, cut)

    def _slice(self, name: str, cut: Cut) -> str:
        ends = [self._joined([f"{kind}.{end}" for kind in cut.values()]) for end in ("start", "end")]
        return self.add("Slice", [name, *ends, self.constant(list(cut))])

    def _joined(self, names: Sequence[str]) -> str:
        names = [f"{self.prefix}{name}" for name in names]
        return names[0] if len(names) == 1 else self.add("Concat", names, axis=0)

    def _elementwise(self, node: onnx.NodeProto, cut: Cut) -> str:
        rank = len(self._graph.axes(node.output[0]))
        return self._copy(node, [self._broadcast(name, cut, rank) for name in node.input])

    def _broadcast(self, name: str, cut: Cut, rank: int) -> str:
        """An operand that is broadcast to a rank, cut where it has the axes."""
        if not name:
            return name
        missing = rank - len(self._graph.axes(name))
        return self.cut(name, {axis - missing: kind for axis, kind in cut.items() if axis >= missing})

    def _matmul(self, node: onnx.NodeProto, cut: Cut) -> str:
        """Scores, of queries and keys."""
        out, first, second = (len(self._graph.axes(name)) for name in (*node.output, *node.input))
        if not set(cut) <= {out - 2, out - 1} or any(map(self._graph.quadratic, node.input)):
            raise NotCut("a product is cut along other axes than its rows and columns")
        rows = {first - 2: cut[out - 2]} if out - 2 in cut else {}
        columns = {second - 1: cut[out - 1]} if out - 1 in cut else {}
        return self._copy(node, [self.cut(node.input[0], rows), self.cut(node.input[1], columns)])

    def _softmax(self, node: onnx.NodeProto, cut: Cut) -> str:
        last = len(self._graph.axes(node.output[0])) - 1
        if attributes(node).get("axis", -1) not in (-1, last) or cut.get(last) == QUERIES:
            raise NotCut("a softmax does not run over keys")
        return self._copy(node, [self.cut(node.input[0], cut)])

    def _transpose(self, node: onnx.NodeProto, cut: Cut) -> str:
        order = attributes(node)["perm"]
        return self._copy(node, [self.cut(node.input[0], {order[axis]: kind for axis, kind in cut.items()})])

    def _unsqueeze(self, node: onnx.NodeProto, cut: Cut) -> str:
        rank = len(self._graph.axes(node.output[0]))
        added = {axis % rank for axis in self._constant(node.input[1])}
        kept = [axis for axis in range(rank) if axis not in added]
        before = {kept.index(axis): kind for axis, kind in cut.items() if axis in kept}
        return self._copy(node, [self.cut(node.input[0], before), node.input[1]])

    def _squeeze(self, node: onnx.NodeProto, cut: Cut) -> str:
        rank = len(self._graph.axes(node.input[0]))
        removed = {axis % rank for axis in self._constant(node.input[1])}
        kept = [axis for axis in range(rank) if axis not in removed]
        before = {kept[axis]: kind for axis, kind in cut.items()}
        return self._copy(node, [self.cut(node.input[0], before), node.input[1]])

    def _expand(self, node: onnx.NodeProto, cut: Cut) -> str:
        rank = len(self._graph.axes(node.output[0]))
        if len(self._graph.axes(node.input[1])) != 1 or self._graph.axes(node.input[1])[0] != rank:
            raise NotCut("an Expand is to a shape of fewer axes than it gives")
        return self._copy(node, [self._broadcast(node.input[0], cut, rank), self._shape(node.input[1], cut)])

    def _constant_of_shape(self, node: onnx.NodeProto, cut: Cut) -> str:
        return self._copy(node, [self._shape(node.input[0], cut)])

    def _reshape(self, node: onnx.NodeProto, cut: Cut) -> str:
        """Axes that are cut must stay axes: what is before one and after it is grouped otherwise at most."""
        before, after = (self._graph.axes(name) for name in (node.input[0], node.output[0]))
        places = {(_product(before[:axis]), _product(before[axis + 1 :])): axis for axis in _tokens(before)}
        try:
            moved = {
                places[_product(after[:axis]), _product(after[axis + 1 :])]: kind
                for axis, kind in cut.items()
            }
        except KeyError:
            raise NotCut("a Reshape changes the axes of tokens") from None
        return self._copy(node, [self.cut(node.input[0], moved), self._shape(node.input[1], cut)])

    def _slice_node(self, node: onnx.NodeProto, cut: Cut) -> str:
        """A Slice of other axes than those that are cut, or from end to end of them.

        Ends that are computed were those of all tokens, in both runs.
        """
        data, starts, ends, *rest = node.input
        rank = len(self._graph.axes(data))
        places = [axis % rank for axis in self._constant(rest[0])] if rest else list(range(rank))
        steps = self._constant(rest[1]) if len(rest) > 1 else [1] * len(places)
        first = self._graph.constant(starts) or [0] * len(places)
        last = self._graph.constant(ends) or [_LAST] * len(places)
        sliced = set(places) & set(cut)
        if not sliced:
            return self._copy(node, [self.cut(data, cut), *node.input[1:]])
        parts = [
            place
            for place, step, start, end in zip(places, steps, first, last, strict=True)
            if place not in cut or (step, start) != (1, 0) or end < _LAST
        ]
        if parts:
            raise NotCut("a Slice takes a part of the tokens")
        return self.cut(data, cut)

    def _gather(self, node: onnx.NodeProto, cut: Cut) -> str:
        """A table's entries, of indices that are cut."""
        table, indices = node.input
        axis = attributes(node).get("axis", 0) % len(self._graph.axes(table))
        last = axis + len(self._graph.axes(indices))
        if not all(axis <= place < last for place in cut):
            raise NotCut("a Gather takes tokens of a table")
        return self._copy(
            node, [self.cut(table, {}), self.cut(indices, {place - axis: cut[place] for place in cut})]
        )

    def _shape(self, name: str, cut: Cut) -> str:
        """A shape that is computed elsewhere, with the block's sizes in the place of all tokens."""
        if not cut:
            return name
        sizes = self._joined([f"{kind}.count" for kind in cut.values()])
        return self.add("ScatterElements", [name, self.constant(list(cut)), sizes], axis=0)

    def _constant(self, name: str) -> list[Any]:
        values = self._graph.constant(name)
        if values is None:
            raise NotCut(f"{name} is computed where a constant is needed")
        return values

    def _copy(self, node: onnx.NodeProto, inputs: Sequence[str]) -> str:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(inputs)
        return self._append(copy)

    def constant(self, values: Sequence[int]) -> str:
        """An int64 constant."""
        return self.add("Constant", [], value_ints=list(values))

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node of one output; its name."""
        return self._append(helper.make_node(kind, inputs, [], **attributes))

    def _append(self, node: onnx.NodeProto) -> str:
        name = f"{self.prefix}{len(self.nodes)}"
        node.name = name
        node.output.append(name)
        self.nodes.append(node)
        return name


def _tokens(axes: Sequence[Any]) -> list[int]:
    return [place for place, axis in enumerate(axes) if axis == TOKENS]


def _product(axes: Sequence[Any]) -> tuple[Any, ...]:
    """What axes are together: a number, and the names of those that are none."""
    numbers = [axis for axis in axes if isinstance(axis, int)]
    return (int(np.prod(numbers)), *sorted(axis for axis in axes if isinstance(axis, str)))


RULES: dict[str, Callable[[Block, onnx.NodeProto, Cut], str]] = {
    "ConstantOfShape": Block._constant_of_shape,
    "Expand": Block._expand,
    "Gather": Block._gather,
    "MatMul": Block._matmul,
    "Reshape": Block._reshape,
    "Slice": Block._slice_node,
    "Softmax": Block._softmax,
    "Squeeze": Block._squeeze,
    "Transpose": Block._transpose,
    "Unsqueeze": Block._unsqueeze,
}
"""Of the other operators that are known; ``ELEMENTWISE`` has those that need no rule."""
