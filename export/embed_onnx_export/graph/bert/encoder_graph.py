"""model.onnx of the BERT family: ``TokenEmbeddings``, then one ``EncoderLayer`` a layer.

    input_ids, attention_mask int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]

What the two compute, and what masks mean, is in ``functions``. The same text with float32 weights is the file
of that precision. Where there is PyTorch it is compared with the original, so that what is quantised is known
to be it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from msgspec.structs import replace
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, onnx_file
from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.bert.families import Encoder, Layer, Linear, Norm
from embed_onnx_export.graph.int8 import quantize_channels, quantize_rows

TOLERANCE = 1e-4
"""Of the largest state: two orders of summing float32 differ by a hundredth of it."""
BATCH = 5
"""So many of the shortest texts are compared together as well, with padding."""


def write(encoder: Encoder, output: Path) -> Quantization:
    """Write the int8 file; says how it was made."""
    onnx_file.save(build(encoder, quantized=True), output)
    return replace(functions.QUANTIZATION, kernel_activation_bits=8)


def write_float32(encoder: Encoder, output: Path) -> None:
    """Write the float32 file."""
    onnx_file.save(build(encoder, quantized=False), output)


def check(encoder: Encoder, graph: Path, original: compare.Original) -> None:
    """Compare the float32 file of an encoder with its original: sequences alone, and padded ones.

    Raises:
        ExportError: The states are too far apart.
    """
    alone = list(compare.inputs(len(encoder.words), encoder.padding_id, len(encoder.positions)))
    batch = compare.together(alone[:BATCH])
    fault = compare.fault(graph, original, [*alone, batch], TOLERANCE)
    if fault:
        raise ExportError(f"the encoder's graph is not its original: it {fault}; report this as a bug")


def build(encoder: Encoder, *, quantized: bool) -> onnx.ModelProto:
    """The whole file, with int8 weights or with the float32 ones that it is checked with."""
    parts = _Parts(quantized)
    states = parts.embeddings(encoder)
    shared = [] if encoder.relative_bias is None else [parts.store("relative_bias", encoder.relative_bias)]
    attributes = {
        "num_heads": encoder.num_heads,
        "epsilon": encoder.epsilon,
        "activation": encoder.activation,
    }
    for number, layer in enumerate(encoder.layers):
        last = number == len(encoder.layers) - 1
        name = f"layers.{number}"
        inputs = [states, "attention_mask", *parts.layer(name, layer), *shared]
        states = parts.node("EncoderLayer", inputs, "last_hidden_state" if last else name, **attributes)
    tokens = ["batch", "tokens"]
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        parts.nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in names],
        [helper.make_tensor_value_info(states, TensorProto.FLOAT, [*tokens, encoder.words.shape[1]])],
        parts.initializers,
    )
    return helper.make_model(
        graph,
        functions=[parser.parse_function(text) for text in _texts(encoder, quantized)],
        opset_imports=[helper.make_opsetid("", functions.OPSET), helper.make_opsetid(functions.DOMAIN, 1)],
        ir_version=functions.IR_VERSION,
    )


def _texts(encoder: Encoder, quantized: bool) -> list[str]:
    """The functions that the file needs."""
    relative = encoder.relative_bias is not None
    products = [functions.LINEAR_FLOAT32]
    if quantized:
        products = [functions.LINEAR_INT8, functions.QUANTIZE_TOKENS, functions.MATMUL_TOKENS]
    return [
        functions.token_embeddings(after_padding=encoder.padding_position is not None),
        functions.encoder_layer(encoder.activation, relative=relative),
        *products,
        functions.ATTENTION_BIAS,
        *([functions.RELATIVE_ATTENTION_BIAS] if relative else []),
        functions.SEQUENCES,
        functions.ONLY_TOKENS,
    ]


class _Parts:
    """Nodes and initializers; what stores arrays returns their names in the order of a node's inputs."""

    def __init__(self, quantized: bool) -> None:
        self._quantized = quantized
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def embeddings(self, encoder: Encoder) -> str:
        """Add the node of the embeddings; the name of its states."""
        words: NDArray[Any] = encoder.words
        scale = np.ones((len(words), 1), np.float32)
        if self._quantized:
            words, scale = quantize_rows(words)
        positions, padding_id = encoder.positions, []
        if encoder.padding_position is not None:
            positions = np.concatenate([encoder.padding_position[None], positions])
            padding_id = [self.store("embeddings.padding_id", np.array([encoder.padding_id], np.int64))]
        inputs = [
            "input_ids",
            "attention_mask",
            self.store("embeddings.words", words),
            self.store("embeddings.word_scale", scale),
            self.store("embeddings.positions", positions),
            *self._norm("embeddings.norm", encoder.norm),
            *padding_id,
        ]
        return self.node("TokenEmbeddings", inputs, "embeddings", epsilon=encoder.epsilon)

    def layer(self, name: str, layer: Layer) -> list[str]:
        """Store a layer's parameters."""
        return [
            *self._linear(f"{name}.qkv", layer.qkv),
            *self._linear(f"{name}.output", layer.output),
            *self._norm(f"{name}.attention_norm", layer.attention_norm),
            *self._linear(f"{name}.up", layer.up),
            *self._linear(f"{name}.down", layer.down),
            *self._norm(f"{name}.output_norm", layer.output_norm),
        ]

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Store an array."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node of our own domain; the name of its output."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, domain=functions.DOMAIN, **attributes)
        )
        return output

    def _linear(self, name: str, linear: Linear) -> list[str]:
        weight: NDArray[Any] = linear.weight
        scale, total = np.ones_like(linear.bias), weight.sum(axis=0)
        if self._quantized:
            weight, scale, total = quantize_channels(weight)
        arrays = {"weight": weight, "scale": scale, "sum": total, "bias": linear.bias}
        return [self.store(f"{name}.{part}", array) for part, array in arrays.items()]

    def _norm(self, name: str, norm: Norm) -> list[str]:
        return [self.store(f"{name}.gamma", norm.gamma), self.store(f"{name}.beta", norm.beta)]
