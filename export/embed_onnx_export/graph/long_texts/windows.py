"""How far a query sees in an attention: read from the mask that its graph computes, where it computes one.

A mask is what is added to the scores and does not depend on token ids. Some of its rows are computed, at the
model's limit of tokens and at shorter lengths: a window is what all of them have in common. What a mask hides
has a weight of exactly zero, so that a block of queries gets the same from the keys in its window.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.long_texts.blocks import QUERIES, Block, Graph, NotCut

HIDDEN = -1e30
"""What a mask adds at most to a score that shall not count."""
AFTER_SOFTMAX = {"Cast", "Identity", "IsNaN", "Where"}
"""What may come between the softmax and the values: zeros stay zeros."""
PREFIX = "window/"
SAMPLES, ROWS = 24, 16
"""How many blocks of a mask are computed, and of how many rows each."""


class Window(msgspec.Struct, frozen=True):
    """How many tokens before it and after it a query sees; None: all that there are."""

    before: int | None = None
    after: int | None = None


class Masks:
    """The windows of a graph's masks."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, lengths: Sequence[int]) -> None:
        """``lengths`` in tokens, the limit first."""
        self._model = model
        self._graph = graph
        self._lengths = lengths
        self._by_ids = _from_ids(graph.nodes)
        self._windows: dict[str, Window] = {}
        self._rules: dict[str, Window | None] = {}

    def window(self, nodes: Sequence[onnx.NodeProto]) -> Window:
        """Of the attention that these quadratic nodes lead to."""
        at = [place for place, node in enumerate(nodes) if node.op_type == "Softmax"]
        if len(at) != 1 or not {node.op_type for node in nodes[at[0] + 1 :]} <= AFTER_SOFTMAX:
            return Window()
        windows = [self._of(name) for name in self._addends(nodes[at[0]].input[0])]
        sides = ("before", "after")
        known = [[getattr(one, side) for one in windows if getattr(one, side) is not None] for side in sides]
        return Window(*(min(side, default=None) for side in known))

    def rule(self, mask: str) -> Window | None:
        """How far a query sees, if the mask is 0 there for tokens of attention_mask and hides all others.

        None if the mask is anything else.
        """
        if mask not in self._rules:  # most layers share one
            self._rules[mask] = self._read_rule(mask)
        return self._rules[mask]

    def _read_rule(self, mask: str) -> Window | None:
        if mask in self._by_ids:
            return None
        try:
            rows = _Rows(self._model, self._graph, mask)
        except NotCut:
            return None
        window = self._of(mask)
        return window if all(rows.follow(window, length) for length in self._lengths) else None

    def _addends(self, name: str) -> Iterator[str]:
        """The masks of a sum."""
        node = self._graph.makers.get(name)
        if name not in self._by_ids:
            if self._graph.quadratic(name):
                yield name
        elif node is not None and node.op_type == "Add":
            for addend in node.input:
                yield from self._addends(addend)

    def _of(self, mask: str) -> Window:
        if mask not in self._windows:
            self._windows[mask] = self._read(mask)
        return self._windows[mask]

    def _read(self, mask: str) -> Window:
        try:
            rows = _Rows(self._model, self._graph, mask)
        except NotCut:  # nor is its attention, which says so
            return Window()
        reaches = {length: rows.reach(length) for length in self._lengths}
        limit = self._lengths[0]
        sides = []
        for side in (0, 1):
            most = reaches[limit][side]
            same = all(reach[side] == min(most, length - 1) for length, reach in reaches.items())
            sides.append(most if same and most < limit - 1 else None)
        return Window(*sides)


class _Rows:
    """A mask's rows, by the nodes that compute them and by no others."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, mask: str) -> None:
        block = Block(graph, PREFIX)
        self._output = block.cut(mask, {len(graph.axes(mask)) - 2: QUERIES})
        self._bounds = [f"{PREFIX}{QUERIES}.{end}" for end in ("start", "end", "count")]
        nodes = [*onnx_file.ancestors(graph.nodes, onnx_file.read_by(block.nodes)), *block.nodes]
        read = {name for node in nodes for name in node.input}
        bounds = [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in self._bounds]
        part = helper.make_graph(
            nodes,
            "mask",
            [*model.graph.input, *bounds],
            [helper.make_tensor_value_info(self._output, graph.kind(mask), None)],
            [tensor for tensor in model.graph.initializer if tensor.name in read],
        )
        probe = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
        self._session = onnx_file.session(probe)

    def reach(self, length: int) -> tuple[int, int]:
        """How far queries see before and after them, at the most, in a text of so many tokens."""
        reaches = [self._reach(length, start) for start in _starts(length)]
        return max(before for before, _ in reaches), max(after for _, after in reaches)

    def follow(self, window: Window, length: int) -> bool:
        """Whether a mask is 0 in a window for what ``attention_mask`` has, and hides all other tokens."""
        for padding in (slice(0), slice(3), slice(-3, None)):
            attended = np.ones(length, np.int64)
            attended[padding] = 0
            for start in _starts(length):
                mask = self._mask(length, start, attended)
                distances = np.arange(length) - np.arange(start, start + mask.shape[1])[:, None]
                seen = attended > 0
                if window.before is not None:
                    seen = seen & (distances >= -window.before)
                if window.after is not None:
                    seen = seen & (distances <= window.after)
                is_query = attended[start : start + mask.shape[1]] > 0
                if not (np.where(seen, mask == 0, mask <= HIDDEN) | ~is_query[:, None]).all():
                    return False
        return True

    def _reach(self, length: int, start: int) -> tuple[int, int]:
        mask = self._mask(length, start, np.ones(length, np.int64))
        queries, keys = np.nonzero((mask > HIDDEN).any(axis=0))
        distances = keys - queries - start
        return int(-distances.min(initial=0)), int(distances.max(initial=0))

    def _mask(self, length: int, start: int, attended: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some rows of the mask of one text, [heads, rows, tokens], of the heads that differ."""
        count = min(ROWS, length)
        bounds = (start, start + count, count)
        feeds: dict[str, NDArray[np.int64]] = {
            name: np.array([value], np.int64) for name, value in zip(self._bounds, bounds, strict=True)
        }
        ids = {"attention_mask": attended[None]}
        ones = np.ones((1, length), np.int64)
        for argument in self._session.get_inputs():
            feeds.setdefault(argument.name, ids.get(argument.name, ones))
        (mask,) = self._session.run([self._output], feeds)
        rows: NDArray[np.float32] = mask.reshape(-1, *mask.shape[-2:])
        return np.broadcast_to(rows, (len(rows), count, length))


def _starts(length: int) -> list[int]:
    """The first rows of the blocks that are computed of a mask."""
    starts: list[int] = np.unique(np.linspace(0, length - ROWS, SAMPLES, dtype=np.int64).clip(0)).tolist()
    return starts


def _from_ids(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """The tensors that token ids have a part in, and not their number alone."""
    names = {"input_ids", "token_type_ids"}
    for node in nodes:
        if node.op_type not in ("Shape", "Size") and names.intersection(node.input):
            names.update(node.output)
    return names
