"""The stages that make one artifact, in order."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Dense, Manifest, Parity, Quantization
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import parity
from embed_onnx_export.artifact import RECIPE
from embed_onnx_export.checkpoint import head, static, tokenizer
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import onnx_file, quantize
from embed_onnx_export.graph.bert import encoder_graph, families
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.exporters import optimum


def build(entry: Entry, checkpoint: Checkpoint, folder: Path, show: Callable[[str], None]) -> Manifest:
    """Fill an empty folder with an artifact, telling ``show`` of each stage.

    Raises:
        ExportError: The checkpoint is not supported, or came out too far from the original.
    """
    show("loading")
    original = load_original(checkpoint)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        show("exporting")
        graph = Path(scratch) / "optimized.onnx"
        original = _export(original, checkpoint, graph)
        onnx_file.copy(graph, folder)
        if original.head:
            head.write(original.head, original.pooled, folder / manifest.HEAD)
        _write_tokenizer(original, folder)
        _copy_license(checkpoint, folder)
        show("checking")
        expected = parity.reference(original)
        made = _draft(entry, checkpoint, original, manifest.model_bytes(folder))
        operators = native.find("off")
        made = replace(made, parity=parity.measure(expected, folder, made, operators))
        if entry.precision == "int8":
            show("quantizing")
            quantization = _quantize(original, graph, folder / manifest.MODEL)
            packed = quantization.kernel_activation_bits is not None
            made = replace(made, precision="int8", quantization=quantization, packed=packed)
            show("comparing")
            made = replace(made, parity=parity.measure(expected, folder, made, operators))
            kernels = native.find().of(made)
            if kernels.library is not None:
                made = replace(made, kernel_parity=parity.measure(expected, folder, made, kernels))
    made = replace(made, sha256={path.name: manifest.sha256(path) for path in sorted(folder.iterdir())})
    manifest.write(made, folder)
    return made


def _export(original: Original, checkpoint: Checkpoint, graph: Path) -> Original:
    """Write the float32 graph of token states: the transformer, or the table of embeddings.

    The original, its first module with a note if long texts need much memory.
    """
    module = original.torch[0]
    if original.static:
        static.write_graph(module, graph)
        return original
    try:
        tokenizer.check(module)
        tokenizer.check_converted(module.tokenizer, original.folder, parity.sentences())
        quadratic = optimum.to_onnx(module, graph, max_tokens=tokenizer.max_tokens(module))
    except ExportError as err:
        raise ExportError(f"{checkpoint.source.repo} cannot be exported: {err}") from err
    if quadratic is None:
        return original
    first, *others = original.modules
    note = f"attention needs memory in proportion to the square of a text's tokens, as {quadratic}"
    return replace(original, modules=(replace(first, note=note), *others))


def _write_tokenizer(original: Original, folder: Path) -> None:
    if original.static:
        static.write_tokenizer(original.torch[0], folder)
    else:
        tokenizer.write(original.torch.tokenizer.backend_tokenizer, folder)


def _quantize(original: Original, graph: Path, output: Path) -> Quantization:
    """Write the int8 file: the one that our native kernels know, if the model is of the BERT family."""
    if original.static:
        return static.quantize_graph(graph, output)
    try:
        encoder = families.read(original.torch[0].auto_model)
    except UnknownFamily as err:
        return replace(quantize.quantize(graph, output), no_kernel=str(err))
    encoder_graph.check(encoder, graph)
    return encoder_graph.write(encoder, output)


def _draft(entry: Entry, checkpoint: Checkpoint, original: Original, float32_bytes: int) -> Manifest:
    """The manifest of a float32 artifact that has not been compared or hashed yet."""
    return Manifest(
        name=entry.name,
        created=int(time.time()),
        source=checkpoint.source,
        recipe=RECIPE,
        output=Dense(
            dimensions=original.dimensions,
            matryoshka=original.matryoshka,
            pooling=original.pooling,
            include_prompt=original.include_prompt,
            normalize=original.normalize,
        ),
        max_tokens=original.max_tokens,
        modules=original.modules,
        static=original.static,
        truncation_side=original.truncation_side,
        prompts=original.prompts,
        default_prompt=original.default_prompt,
        precision="float32",
        parity=Parity(texts=0, cosine_mean=0.0, cosine_min=0.0),
        float32_bytes=float32_bytes,
        sha256={},
    )


def _copy_license(checkpoint: Checkpoint, folder: Path) -> None:
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
        if (checkpoint.folder / name).is_file():
            shutil.copy(checkpoint.folder / name, folder / manifest.LICENSE)
            return
