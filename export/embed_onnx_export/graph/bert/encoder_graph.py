"""model.onnx of the BERT family: ``TokenEmbeddings``, then one ``EncoderLayer`` a layer.

    input_ids, attention_mask int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]

What the two compute, and what masks mean, is in ``functions``. The same text with float32 weights is the file
of that precision. Where there is PyTorch it is compared with the original, so that what is quantised is known
to be it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from msgspec.structs import replace
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import balance, compare, onnx_file
from embed_onnx_export.graph.bert import functions, products
from embed_onnx_export.graph.bert.families import Encoder, Layer, Norm
from embed_onnx_export.graph.bert.products import LayerProducts, Product
from embed_onnx_export.graph.int8 import quantize_rows

TOLERANCE = 1e-4
"""Of the largest state: two orders of summing float32 differ by a hundredth of it."""
BATCH = 5
"""So many of the shortest texts are compared together as well, with padding."""


def write(encoder: Encoder, layers: Sequence[LayerProducts], output: Path) -> Quantization:
    """Write the int8 file with these products; says how it was made."""
    onnx_file.save(build(encoder, quantized=True, layers=layers), output)
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


def build(
    encoder: Encoder, *, quantized: bool, layers: Sequence[LayerProducts] | None = None
) -> onnx.ModelProto:
    """The whole file, with int8 weights or with the float32 ones that it is checked with.

    ``layers`` are the products of calibrated int8 weights; without them, weights are rounded to the nearest.
    """
    if layers is None:
        make = products.nearest if quantized else products.float32
        layers = [make(layer) for layer in encoder.layers]
    parts = _Parts(encoder)
    states = parts.embeddings(quantized=quantized)
    for number, (layer, of_layer) in enumerate(zip(encoder.layers, layers, strict=True)):
        last = number == len(encoder.layers) - 1
        name = f"layers.{number}"
        output = "last_hidden_state" if last else name
        parts.layer(name, layer, of_layer, states, [output])
        states = output
    balanced = any(of_layer.factors is not None for of_layer in layers)
    texts = _texts(encoder, quantized=quantized, balanced=balanced)
    return parts.model(IDS, {states: encoder.words.shape[1]}, texts)


def embeddings(encoder: Encoder) -> onnx.ModelProto:
    """The file of the float32 embeddings alone: input_ids, attention_mask -> states."""
    parts = _Parts(encoder)
    states = parts.embeddings(quantized=False)
    return parts.model(IDS, {states: encoder.words.shape[1]}, _texts(encoder, quantized=False))


def observed_layer(encoder: Encoder, layer: Layer) -> onnx.ModelProto:
    """The file of one float32 layer: states, attention_mask -> states, and ``functions.OBSERVED``."""
    parts = _Parts(encoder)
    width, inner = layer.up.weight.shape
    inputs = (layer.output.weight.shape[0], width, inner)
    widths = {"y": width, **dict(zip(functions.OBSERVED, inputs, strict=True))}
    parts.layer("layer", layer, products.float32(layer), "states", list(widths))
    return parts.model(STATES, widths, _texts(encoder, quantized=False, observed=True))


IDS = ("input_ids", "attention_mask")
"""The inputs of a whole file."""
STATES = ("states", "attention_mask")
"""The inputs of a layer alone."""


def _texts(encoder: Encoder, *, quantized: bool, balanced: bool = False, observed: bool = False) -> list[str]:
    """The functions that a file needs."""
    relative = encoder.relative_bias is not None
    linear = [functions.LINEAR_FLOAT32]
    if quantized:
        linear = [functions.LINEAR_INT8, functions.QUANTIZE_TOKENS, functions.MATMUL_TOKENS]
    return [
        functions.token_embeddings(after_padding=encoder.padding_position is not None, balanced=quantized),
        functions.encoder_layer(encoder.activation, relative=relative, balanced=balanced, observed=observed),
        *linear,
        functions.ATTENTION_BIAS,
        *([functions.RELATIVE_ATTENTION_BIAS] if relative else []),
        functions.SEQUENCES,
        functions.ONLY_TOKENS,
    ]


class _Parts:
    """Nodes and initializers; what stores arrays returns their names in the order of a node's inputs."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def model(self, inputs: Sequence[str], outputs: dict[str, int], texts: list[str]) -> onnx.ModelProto:
        """The file of the nodes, with these functions; ``outputs`` are the widths of states by name."""
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [self._input(name) for name in inputs],
            [_states(name, width) for name, width in outputs.items()],
            list(self._initializers.values()),
        )
        return helper.make_model(
            graph,
            functions=[parser.parse_function(text) for text in texts],
            opset_imports=[
                helper.make_opsetid("", functions.OPSET),
                helper.make_opsetid(functions.DOMAIN, 1),
            ],
            ir_version=functions.IR_VERSION,
        )

    def embeddings(self, *, quantized: bool) -> str:
        """Add the node of the embeddings; the name of its states."""
        encoder, states = self._encoder, "embeddings"
        words: NDArray[Any] = encoder.words
        scale = np.ones((len(words), 1), np.float32)
        positions, optional = encoder.positions, []
        if encoder.padding_position is not None:
            positions = np.concatenate([encoder.padding_position[None], positions])
            optional = [self._store("embeddings.padding_id", np.array([encoder.padding_id], np.int64))]
        if quantized:
            factors = balance.of_table(encoder.words)
            words, scale = quantize_rows(encoder.words / factors)
            optional = [*(optional or [""]), self._store("embeddings.word_factors", factors)]
        inputs = [
            "input_ids",
            "attention_mask",
            self._store("embeddings.words", words),
            self._store("embeddings.word_scale", scale),
            self._store("embeddings.positions", positions),
            *self._norm("embeddings.norm", encoder.norm),
            *optional,
        ]
        self._node("TokenEmbeddings", inputs, [states], epsilon=encoder.epsilon)
        return states

    def layer(
        self, name: str, layer: Layer, of_layer: LayerProducts, states: str, outputs: Sequence[str]
    ) -> None:
        """Add a layer's node, from ``states`` to ``outputs``."""
        encoder = self._encoder
        inputs = [
            states,
            "attention_mask",
            *self._product(f"{name}.qkv", of_layer.qkv),
            *self._product(f"{name}.output", of_layer.output),
            *self._norm(f"{name}.attention_norm", layer.attention_norm),
            *self._product(f"{name}.up", of_layer.up),
            *self._product(f"{name}.down", of_layer.down),
            *self._norm(f"{name}.output_norm", layer.output_norm),
            "" if encoder.relative_bias is None else self._store("relative_bias", encoder.relative_bias),
        ]
        factors = of_layer.factors
        if factors is not None:
            inputs += [
                self._store(f"{name}.qkv_factors", factors.qkv),
                self._store(f"{name}.up_factors", factors.up),
            ]
        elif not inputs[-1]:
            inputs.pop()
        self._node(
            "EncoderLayer",
            inputs,
            outputs,
            num_heads=encoder.num_heads,
            epsilon=encoder.epsilon,
            activation=encoder.activation,
        )

    def _input(self, name: str) -> onnx.ValueInfoProto:
        if name == "states":
            return _states(name, self._encoder.words.shape[1])
        return helper.make_tensor_value_info(name, TensorProto.INT64, BATCH_AND_TOKENS)

    def _store(self, name: str, array: NDArray[Any]) -> str:
        """Store an array, once."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node of our own domain."""
        self._nodes.append(
            helper.make_node(kind, inputs, outputs, name=outputs[0], domain=functions.DOMAIN, **attributes)
        )

    def _product(self, name: str, product: Product) -> list[str]:
        arrays = {part: getattr(product, part) for part in ("weight", "scale", "sum", "bias")}
        return [self._store(f"{name}.{part}", array) for part, array in arrays.items()]

    def _norm(self, name: str, norm: Norm) -> list[str]:
        return [self._store(f"{name}.gamma", norm.gamma), self._store(f"{name}.beta", norm.beta)]


BATCH_AND_TOKENS = ("batch", "tokens")


def _states(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [*BATCH_AND_TOKENS, width])
