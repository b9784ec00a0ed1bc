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

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.graph import balance, onnx_file
from embed_onnx_export.graph.bert import functions, products
from embed_onnx_export.graph.bert.families import Encoder, Layer
from embed_onnx_export.graph.bert.products import LayerProducts
from embed_onnx_export.graph.int8 import quantize_rows
from embed_onnx_export.graph.nodes import IDS, Nodes

TYPES = "token_type_ids"
"""The third input of models of pairs whose second texts have tokens of type 1."""


def write(encoder: Encoder, layers: Sequence[LayerProducts], output: Path) -> Quantization:
    """Write the int8 file with these products; says how it was made."""
    onnx_file.save(build(encoder, quantized=True, layers=layers), output)
    return replace(functions.QUANTIZATION, kernel_activation_bits=8)


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
    return parts.nodes.model(_inputs(encoder), {states: encoder.words.shape[1]}, texts)


def embeddings(encoder: Encoder) -> onnx.ModelProto:
    """The file of the float32 embeddings alone: input_ids, attention_mask -> states, all of first texts."""
    encoder = replace(encoder, second_positions=None)
    parts = _Parts(encoder)
    states = parts.embeddings(quantized=False)
    return parts.nodes.model(IDS, {states: encoder.words.shape[1]}, _texts(encoder, quantized=False))


def observed_layer(encoder: Encoder, layer: Layer) -> onnx.ModelProto:
    """The file of one float32 layer: states, attention_mask -> states, and ``functions.OBSERVED``."""
    parts = _Parts(encoder)
    width, inner = layer.up.weight.shape
    inputs = (layer.output.weight.shape[0], width, inner)
    widths = {"y": width, **dict(zip(functions.OBSERVED, inputs, strict=True))}
    parts.layer("layer", layer, products.float32(layer), "states", list(widths))
    inputs_of_layer = {"states": width, "attention_mask": None}
    return parts.nodes.model(inputs_of_layer, widths, _texts(encoder, quantized=False, observed=True))


def _inputs(encoder: Encoder) -> dict[str, int | None]:
    """The inputs of an encoder's whole file."""
    return IDS if encoder.second_positions is None else {**IDS, TYPES: None}


def _texts(encoder: Encoder, *, quantized: bool, balanced: bool = False, observed: bool = False) -> list[str]:
    """The functions that a file needs."""
    relative = encoder.relative_bias is not None
    return [
        functions.token_embeddings(
            after_padding=encoder.padding_position is not None,
            balanced=quantized,
            types=encoder.second_positions is not None,
        ),
        functions.encoder_layer(encoder.activation, relative=relative, balanced=balanced, observed=observed),
        *functions.linear(quantized=quantized),
        functions.ATTENTION_BIAS,
        *([functions.RELATIVE_ATTENTION_BIAS] if relative else []),
        functions.SEQUENCES,
        functions.ONLY_TOKENS,
    ]


class _Parts:
    """The nodes of an encoder's file."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.nodes = Nodes()

    def embeddings(self, *, quantized: bool) -> str:
        """Add the node of the embeddings; the name of its states."""
        encoder, nodes = self._encoder, self.nodes
        words: NDArray[Any] = encoder.words
        scale = np.ones((len(words), 1), np.float32)
        positions, optional = encoder.positions, ["", "", ""]
        if encoder.second_positions is not None:
            positions, optional[2] = np.concatenate([positions, encoder.second_positions]), TYPES
        if encoder.padding_position is not None:
            positions = np.concatenate([encoder.padding_position[None], positions])
            optional[0] = nodes.store("embeddings.padding_id", np.array([encoder.padding_id], np.int64))
        if quantized:
            factors = balance.of_table(encoder.words)
            words, scale = quantize_rows(encoder.words / factors)
            optional[1] = nodes.store("embeddings.word_factors", factors)
        while optional and not optional[-1]:
            optional.pop()
        inputs = [
            "input_ids",
            "attention_mask",
            nodes.store("embeddings.words", words),
            nodes.store("embeddings.word_scale", scale),
            nodes.store("embeddings.positions", positions),
            *nodes.norm("embeddings.norm", encoder.norm),
            *optional,
        ]
        return nodes.add("TokenEmbeddings", inputs, "embeddings", epsilon=encoder.epsilon)

    def layer(
        self, name: str, layer: Layer, of_layer: LayerProducts, states: str, outputs: Sequence[str]
    ) -> None:
        """Add a layer's node, from ``states`` to ``outputs``."""
        encoder, nodes = self._encoder, self.nodes
        inputs = [
            states,
            "attention_mask",
            *nodes.product(f"{name}.qkv", of_layer.qkv),
            *nodes.product(f"{name}.output", of_layer.output),
            *nodes.norm(f"{name}.attention_norm", layer.attention_norm),
            *nodes.product(f"{name}.up", of_layer.up),
            *nodes.product(f"{name}.down", of_layer.down),
            *nodes.norm(f"{name}.output_norm", layer.output_norm),
            "" if encoder.relative_bias is None else nodes.store("relative_bias", encoder.relative_bias),
        ]
        factors = of_layer.factors
        if factors is not None:
            inputs += [
                nodes.store(f"{name}.qkv_factors", factors.qkv),
                nodes.store(f"{name}.up_factors", factors.up),
            ]
        elif not inputs[-1]:
            inputs.pop()
        nodes.add(
            "EncoderLayer",
            inputs,
            *outputs,
            num_heads=encoder.num_heads,
            epsilon=encoder.epsilon,
            activation=encoder.activation,
        )
