"""The two forms of an attention, of short texts and of long ones, as the branches of an ``If``."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import onnx
from onnx import TensorProto, helper

from embed_onnx_export.graph.long_texts.blocks import KEYS, QUERIES, Block, Graph, NotCut
from embed_onnx_export.graph.long_texts.windows import Window

SHORT = 512
"""The most tokens of a text for which nothing changes."""
SCORES = 2**18
"""The most scores of a block, a head, where its keys are all tokens."""
ROWS = 128
"""The most queries of a block."""
TOKENS, IS_LONG, SHORTEST = "blocks/tokens", "blocks/is_long", "blocks/short"


class Attention(msgspec.Struct, frozen=True):
    """A product of shares and values, and the quadratic nodes that lead to it, in their order."""

    product: onnx.NodeProto
    nodes: list[onnx.NodeProto]


def prelude() -> Iterator[onnx.NodeProto]:
    """The number of tokens, int64 [1], and whether there are more than ``SHORT``."""
    yield helper.make_node("Shape", ["input_ids"], [TOKENS], start=1, end=2)
    yield helper.make_node("Constant", [], [SHORTEST], value_ints=[SHORT])
    yield helper.make_node("Greater", [TOKENS, SHORTEST], [IS_LONG])


class Branches:
    """Both forms of a graph's attentions."""

    def __init__(self, graph: Graph, attentions: Sequence[Attention]) -> None:
        self._graph = graph
        self._done: set[str] = set()
        names = [node.output[0] for attention in attentions for node in attention.nodes]
        self._shared = {name for name in names if names.count(name) > 1}
        self._attentions = attentions

    def nodes(self, attention: Attention, window: Window) -> Iterator[onnx.NodeProto]:
        """The ``If`` of an attention, after another of what it is the first to share with later ones."""
        shared = [node for node in attention.nodes if node.output[0] in self._shared - self._done]
        if shared:
            self._done.update(node.output[0] for node in shared)
            yield self._once(shared)
        output = attention.product.output[0]
        alone = [node for node in attention.nodes if node.output[0] not in self._shared]
        kind = self._graph.kind(output)
        yield helper.make_node(
            "If",
            [IS_LONG],
            [output],
            name=f"{output}.blocks",
            then_branch=_Blocks(self._graph, attention, window).branch(kind),
            else_branch=_short([*alone, attention.product], {output: kind}),
        )

    def _once(self, nodes: Sequence[onnx.NodeProto]) -> onnx.NodeProto:
        """What layers share, computed for short texts; each block of a long one computes its part."""
        inside = {node.output[0] for node in nodes}
        readers = (node for attention in self._attentions for node in (*attention.nodes, attention.product))
        read = {name for node in readers if node.output[0] not in inside for name in node.input}
        outputs = {name: self._graph.kind(name) for name in inside if name in read}
        nothing = [
            helper.make_node("Constant", [], [f"{name}.long"], value=self._nothing(name)) for name in outputs
        ]
        return helper.make_node(
            "If",
            [IS_LONG],
            list(outputs),
            name=f"{next(iter(outputs))}.shared",
            then_branch=_branch(nothing, {f"{name}.long": kind for name, kind in outputs.items()}),
            else_branch=_short(nodes, outputs),
        )

    def _nothing(self, name: str) -> onnx.TensorProto:
        """One element in the place of a tensor that is not read."""
        return helper.make_tensor(name, self._graph.kind(name), [1] * len(self._graph.axes(name)), [0])


class _Blocks:
    """The form for long texts: a ``Loop``, its blocks of one size; the last may begin in the one before."""

    def __init__(self, graph: Graph, attention: Attention, window: Window) -> None:
        self._graph = graph
        self._product = attention.product
        self._window = window
        self._prefix = f"{attention.product.output[0]}/"
        self._outer = Block(graph, self._prefix)

    def branch(self, kind: int) -> onnx.GraphProto:
        """The whole branch; ``kind`` is the type of what it gives."""
        rows, count = self._sizes()
        last = self._outer.add("Sub", [TOKENS, rows])
        blocks = self._outer.add("Loop", [count, ""], body=self._body(rows, last, kind))
        output = self._whole(blocks, rows, count)
        return _branch(self._outer.nodes, {output: kind})

    def _sizes(self) -> tuple[str, str]:
        """How many queries a block has, and how many blocks there are."""
        outer = self._outer
        most = outer.constant([ROWS])
        if None in (self._window.before, self._window.after):
            scores, one = outer.constant([SCORES]), outer.constant([1])
            most = outer.add("Max", [outer.add("Min", [outer.add("Div", [scores, TOKENS]), most]), one])
        count = self._ratio(TOKENS, most)
        return self._ratio(TOKENS, count), count

    def _ratio(self, total: str, part: str) -> str:
        """How often a part fits into a total, rounded up."""
        one = self._outer.constant([1])
        less = self._outer.add("Sub", [total, one])
        return self._outer.add("Add", [self._outer.add("Div", [less, part]), one])

    def _body(self, rows: str, last: str, kind: int) -> onnx.GraphProto:
        """One turn of the loop: the output of a block's queries."""
        prefix = f"{self._prefix}block/"
        turn, going, going_on = (f"{prefix}{name}" for name in ("turn", "going", "going_on"))
        block = Block(self._graph, prefix)
        start = block.add("Min", [block.add("Mul", [turn, rows]), last])
        end = block.add("Add", [start, rows])
        cut = {self._rank(self._product.input[0]) - 2: QUERIES}
        self._bounds(block, QUERIES, start, end)
        if self._window != Window():
            cut[self._rank(self._product.input[0]) - 1] = KEYS
            self._bounds(block, KEYS, self._first(block, start), self._last(block, end))
        output = block.product(self._product, cut)
        nodes = [*block.nodes, helper.make_node("Identity", [going], [going_on])]
        return helper.make_graph(
            nodes,
            f"{prefix}body",
            [
                helper.make_tensor_value_info(turn, TensorProto.INT64, []),
                helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info(going_on, TensorProto.BOOL, []),
                helper.make_tensor_value_info(output, kind, None),
            ],
        )

    def _bounds(self, block: Block, kind: str, start: str, end: str) -> None:
        count = block.add("Sub", [end, start])
        for name, value in (("start", start), ("end", end), ("count", count)):
            block.nodes.append(helper.make_node("Identity", [value], [f"{block.prefix}{kind}.{name}"]))

    def _first(self, block: Block, start: str) -> str:
        """The first key that a block reads."""
        if self._window.before is None:
            return block.constant([0])
        reach = block.add("Sub", [start, block.constant([self._window.before])])
        return block.add("Max", [reach, block.constant([0])])

    def _last(self, block: Block, end: str) -> str:
        """The end of its keys."""
        if self._window.after is None:
            return block.add("Identity", [TOKENS])
        return block.add("Min", [block.add("Add", [end, block.constant([self._window.after])]), TOKENS])

    def _whole(self, blocks: str, rows: str, count: str) -> str:
        """Blocks [count, ..., rows, size] as [..., tokens, size], what the last two have both taken once."""
        outer, rank = self._outer, self._rank(self._product.output[0])
        order = [*range(1, rank - 1), 0, rank - 1, rank]
        by_block = outer.add("Transpose", [blocks], perm=order)
        size = self._graph.axes(self._product.output[0])[-1]
        if not isinstance(size, int):
            raise NotCut("the size of a head is not known")
        together = outer.add("Reshape", [by_block, outer.constant([*[0] * (rank - 2), -1, size])])
        zero, axis = outer.constant([0]), outer.constant([rank - 2])
        total = outer.add("Mul", [rows, count])
        before = outer.add("Sub", [total, rows])
        again = outer.add("Sub", [TOKENS, before])
        parts = [
            outer.add("Slice", [together, zero, before, axis]),
            outer.add("Slice", [together, outer.add("Sub", [total, again]), total, axis]),
        ]
        return outer.add("Concat", parts, axis=rank - 2)

    def _rank(self, name: str) -> int:
        return len(self._graph.axes(name))


def _short(nodes: Sequence[onnx.NodeProto], outputs: Mapping[str, int]) -> onnx.GraphProto:
    """Nodes as they were, but for the names of what they give."""
    names = {name: f"{name}.short" for name in outputs}
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for field in (copy.input, copy.output):
            field[:] = [names.get(name, name) for name in field]
        copies.append(copy)
    return _branch(copies, {names[name]: kind for name, kind in outputs.items()})


def _branch(nodes: Sequence[onnx.NodeProto], outputs: Mapping[str, int]) -> onnx.GraphProto:
    values = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    return helper.make_graph(nodes, f"{next(iter(outputs))}.branch", [], values)
