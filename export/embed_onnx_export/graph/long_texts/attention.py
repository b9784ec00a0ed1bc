"""Attention of long texts in blocks of queries, so that memory grows with a text and not with its square.

As exported, a layer's scores, [heads, tokens, tokens], are there several times at once, and masks and biases
of that size with them. Here each product of shares and values, the end of attention in every architecture,
becomes an ``If``:

- of up to ``SHORT`` tokens, the nodes as they were; what layers share of them is computed once, as before;
- of more, a ``Loop`` over blocks of queries, and in its body the same nodes, cut to a block (``blocks``).
  Where a mask leaves a query only the keys around it (``windows``), the body reads only those.

A block has all the keys that its queries see, so that the softmax is the same, and only standard operators
compute it. What blocks are depends on the length of a text and on nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from onnx import helper

from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.long_texts import axes, branches, windows
from embed_onnx_export.graph.long_texts.axes import BATCHES, TOKENS
from embed_onnx_export.graph.long_texts.blocks import Graph, NotCut, attributes
from embed_onnx_export.graph.long_texts.branches import SHORT, Attention, Branches


def rewrite(path: Path, max_tokens: int) -> str | None:
    """Rewrite a file whose limit of tokens is that; says why its memory stays quadratic, if that matters."""
    if max_tokens <= SHORT:
        return None
    try:
        tensors = axes.read(path)
    except Exception as err:  # onnxruntime's exceptions share no base class
        return f"its graph fails: {err}"
    if not any(tensor.quadratic for tensor in tensors.values()):
        return None
    model = onnx.load(path)
    try:
        nodes = _rewritten(model, tensors, max_tokens)
    except NotCut as err:
        return str(err)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx_file.save(model, path)
    return None


def _rewritten(
    model: onnx.ModelProto, tensors: dict[str, axes.Tensor], max_tokens: int
) -> list[onnx.NodeProto]:
    """The nodes of a graph, its attention in blocks.

    Raises:
        NotCut: There is no such attention, or it is not known how.
    """
    nodes = [new for node in model.graph.node for new in _without_shapes(node, tensors)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    graph = Graph(model.graph, tensors)
    attentions = _attentions(graph)
    _check_uses(graph, model.graph.output, attentions)
    masks = windows.Masks(model, graph, (max_tokens, max_tokens // 2, SHORT + 1))
    forms = Branches(graph, attentions)
    products = {attention.product.output[0]: attention for attention in attentions}
    rewritten = list(branches.prelude())
    for node in graph.nodes:
        name = node.output[0]
        if name in products:
            attention = products[name]
            rewritten += forms.nodes(attention, masks.window(attention.nodes))
        elif not graph.quadratic(name):
            rewritten.append(node)
    return rewritten


def _without_shapes(node: onnx.NodeProto, tensors: dict[str, axes.Tensor]) -> Iterator[onnx.NodeProto]:
    """A node; instead of one that reads a quadratic tensor's shape, nodes that read that of the ids."""
    tensor = tensors.get(node.input[0]) if node.op_type == "Shape" else None
    if tensor is None or not tensor.quadratic:
        yield node
        return
    bounds = attributes(node)
    parts = []
    for place, axis in enumerate(tensor.axes[bounds.get("start", 0) : bounds.get("end")]):
        name = f"{node.output[0]}.{place}"
        if isinstance(axis, int):
            yield helper.make_node("Constant", [], [name], value_ints=[axis])
        elif axis in (BATCHES, TOKENS):
            first = (BATCHES, TOKENS).index(axis)
            yield helper.make_node("Shape", ["input_ids"], [name], start=first, end=first + 1)
        else:
            raise NotCut(f"the shape of {node.input[0]} does not follow tokens alone")
        parts.append(name)
    yield helper.make_node("Concat", parts, node.output, axis=0)


def _attentions(graph: Graph) -> list[Attention]:
    """The products of shares and values, each with what leads to it.

    Raises:
        NotCut: There is none.
    """
    attentions = []
    for node in graph.nodes:
        if node.op_type != "MatMul" or graph.quadratic(node.output[0]) or not graph.quadratic(node.input[0]):
            continue
        needed = {node.input[0]}
        nodes = []
        for other in reversed(graph.nodes):
            if needed.intersection(other.output) and graph.quadratic(other.output[0]):
                nodes.append(other)
                needed.update(other.input)
        attentions.append(Attention(node, nodes[::-1]))
    if not attentions:
        raise NotCut("no product of shares and values is known in it")
    return attentions


def _check_uses(
    graph: Graph, outputs: Sequence[onnx.ValueInfoProto], attentions: Sequence[Attention]
) -> None:
    """Make sure that a quadratic tensor ends in an attention, and nowhere else.

    Raises:
        NotCut: One does not.
    """
    products = [attention.product.output[0] for attention in attentions]
    for node in graph.nodes:
        known = graph.quadratic(node.output[0]) or node.output[0] in products
        if not known and any(map(graph.quadratic, node.input)):
            raise NotCut(f"{node.op_type} reads scores or masks outside of attention")
    if any(graph.quadratic(output.name) for output in outputs):
        raise NotCut("it gives scores or masks")
