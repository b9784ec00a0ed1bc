"""The stages that make the artifact of a sparse model, in order; its manifest comes last."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import HEAD, QUERY_WEIGHTS, Facts, Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import build, calibration, parity, sparse_parity
from embed_onnx_export.build import FLOAT32_GRAPH, NATIVE, PYTORCH
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import sparse_encoder, tokenizer_file
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.checkpoint.sparse_encoder import SparseEncoder
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders, vocabulary_graph


def make(
    entry: Entry,
    checkpoint: Checkpoint,
    folder: Path,
    show: Callable[[str], None],
    samples: Texts | None = None,
) -> Manifest:
    """Fill an empty folder with an artifact, and call ``show`` with the name of each stage.

    ``samples`` are texts to calibrate on in place of those of this package.

    Raises:
        ExportError: The checkpoint is not supported, or came out too far from the original.
    """
    show("loading")
    if entry.exporter not in (None, NATIVE):
        raise ExportError(
            f"{checkpoint.source.repo} is a sparse model, which the exporter {entry.exporter} cannot write; "
            "take exporter= away"
        )
    model = sparse_encoder.read(checkpoint, strict=PYTORCH is None)  # or it is compared with PyTorch
    show("exporting")
    encoders.write_float32(model.encoder, folder / manifest.MODEL)
    vocabulary_graph.write(model.head, folder / HEAD, output=model.output, quantized=False)
    tokenizer_file.write(model.tokenizer, folder)
    if model.query_weights is not None:
        np.save(folder / QUERY_WEIGHTS, model.query_weights)
    build.copy_license(checkpoint, folder)
    show("checking")
    facts = build.native_facts(entry, checkpoint, folder, model)
    name, embed = _original(checkpoint, model, folder, facts)
    reference = parity.reference(model.prompts, model.tokenizer, embed)
    facts = build.measured(replace(facts, reference=name), reference, folder, sparse_parity.measure)
    if model.query_weights is not None and PYTORCH is not None:
        sparse_parity.check_queries(folder, facts, PYTORCH.embed_queries(checkpoint))
    if entry.precision == "int8":
        show("quantizing")
        vocabulary_graph.write(model.head, folder / HEAD, output=model.output, quantized=True)
        facts = build.quantized(model.encoder, folder, facts, samples or calibration.default())
        show("comparing")
        facts = build.measured(facts, reference, folder, sparse_parity.measure)
    return build.write_manifest(facts, folder)


def _original(
    checkpoint: Checkpoint, model: SparseEncoder, folder: Path, facts: Facts
) -> tuple[str, parity.Embed]:
    """What artifacts are compared with, and its name: the model in PyTorch, or the float32 artifact."""
    if PYTORCH is None:
        return FLOAT32_GRAPH, sparse_parity.of_artifact(folder, facts)
    return PYTORCH.REFERENCE, PYTORCH.embed_sparse(checkpoint, model.max_tokens)
