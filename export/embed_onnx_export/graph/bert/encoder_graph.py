"""model.onnx of the BERT family: ``TokenEmbeddings``, then one ``EncoderLayer`` a layer.

    input_ids, attention_mask int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]

What the two compute, and what masks mean, is in ``functions``. The same text with float32 weights is
compared with optimum's graph of the original first, so that what is quantised is known to be it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from msgspec.structs import replace
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.bert.families import Encoder, Layer, Linear, Norm
from embed_onnx_export.graph.int8 import quantize_channels, quantize_rows

TOLERANCE = 1e-4
"""Of the largest state: two orders of summing float32 differ by a hundredth of it."""
COMPARED_TOKENS = (1, 2, 7, 24, 128, 512)
PADDING_SHARE = 0.2
"""Of the ids of one comparison: a text may hold the padding token, and has it attended to."""


def write(encoder: Encoder, output: Path) -> Quantization:
    """Write the int8 file; says how it was made."""
    onnx_file.save(build(encoder, quantized=True), output)
    return replace(functions.QUANTIZATION, kernel_activation_bits=8)


def check(encoder: Encoder, original: Path) -> None:
    """Compare the float32 form with optimum's graph: sequences alone, and padded ones.

    Raises:
        ExportError: The states are too far apart.
    """
    with TemporaryDirectory(dir=original.parent) as scratch:
        path = Path(scratch) / "float32.onnx"
        onnx_file.save(build(encoder, quantized=False), path)
        ours, theirs = onnx_file.session(path), onnx_file.session(original)
        for ids, mask in _inputs(encoder):
            actual, expected = onnx_file.states(ours, ids, mask), onnx_file.states(theirs, ids, mask)
            apart = float(np.abs(actual - expected)[mask != 0].max())
            largest = float(np.abs(expected[mask != 0]).max())
            if not apart <= TOLERANCE * largest:  # so that NaN does not pass
                raise ExportError(
                    f"the rewritten encoder is not its original: states of {ids.shape[1]} tokens are "
                    f"{apart:.2g} apart, and the limit is {TOLERANCE * largest:.2g}; report this as a bug, "
                    "and set precision=float32 on its line meanwhile"
                )


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


def _inputs(encoder: Encoder) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Token ids and masks [batch, tokens]: a sequence of each length, then all but the longest together.

    The last are the longest again, with padding ids between its others.
    """
    draw = np.random.default_rng(0)
    ids = np.array([number for number in range(len(encoder.words)) if number != encoder.padding_id])
    lengths = sorted({min(length, len(encoder.positions)) for length in COMPARED_TOKENS})
    alone = [np.ones((1, length), np.int64) for length in lengths]
    together = (np.arange(max(lengths[:-1])) < np.array(lengths[:-1])[:, None]).astype(np.int64)
    inputs = [(draw.choice(ids, mask.shape), mask) for mask in (*alone, together)]
    longest = alone[-1]
    if encoder.padding_id is not None:
        written = np.where(draw.random(longest.shape) < PADDING_SHARE, encoder.padding_id, inputs[-2][0])
        inputs.append((written, longest))
    return inputs
