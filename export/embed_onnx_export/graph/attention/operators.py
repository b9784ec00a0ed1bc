"""A graph's attentions as nodes ``Attention``, and the rotations of their heads as nodes ``RotateHeads``.

An attention is replaced if its mask is what the operator does by itself (``windows``), so that no tensor of
tokens by tokens is left. All else stays as the exporter wrote it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.attention import functions
from embed_onnx_export.graph.attention.patterns import HEADS_FIRST, Attention, Patterns
from embed_onnx_export.graph.bert.functions import DOMAIN
from embed_onnx_export.graph.long_texts import axes, windows
from embed_onnx_export.graph.long_texts.blocks import Graph
from embed_onnx_export.graph.long_texts.windows import Window

MASK = "attention_mask"
NORMS = ("LayerNormalization", "SimplifiedLayerNormalization")
"""What exporters do to heads, whether tokens are before them or behind."""


def rewrite(path: Path, max_tokens: int) -> None:
    """Replace the attentions of a file that the operator computes; ``max_tokens`` is the model's limit.

    A file that has none, or whose axes are not known, stays as it is.
    """
    if max_tokens > functions.MOST_TOKENS:
        return
    try:
        tensors = axes.read(path)
    except Exception:  # onnxruntime's exceptions share no base class; comparing the graph says what is wrong
        return
    model = onnx.load(path)
    graph = Graph(model.graph, tensors)
    rewritten = _Rewrite(model, graph, max_tokens)
    if not rewritten.texts:
        return
    del model.graph.node[:]
    outputs = (output.name for output in model.graph.output)
    model.graph.node.extend(onnx_file.ancestors(rewritten.nodes, outputs))
    onnx_file.drop_unused_initializers(model.graph)
    onnx_file.add_functions(model, rewritten.texts)
    onnx_file.save(model, path)


class _Rewrite:
    """A graph's nodes with the last node of each attention replaced; what led only to that is unused then."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, max_tokens: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.texts: list[str] = []
        """The functions of the new nodes."""
        self._graph = graph
        self._patterns = Patterns(graph)
        self._masks = windows.Masks(model, graph, (max_tokens, max(max_tokens // 2, 1)))
        self._has_mask = MASK in {one.name for one in model.graph.input}
        self._by_token: dict[str, str] = {}
        for node in graph.nodes:
            self._add(node)

    def _add(self, node: onnx.NodeProto) -> None:
        if node.input and node.input[0] in self._by_token and self._patterns.is_heads_first(node):
            node = helper.make_node("Identity", [self._by_token[node.input[0]]], node.output)
        attention = self._patterns.attention(node) if self._has_mask else None
        window = self._masks.rule(attention.mask) if attention is not None else None
        if attention is None or window is None:
            self.nodes.append(node)
            return
        self._add_attention(attention, window)

    def _add_attention(self, attention: Attention, window: Window) -> None:
        heads = (attention.queries, attention.keys, attention.values)
        output = self._node(
            "Attention",
            [*(one.name if one.tokens_first else self._tokens_first(one.name) for one in heads), MASK],
            functions.ATTENTION,
            scale=attention.scale,
            before=functions.UNLIMITED if window.before is None else window.before,
            after=functions.UNLIMITED if window.after is None else window.after,
        )
        self.nodes.append(helper.make_node("Transpose", [output], [attention.output], perm=HEADS_FIRST))
        self._by_token[attention.output] = output

    def _tokens_first(self, name: str) -> str:
        """Heads [batch, heads, tokens, size] as [batch, tokens, heads, size]."""
        if name not in self._by_token:
            self._by_token[name] = self._reordered(name)
        return self._by_token[name]

    def _reordered(self, name: str) -> str:
        rotation = self._patterns.rotation(name)
        if rotation is not None:
            inputs = [self._tokens_first(rotation.x), rotation.cosines, rotation.sines]
            return self._node("RotateHeads", inputs, functions.ROTATE_HEADS)
        transposed = self._patterns.maker(name, "Transpose")
        if transposed is not None and self._patterns.is_heads_first(transposed):
            return str(transposed.input[0])
        norm = self._patterns.maker(name, *NORMS)
        output = f"{name}.by_token"
        if norm is None:
            self.nodes.append(helper.make_node("Transpose", [name], [output], perm=HEADS_FIRST))
            return output
        copy = onnx.NodeProto()
        copy.CopyFrom(norm)
        copy.name = output
        copy.input[0] = self._tokens_first(norm.input[0])
        copy.output[:] = [output]
        self.nodes.append(copy)
        return output

    def _node(self, kind: str, inputs: Sequence[str], text: str, **attributes: Any) -> str:
        """Add a node of our own domain, and the text of its function once; the name of its output."""
        if text not in self.texts:
            self.texts.append(text)
        output = f"{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=DOMAIN, **attributes))
        return output
