"""head.onnx of sparse models: from token states to the greatest score of each entry of the vocabulary.

    states float32 [batch, tokens, width], attention_mask int64 [batch, tokens]
    -> maxima float32 [batch, entries]

What it computes is in ``functions``: a product, an activation, a normalization, and a product whose outputs
are the entries; of each of them the maximum over tokens.
"""

from pathlib import Path

import msgspec
import onnx

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


def write(head: VocabularyHead, path: Path, *, quantized: bool) -> None:
    """Write the file, with int8 weights that are rounded to the nearest, or with float32 ones."""
    onnx_file.save(build(head, quantized=quantized), path)


def build(head: VocabularyHead, *, quantized: bool) -> onnx.ModelProto:
    """The file."""
    nodes, make = Nodes(), products.nearest_product if quantized else products.float32_product
    width, entries = len(head.transform.weight), len(head.scores.bias)
    inputs = [
        "states",
        "attention_mask",
        *nodes.product("transform", make(head.transform)),
        *nodes.norm("norm", head.norm),
        *nodes.product("scores", make(head.scores)),
    ]
    nodes.add("VocabularyMaxima", inputs, "maxima", epsilon=head.epsilon, activation=head.activation)
    texts = [
        functions.vocabulary_maxima(head.activation),
        *functions.linear(quantized=quantized),
        functions.ONLY_TOKENS,
    ]
    return nodes.model(
        {"states": width, "attention_mask": None}, {"maxima": entries}, texts, rows=["sequences"]
    )
