"""model.onnx of a ModernBERT: the words' rows, then ``TokenNorm`` and ``RotaryLayer`` by turns.

    input_ids, attention_mask int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]

Positions are angles, so that words need no table of them: a row of words is looked up by standard operators
that round nothing differently anywhere.
"""

from pathlib import Path

import onnx
from msgspec.structs import replace

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.graph import balance, int8, onnx_file
from embed_onnx_export.graph.bert import functions, products
from embed_onnx_export.graph.bert.families import Norm
from embed_onnx_export.graph.modernbert import functions as modern_functions
from embed_onnx_export.graph.modernbert.checkpoint import Layer, ModernBert
from embed_onnx_export.graph.nodes import IDS, Nodes


def write(encoder: ModernBert, output: Path) -> Quantization:
    """Write the int8 file; says how it was made."""
    onnx_file.save(build(encoder, quantized=True), output)
    return replace(functions.QUANTIZATION, kernel_activation_bits=8)


def build(encoder: ModernBert, *, quantized: bool) -> onnx.ModelProto:
    """The whole file, with int8 weights or with the float32 ones that it is checked with."""
    file = _File(encoder, quantized=quantized)
    states = file.norm("embeddings", encoder.norm, file.words())
    for number, layer in enumerate(encoder.layers):
        states = file.layer(f"layers.{number}", layer, states)
    return file.model(file.norm("last_hidden_state", encoder.final_norm, states))


class _File:
    def __init__(self, encoder: ModernBert, *, quantized: bool) -> None:
        self._encoder = encoder
        self._quantized = quantized
        self._nodes = Nodes()

    def words(self) -> str:
        """Add the look-up of the words' rows; the name of what it gives."""
        nodes, words = self._nodes, self._encoder.words
        if not self._quantized:
            return nodes.add_standard("Gather", [nodes.store("words", words), "input_ids"], "rows")
        factors = balance.of_table(words)
        values, scale = int8.quantize_rows(words / factors)
        nodes.add_standard("Gather", [nodes.store("words", values), "input_ids"], "row_integers")
        nodes.add_standard("Gather", [nodes.store("word_scale", scale), "input_ids"], "row_scales")
        nodes.add_standard("Cast", ["row_integers"], "unscaled_rows", to=onnx.TensorProto.FLOAT)
        nodes.add_standard("Mul", ["unscaled_rows", "row_scales"], "balanced_rows")
        return nodes.add_standard("Mul", ["balanced_rows", nodes.store("word_factors", factors)], "rows")

    def norm(self, name: str, norm: Norm, states: str) -> str:
        """Add a normalization of states; the name of what it gives."""
        arrays = self._nodes.norm(name, norm)
        return self._nodes.add(
            "TokenNorm", [states, "attention_mask", *arrays], name, epsilon=self._encoder.epsilon
        )

    def layer(self, name: str, layer: Layer, states: str) -> str:
        """Add a layer; the name of the states that it gives."""
        nodes, encoder = self._nodes, self._encoder
        normal = states if layer.norm is None else self.norm(f"{name}.normal", layer.norm, states)
        of_layer = products.nearest(layer) if self._quantized else products.float32(layer)
        angles = encoder.angles[layer.kind]
        inputs = [
            states,
            normal,
            "attention_mask",
            nodes.store(f"{layer.kind}.cosines", angles.cosines),
            nodes.store(f"{layer.kind}.sines", angles.sines),
            *nodes.product(f"{name}.qkv", of_layer.qkv),
            *nodes.product(f"{name}.output", of_layer.output),
            *nodes.norm(f"{name}.attention_norm", layer.attention_norm),
            *nodes.product(f"{name}.up", of_layer.up),
            *nodes.product(f"{name}.down", of_layer.down),
        ]
        return nodes.add(
            "RotaryLayer",
            inputs,
            name,
            num_heads=encoder.num_heads,
            epsilon=encoder.epsilon,
            activation=encoder.activation,
            window=layer.window,
        )

    def model(self, states: str) -> onnx.ModelProto:
        """The file whose output are these states."""
        encoder = self._encoder
        return self._nodes.model(
            IDS,
            {states: encoder.words.shape[1]},
            [
                modern_functions.TOKEN_NORM,
                modern_functions.rotary_layer(encoder.activation),
                modern_functions.ROTATE,
                modern_functions.WINDOW_BIAS,
                *functions.linear(quantized=self._quantized),
                functions.SEQUENCES,
                functions.ONLY_TOKENS,
            ],
        )
