"""The transformers whose graphs are written from their weights: BERT's family, and ModernBERT."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, onnx_file
from embed_onnx_export.graph.bert import calibration, encoder_graph, families
from embed_onnx_export.graph.modernbert import checkpoint as modernbert
from embed_onnx_export.graph.modernbert import encoder_graph as modernbert_graph
from embed_onnx_export.graph.modernbert.checkpoint import ModernBert

Encoder = families.Encoder | ModernBert
TOLERANCE = 1e-4
"""Of the largest state: two orders of summing float32 differ by a hundredth of it."""
BATCH = 5
"""So many of the shortest texts are compared together as well, with padding."""


def class_name(config: dict[str, Any]) -> str:
    """The name of its class in transformers.

    Raises:
        UnknownFamily: Its graph is not written here.
    """
    if config.get("model_type") == modernbert.MODEL_TYPE:
        return modernbert.CLASS
    return families.family_of(config).name


def read(
    config: dict[str, Any], arrays: dict[str, NDArray[Any]], *, strict: bool, types: bool = False
) -> Encoder:
    """The encoder that a config and the parameters of its file are.

    ``strict`` refuses fields of the config that are not known; without, a comparison has to show that they
    change nothing. ``types``: second texts of pairs have tokens of type 1, where the family has types.

    Raises:
        UnknownFamily: It has what is not read.
    """
    if config.get("model_type") == modernbert.MODEL_TYPE:
        return modernbert.read(config, arrays, strict=strict)
    return families.read(config, arrays, strict=strict, types=types)


def max_positions(config: dict[str, Any], encoder: Encoder) -> int:
    """How many tokens have positions."""
    if isinstance(encoder, ModernBert):
        return encoder.positions
    return families.max_positions(config, encoder)


def is_calibrated(encoder: Encoder) -> bool:
    """Whether its int8 weights are made with regard to sample texts."""
    return isinstance(encoder, families.Encoder)


def build(encoder: Encoder, *, quantized: bool) -> onnx.ModelProto:
    """The file of an encoder, with int8 weights that are rounded to the nearest, or with float32 ones."""
    if isinstance(encoder, ModernBert):
        return modernbert_graph.build(encoder, quantized=quantized)
    return encoder_graph.build(encoder, quantized=quantized)


def write_float32(encoder: Encoder, output: Path) -> None:
    """Write the float32 file."""
    onnx_file.save(build(encoder, quantized=False), output)


def write_int8(encoder: Encoder, samples: Sequence[Sequence[int]], output: Path) -> Quantization:
    """Write the int8 file, calibrated over the token ids of samples where it can be; says how it was made."""
    if isinstance(encoder, ModernBert):
        return modernbert_graph.write(encoder, output)
    return encoder_graph.write(encoder, calibration.calibrate(encoder, samples), output)


def check(encoder: Encoder, graph: Path, original: compare.Original) -> None:
    """Compare the float32 file of an encoder with its original: sequences alone, and padded ones.

    Raises:
        ExportError: The states are too far apart.
    """
    positions = encoder.positions if isinstance(encoder, ModernBert) else len(encoder.positions)
    alone = list(compare.inputs(len(encoder.words), encoder.padding_id, positions))
    batch = compare.together(alone[:BATCH])
    fault = compare.fault(graph, original, [*alone, batch], TOLERANCE)
    if fault:
        raise ExportError(f"the encoder's graph is not its original: it {fault}; report this as a bug")
