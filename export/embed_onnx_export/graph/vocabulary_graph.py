"""head.onnx of sparse models: from token states to a number for each entry of the vocabulary.

    states float32 [batch, tokens, width], attention_mask int64 [batch, tokens]
    -> weights float32 [batch, entries]

What it computes is in ``functions``: a product, an activation, a normalization, and a product whose outputs
are the entries; of each of them the maximum over tokens, or the sum of logarithms.
"""

from pathlib import Path

import msgspec
import onnx

from embed_onnx.artifact.outputs import Sparse
from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.bert import functions, products
from embed_onnx_export.graph.bert.families import Linear, Norm
from embed_onnx_export.graph.nodes import Nodes


class VocabularyHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a masked language model scores its vocabulary with; ``activation`` is one of ``functions``."""

    transform: Linear
    norm: Norm
    scores: Linear
    epsilon: float
    activation: str


def write(head: VocabularyHead, path: Path, output: Sparse, *, quantized: bool) -> None:
    """Write the file, with int8 weights that are rounded to the nearest, or with float32 ones."""
    onnx_file.save(build(head, output, quantized=quantized), path)


def build(head: VocabularyHead, output: Sparse, *, quantized: bool) -> onnx.ModelProto:
    """The file: of maxima, or where weights are sums over tokens, of these."""
    nodes, make = Nodes(), products.nearest_product if quantized else products.float32_product
    inputs = [
        "states",
        "attention_mask",
        *nodes.product("transform", make(head.transform)),
        *nodes.norm("norm", head.norm),
        *nodes.product("scores", make(head.scores)),
    ]
    kind, text = "VocabularyMaxima", functions.vocabulary_maxima(head.activation)
    if output.pooling == "sum":
        logarithms = 2 if output.activation == "log1p_relu" else 1
        kind, text = "VocabularySums", functions.vocabulary_sums(head.activation, logarithms=logarithms)
    nodes.add(kind, inputs, "weights", epsilon=head.epsilon, activation=head.activation)
    texts = [text, *functions.linear(quantized=quantized), functions.ONLY_TOKENS]
    widths = {"states": len(head.transform.weight), "attention_mask": None}
    return nodes.model(widths, {"weights": output.entries}, texts, rows=["sequences"])
