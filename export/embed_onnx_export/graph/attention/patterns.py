"""Attention and rotations as exporters write them, recognised in a graph from their last node back.

Exporters have heads before tokens, [batch, heads, tokens, size], and repeat the keys and values that several
heads read. What is recognised here names tensors before all that.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import onnx

from embed_onnx_export.graph.long_texts.axes import BATCHES, TOKENS
from embed_onnx_export.graph.long_texts.blocks import Graph, NotCut, attributes

HEADS_FIRST = [0, 2, 1, 3]
"""The order of axes that puts heads before tokens, [batch, heads, tokens, size], or behind them."""
SIZES_BEFORE_TOKENS, HEADS_AND_SIZES_FIRST = [0, 1, 3, 2], [0, 2, 3, 1]
"""The orders by which keys become what queries are multiplied by."""
SIZE_MULTIPLE = 16
"""The kernel takes heads whose size is a multiple of this: whole vectors on every instruction set."""


class Heads(msgspec.Struct, frozen=True):
    """A tensor [batch, heads, tokens, size], or with ``tokens_first`` [batch, tokens, heads, size]."""

    name: str
    tokens_first: bool = False


class Attention(msgspec.Struct, frozen=True):
    """A softmax over tokens, of scores times ``scale`` plus ``mask``.

    There may be fewer heads of keys and values than of queries.
    """

    output: str
    queries: Heads
    keys: Heads
    values: Heads
    mask: str
    scale: float


class Rotation(msgspec.Struct, frozen=True):
    """Heads ``x`` [batch, heads, tokens, size] whose first channels are turned by angles of their tokens.

    ``cosines`` and ``sines`` are [1 or batch, tokens, channels].
    """

    x: str
    cosines: str
    sines: str


class Patterns:
    """Which nodes of a graph together are an attention or a rotation."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def maker(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node that gives a tensor, if it is one of these operators."""
        node = self._graph.makers.get(name)
        return node if node is not None and node.op_type in kinds and not node.domain else None

    def is_heads_first(self, node: onnx.NodeProto) -> bool:
        """Whether it takes tokens before heads to heads before tokens, or back."""
        return node.op_type == "Transpose" and attributes(node).get("perm") == HEADS_FIRST

    def attention(self, product: onnx.NodeProto) -> Attention | None:
        """The attention that a product of shares and values ends; None if it is not one that is known."""
        if product.op_type != "MatMul":
            return None
        softmax = self.maker(product.input[0], "Softmax")
        addition = (
            self.maker(softmax.input[0], "Add") if softmax is not None and _on_last_axis(softmax) else None
        )
        if addition is None:
            return None
        for scores, mask in _both_orders(addition):
            scale, products = self._scaled(scores)
            node = self.maker(products, "MatMul")
            keys = self._transposed(node.input[1]) if node is not None else None
            if node is None or keys is None or not self._graph.quadratic(mask):
                continue
            attention = Attention(
                output=product.output[0],
                queries=Heads(node.input[0]),
                keys=keys,
                values=Heads(self._shared(product.input[1])),
                mask=mask,
                scale=scale,
            )
            return attention if self._fits(attention) else None
        return None

    def rotation(self, name: str) -> Rotation | None:
        """The rotation whose result is this tensor of heads; None if it is not one that is known."""
        joined = self.maker(name, "Concat")
        if joined is None or len(joined.input) != 2 or not _on_last_axis(joined):
            return self._whole_rotation(name)
        # Of the first channels of each head, and the others as they were.
        rotation = self._whole_rotation(joined.input[0])
        if rotation is None:
            return None
        first, others = self._slice(rotation.x), self._slice(joined.input[1])
        channels = self._size(rotation.x)
        if first is None or others is None or first[0] != others[0]:
            return None
        if first[1:] != (0, channels) or others[1:] != (channels, self._size(first[0])):
            return None
        return msgspec.structs.replace(rotation, x=first[0])

    def _whole_rotation(self, name: str) -> Rotation | None:
        """The sum x * cosines + (-second half of x, first half of x) * sines."""
        addition = self.maker(name, "Add")
        for along, beside in _both_orders(addition) if addition is not None else ():
            products = self.maker(along, "Mul"), self.maker(beside, "Mul")
            if products[0] is None or products[1] is None:
                continue
            orders = itertools.product(_both_orders(products[0]), _both_orders(products[1]))
            for (x, cosines), (across, sines) in orders:
                if self._is_across(across, x) and self._size(x) == self._size(cosines):
                    return self._with_angles(x, cosines, sines)
        return None

    def _with_angles(self, x: str, cosines: str, sines: str) -> Rotation | None:
        of_cosines, of_sines = self._by_token(cosines), self._by_token(sines)
        return None if of_cosines is None or of_sines is None else Rotation(x, of_cosines, of_sines)

    def _is_across(self, name: str, x: str) -> bool:
        """Whether a tensor is (-second half of x, first half of x)."""
        joined, size = self.maker(name, "Concat"), self._size(x)
        if joined is None or len(joined.input) != 2 or not _on_last_axis(joined) or size is None or size % 2:
            return False
        negative = self.maker(joined.input[0], "Neg")
        parts = [
            self._slice(part) for part in (negative.input[0] if negative is not None else "", joined.input[1])
        ]
        return parts == [(x, size // 2, size), (x, 0, size // 2)]

    def _slice(self, name: str) -> tuple[str, int, int] | None:
        """Of the channels of heads: the tensor, its first channel, and the one after the last."""
        node = self.maker(name, "Slice")
        if node is None or len(node.input) < 4:
            return None
        starts, ends, axes, *steps = [*map(self._graph.constant, node.input[1:])]
        if starts is None or ends is None or axes not in ([3], [-1]) or steps not in ([], [[1]]):
            return None
        size = self._size(node.input[0])
        return (node.input[0], starts[0], min(ends[0], size)) if size is not None else None

    def _by_token(self, name: str) -> str | None:
        """Angles [batch, tokens, channels] that an exporter has made [batch, 1, tokens, channels]."""
        node = self.maker(name, "Unsqueeze")
        if node is None or self._graph.constant(node.input[1]) not in ([1], [-3]):
            return None
        axes = self._axes(node.input[0])
        return node.input[0] if len(axes) == 3 and axes[0] in (1, BATCHES) and axes[1] == TOKENS else None

    def _scaled(self, name: str) -> tuple[float, str]:
        """The factor of scores, and the tensor that it multiplies."""
        factor = 1.0
        while (node := self.maker(name, "Mul", "Div")) is not None:
            values = self._graph.constant(node.input[1])
            if values is None or len(values) != 1:
                break
            factor = factor * values[0] if node.op_type == "Mul" else factor / values[0]
            name = node.input[0]
        return factor, name

    def _transposed(self, name: str) -> Heads | None:
        """The keys that an exporter has made [batch, heads, size, tokens]."""
        node = self.maker(name, "Transpose")
        order = attributes(node).get("perm") if node is not None else None
        if node is None or order not in (SIZES_BEFORE_TOKENS, HEADS_AND_SIZES_FIRST):
            return None
        if order == HEADS_AND_SIZES_FIRST:
            return Heads(node.input[0], tokens_first=True)
        return Heads(self._shared(node.input[0]))

    def _shared(self, name: str) -> str:
        """Heads before they were repeated for those that share them."""
        shaped = self.maker(name, "Reshape")
        repeated = self.maker(shaped.input[0], "Expand") if shaped is not None else None
        node = self.maker(repeated.input[0], "Unsqueeze") if repeated is not None else None
        if node is None or self._graph.constant(node.input[1]) not in ([2], [-3]):
            return name
        before, after = self._axes(node.input[0]), self._axes(name)
        alike = len(before) == len(after) == 4 and before[0] == after[0] and before[2:] == after[2:]
        return node.input[0] if alike and after[1] % before[1] == 0 else name

    def _fits(self, attention: Attention) -> bool:
        """Whether the operator takes these heads, all of the same tokens."""
        queries, keys, values = map(self._heads_first, (attention.queries, attention.keys, attention.values))
        if keys != values or any(len(axes) != 4 for axes in (queries, keys)):
            return False
        (_, heads, _, size), (_, groups, _, key_size) = queries, keys
        if not all(isinstance(axis, int) for axis in (heads, groups, size)):
            return False
        tokens = [(batch, tokens) for batch, _, tokens, _ in (queries, keys)]
        alike = tokens == [(BATCHES, TOKENS)] * 2 and size == key_size
        return alike and size % SIZE_MULTIPLE == 0 and heads % groups == 0

    def _heads_first(self, heads: Heads) -> tuple[Any, ...]:
        """The axes of [batch, heads, tokens, size]."""
        axes = self._axes(heads.name)
        return tuple(axes[axis] for axis in HEADS_FIRST) if heads.tokens_first and len(axes) == 4 else axes

    def _size(self, name: str) -> int | None:
        axes = self._axes(name)
        return axes[-1] if axes and isinstance(axes[-1], int) else None

    def _axes(self, name: str) -> tuple[Any, ...]:
        """The sizes of a tensor's axes, or what they follow; empty where that is not known."""
        try:
            return self._graph.axes(name)
        except NotCut:
            return ()


def _on_last_axis(node: onnx.NodeProto) -> bool:
    """Whether a node works along the last of four axes."""
    return attributes(node).get("axis", -1) in (-1, 3)


def _both_orders(node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
    first, second = node.input
    yield first, second
    yield second, first
