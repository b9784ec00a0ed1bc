"""The stages that make one artifact, in order; its manifest comes last, of the facts that they gathered."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Facts, Manifest, Module, Quantization
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import parity
from embed_onnx_export.artifact import RECIPE
from embed_onnx_export.checkpoint import overrides, static, tokenizer
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import onnx_file, quantize, states
from embed_onnx_export.graph.bert import encoder_graph
from embed_onnx_export.graph.bert.families import Encoder, UnknownFamily
from embed_onnx_export.graph.exporters import lookup
from embed_onnx_export.kinds import dense
from embed_onnx_export.parity import Reference


def build(entry: Entry, checkpoint: Checkpoint, folder: Path, show: Callable[[str], None]) -> Manifest:
    """Fill an empty folder with an artifact, and call ``show`` with the name of each stage.

    Raises:
        ExportError: The checkpoint is not supported, or came out too far from the original.
    """
    show("loading")
    original = load_original(checkpoint)
    overrides.check(
        entry.overrides,
        max_tokens=original.max_tokens,
        dimensions=original.dimensions,
        repo=checkpoint.source.repo,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        show("exporting")
        graph = Path(scratch) / "float32.onnx"
        modules = _write_states(original, checkpoint, graph)
        onnx_file.copy(graph, folder)
        dense.write_head(original, folder)
        _write_tokenizer(original, folder)
        _copy_license(checkpoint, folder)
        show("checking")
        reference = parity.reference(original)
        facts = _facts(entry, checkpoint, original, modules, float32_bytes=manifest.model_bytes(folder))
        facts = _measured(facts, reference, folder)
        if entry.precision == "int8":
            show("quantizing")
            rewritten = _rewrite(original, graph)
            quantization = _quantize(original, rewritten, graph, folder / manifest.MODEL)
            packed = isinstance(rewritten, Encoder)
            facts = replace(facts, precision="int8", quantization=quantization, packed=packed)
            show("comparing")
            facts = _measured(facts, reference, folder)
    return _write_manifest(facts, folder)


def _write_states(original: Original, checkpoint: Checkpoint, graph: Path) -> tuple[Module, ...]:
    """Write the float32 graph of token states: of the transformer, or of the table of embeddings.

    The modules for the manifest, the first with a note if long texts need much memory.
    """
    module = original.torch[0]
    if original.static:
        lookup.write(module, graph)
        return original.modules
    try:
        tokenizer.check(module)
        tokenizer.check_converted(module.tokenizer, original.folder, parity.sentences())
        quadratic = states.write(module, graph, max_tokens=tokenizer.max_tokens(module))
    except ExportError as err:
        raise ExportError(f"{checkpoint.source.repo} cannot be exported: {err}") from err
    if quadratic is None:
        return original.modules
    first, *others = original.modules
    note = f"attention needs memory in proportion to the square of a text's tokens, as {quadratic}"
    return (replace(first, note=note), *others)


def _write_tokenizer(original: Original, folder: Path) -> None:
    if original.static:
        static.write_tokenizer(original.torch[0], folder)
    else:
        tokenizer.write(original.torch.tokenizer.backend_tokenizer, folder)


def _copy_license(checkpoint: Checkpoint, folder: Path) -> None:
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
        if (checkpoint.folder / name).is_file():
            shutil.copy(checkpoint.folder / name, folder / manifest.LICENSE)
            return


def _rewrite(original: Original, graph: Path) -> Encoder | str:
    """The model in the form that our native kernels know, or why it has none."""
    if original.static:
        return "it has no transformer"
    try:
        return encoder_graph.rewrite(original.torch[0].auto_model, graph)
    except UnknownFamily as err:
        return str(err)


def _quantize(original: Original, rewritten: Encoder | str, graph: Path, output: Path) -> Quantization:
    """Write the int8 file: of the rewritten model, or else of the float32 graph as it is."""
    if isinstance(rewritten, Encoder):
        return encoder_graph.write(rewritten, output)
    write = lookup.quantize_table if original.static else quantize.quantize
    return replace(write(graph, output), no_kernel=rewritten)


def _facts(
    entry: Entry,
    checkpoint: Checkpoint,
    original: Original,
    modules: tuple[Module, ...],
    *,
    float32_bytes: int,
) -> Facts:
    """What is known of an artifact while it is float32 and was not measured."""
    return Facts(
        name=entry.name,
        created=int(time.time()),
        source=checkpoint.source,
        overrides=entry.overrides,
        recipe=RECIPE,
        output=dense.output(original),
        max_tokens=original.max_tokens,
        modules=modules,
        static=original.static,
        truncation_side=original.truncation_side,
        prompts=original.prompts,
        default_prompt=original.default_prompt,
        precision="float32",
        float32_bytes=float32_bytes,
    )


def _measured(facts: Facts, reference: Reference, folder: Path) -> Facts:
    """The facts with the parity of standard operators, and of our kernels where they run the model."""
    facts = replace(facts, parity=parity.measure(reference, folder, facts, native.find("off")))
    kernels = native.find().of(facts)
    if kernels.library is None:
        return facts
    return replace(facts, kernel_parity=parity.measure(reference, folder, facts, kernels))


def _write_manifest(facts: Facts, folder: Path) -> Manifest:
    """Write the manifest of a folder whose other files are all there."""
    hashes = {path.name: manifest.sha256(path) for path in sorted(folder.iterdir())}
    complete = Manifest(**msgspec.structs.asdict(facts), sha256=hashes)
    manifest.write(complete, folder)
    return complete
