"""The stages that make the artifact of a model of token vectors, in order; its manifest comes last."""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import HEAD, Facts, Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import build, calibration, token_parity
from embed_onnx_export.build import FLOAT32_GRAPH, NATIVE, PYTORCH
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import multi_vector_encoder, tokenizer_file
from embed_onnx_export.checkpoint.multi_vector_encoder import MultiVectorEncoder
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders, head_graph


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
            f"{checkpoint.source.repo} is a model of token vectors, which the exporter {entry.exporter} "
            "cannot write; take exporter= away"
        )
    model = multi_vector_encoder.read(checkpoint, strict=PYTORCH is None)  # or it is compared with PyTorch
    show("exporting")
    encoders.write_float32(model.encoder, folder / manifest.MODEL)
    if model.head:
        head_graph.write(model.head, model.encoder.words.shape[1], folder / HEAD, by_token=True)
    tokenizer_file.write(model.tokenizer, folder)
    build.copy_license(checkpoint, folder)
    show("checking")
    facts = build.native_facts(entry, checkpoint, folder, model)
    name, embed = _original(checkpoint, model, folder, facts)
    reference = token_parity.reference(model.tokenizer, embed)
    facts = build.measured(replace(facts, reference=name), reference, folder, token_parity.measure)
    if entry.precision == "int8":
        show("quantizing")
        facts = build.quantized(model.encoder, folder, facts, samples or calibration.default())
        show("comparing")
        facts = build.measured(facts, reference, folder, token_parity.measure)
    return build.write_manifest(facts, folder)


def _original(
    checkpoint: Checkpoint, model: MultiVectorEncoder, folder: Path, facts: Facts
) -> tuple[str, token_parity.EmbedTokens]:
    """What artifacts are compared with, and its name: the model in PyTorch, or the float32 artifact."""
    if PYTORCH is None:
        return FLOAT32_GRAPH, token_parity.of_artifact(folder, facts)
    return PYTORCH.REFERENCE, PYTORCH.embed_tokens(checkpoint, model.max_tokens)
