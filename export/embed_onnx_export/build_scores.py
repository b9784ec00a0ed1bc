"""The stages that make the artifact of a model that scores texts, in order; its manifest comes last."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import HEAD, Facts, Manifest, Quantization
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.outputs import Scores
from embed_onnx.models import pairs, tasks
from embed_onnx_export import build, calibration, parity, score_parity
from embed_onnx_export.build import FLOAT32_GRAPH, NATIVE, PYTORCH
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import cross_encoder, tokenizer_file
from embed_onnx_export.checkpoint.cross_encoder import CrossEncoder
from embed_onnx_export.checkpoint.files import way_out
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.checkpoint.tokenizer_classes import UnknownTokenizer
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders, head_graph, onnx_file, quantize
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.head_graph import Dense


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
    model, original = _load(entry, checkpoint)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        show("exporting")
        graph = Path(scratch) / "float32.onnx"
        if isinstance(model.encoder, str):
            model = PYTORCH.write_scorer(model, original, checkpoint.source.repo, graph)
        else:
            encoders.write_float32(model.encoder, graph)
        onnx_file.copy(graph, folder)
        if model.head:
            first = model.head[0]
            assert isinstance(first, Dense)  # noqa: S101 - as every classifier begins
            head_graph.write(model.head, first.weight.shape[1], folder / HEAD)
        tokenizer_file.write(model.tokenizer, folder)
        build.copy_license(checkpoint, folder)
        show("checking")
        facts = _facts(entry, checkpoint, model, folder)
        if pairs.template(parity.load_tokenizer(folder, facts)) is None:
            facts = replace(facts, output=replace(facts.scores, pairs=False))
        _check_task(entry, facts.scores)
        name, score = _original(checkpoint, folder, facts)
        reference = score_parity.reference(facts.scores, score)
        facts = build.measured(replace(facts, reference=name), reference, folder, score_parity.measure)
        if entry.precision == "int8":
            show("quantizing")
            quantization = _quantize(model, graph, folder, facts, samples or calibration.default())
            packed = not isinstance(model.encoder, str)
            facts = replace(facts, precision="int8", quantization=quantization, packed=packed)
            show("comparing")
            facts = build.measured(facts, reference, folder, score_parity.measure)
    return build.write_manifest(facts, folder)


def _load(entry: Entry, checkpoint: Checkpoint) -> tuple[CrossEncoder, Any]:
    """The model of its files, or where they do not say enough of a graph, in PyTorch, which comes with it."""
    repo, reason = checkpoint.source.repo, "its graph is that of the exporter torch"
    if entry.exporter == "optimum":
        raise ExportError(
            f"{repo} scores texts, which the exporter optimum cannot write; take exporter=optimum away"
        )
    if entry.exporter != "torch":
        try:
            return cross_encoder.read(checkpoint), None
        except (UnknownFamily, UnknownTokenizer) as err:
            reason = str(err)
    if entry.exporter == NATIVE:
        raise ExportError(
            f"{repo} cannot be exported by the exporter native: {reason}; choose the exporter torch, which "
            "takes any architecture"
        )
    if PYTORCH is None:
        raise ExportError(f"{repo} cannot be exported without PyTorch: {reason}; {way_out()}")
    model: tuple[CrossEncoder, Any] = PYTORCH.load_scorer(checkpoint, reason)
    return model


def _quantize(model: CrossEncoder, graph: Path, folder: Path, facts: Facts, samples: Texts) -> Quantization:
    """Write the int8 file: of the transformer that we know, or else of the float32 graph as it is.

    The first is calibrated on what the model will read: pairs, or texts if it takes no pairs.
    """
    output, encoder = folder / manifest.MODEL, model.encoder
    if isinstance(encoder, str):
        return replace(quantize.quantize(graph, output, classifier=model.in_graph), no_kernel=encoder)
    tokenizer = parity.load_tokenizer(folder, facts)
    if facts.scores.pairs:
        ids = score_parity.neighbours(samples.texts, tokenizer)
    else:
        ids = calibration.token_ids(samples, tokenizer, [])
    return build.write_int8(encoder, ids, samples, output)


def _check_task(entry: Entry, output: Scores) -> None:
    """Refuse the task of a line that the model does not do."""
    if entry.overrides.task != "rerank" or "rerank" in tasks.of(output):
        return
    labels = len(output.labels)
    reason = f"has {labels}" if labels > 1 else "has a tokenizer whose pairs of texts are not served"
    raise ExportError(
        f"task=rerank is for models of one label, and {entry.repo} {reason}; write task=classify, or take "
        "task= away"
    )


def _original(checkpoint: Checkpoint, folder: Path, facts: Facts) -> tuple[str, score_parity.Score]:
    """What artifacts are compared with, and its name: the model in PyTorch, or the float32 artifact."""
    if PYTORCH is None:
        return FLOAT32_GRAPH, score_parity.of_artifact(folder, facts)
    return PYTORCH.REFERENCE, PYTORCH.score(checkpoint)


def _facts(entry: Entry, checkpoint: Checkpoint, model: CrossEncoder, folder: Path) -> Facts:
    return build.float32_facts(
        entry,
        checkpoint,
        folder,
        exporter="torch" if isinstance(model.encoder, str) else NATIVE,
        output=model.scores,
        max_tokens=model.max_tokens,
        modules=model.modules,
        truncation_side=model.truncation_side,
    )
