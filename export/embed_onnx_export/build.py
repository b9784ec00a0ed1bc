"""The stages that make one artifact, in order; its manifest comes last, of the facts that they gathered."""

import importlib
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from embed_onnx import install
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import PARITIES, Facts, Manifest, Module, Quantization
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.parity import Measured
from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx_export import calibration, extras, parity, ranges
from embed_onnx_export.artifact import RECIPE
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import files, modules, overrides, tokenizer_file
from embed_onnx_export.checkpoint.description import Description, with_quadratic
from embed_onnx_export.checkpoint.multi_vector_encoder import MultiVectorEncoder
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.checkpoint.sparse_encoder import SparseEncoder
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders, onnx_file, quantize
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.exporters import lookup
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.long_texts.branches import SHORT
from embed_onnx_export.kinds import dense

if TYPE_CHECKING:
    from embed_onnx_export.checkpoint.original import Original

PYTORCH: Any = importlib.import_module("embed_onnx_export.pytorch") if extras.have_pytorch() else None
"""What runs the original, where PyTorch is installed. It is imported with this module: its libraries must be
there before an export takes up what they log."""
NATIVE: Final = "native"
"""The exporter that writes graphs from weights, without PyTorch."""
IN_PYTORCH = {"torch": "export", "optimum": "optimum"}
"""The exporters that trace a model in PyTorch, and the extras that have what they need."""
NO_BLOCKS = "a float32 graph of the weights alone has no blocks"
"""Why attention to long texts needs much memory there; the int8 kernels need none of it."""
FLOAT32_GRAPH = "float32 graph"
"""What artifacts are compared with where there is no PyTorch."""

R = TypeVar("R")
Measure = Callable[[R, Path, Facts, Kernels], Measured]
"""Compares an artifact folder, as some kernels run it, with what its original gave."""


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that was read: ``states`` is a transformer that we know, a table, or why it is neither.

    ``original`` is the model in PyTorch, where that is installed.
    """

    description: Description
    states: Encoder | Floats | str
    original: "Original | None"


def build(
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
    model = _load(entry, checkpoint)
    samples = samples or calibration.default()
    overrides.check(
        entry.overrides,
        max_tokens=model.description.max_tokens,
        dimensions=model.description.dimensions,
        repo=checkpoint.source.repo,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        show("exporting")
        graph = Path(scratch) / "float32.onnx"
        exporter, chain = _write_states(entry, model, checkpoint, graph)
        onnx_file.copy(graph, folder)
        dense.write_head(model.description, folder)
        tokenizer_file.write(model.description.tokenizer, folder)
        copy_license(checkpoint, folder)
        show("checking")
        facts = _facts(entry, checkpoint, model.description, folder)
        facts = replace(facts, exporter=exporter, modules=chain)
        reference_name, embed = _original(model, folder, facts)
        reference = parity.reference(model.description.prompts, model.description.tokenizer, embed)
        facts = replace(facts, reference=reference_name)
        if entry.precision == "float32" or model.original is not None:
            facts = measured(facts, reference, folder, parity.measure)
        if entry.precision == "int8":
            show("quantizing")
            facts = _int8(model, graph, folder, facts, samples)
            show("comparing")
            facts = measured(facts, reference, folder, parity.measure)
        ranges.write(folder, facts, samples)
    return write_manifest(facts, folder)


def _load(entry: Entry, checkpoint: Checkpoint) -> _Model:
    """The model: in PyTorch where that is installed, and of its files alone elsewhere."""
    if PYTORCH is None:
        if entry.exporter in IN_PYTORCH:
            own = " in an environment of its own" if entry.exporter == "optimum" else ""
            raise ExportError(
                f"the exporter {entry.exporter} needs {', '.join(extras.absent())}; install "
                f"{install.requirement(IN_PYTORCH[entry.exporter])}{own}, or choose the exporter native"
            )
        model = files.read(checkpoint, modules.read(checkpoint))
        return _Model(description=model.description, states=model.states, original=None)
    original = PYTORCH.load(checkpoint)
    return _Model(description=original, states=_native(entry, checkpoint, original), original=original)


def _native(entry: Entry, checkpoint: Checkpoint, original: "Original") -> Encoder | Floats | str:
    """What the exporter native writes a graph of, or why another exporter is to write it."""
    repo, chain = checkpoint.source.repo, modules.read(checkpoint)
    if files.is_static(chain):
        if entry.exporter in IN_PYTORCH:
            raise ExportError(
                f"{repo} is a table of embeddings, which the exporter {entry.exporter} cannot write; choose "
                "the exporter native"
            )
        return files.read(checkpoint, chain).states
    if entry.exporter in IN_PYTORCH:
        return f"its graph is that of the exporter {entry.exporter}"
    if entry.exporter is None and entry.precision == "float32" and _is_long(original):
        return NO_BLOCKS
    try:
        # What the config has besides is compared with PyTorch.
        return files.read_encoder(checkpoint, chain, strict=False)
    except UnknownFamily as err:
        if entry.exporter is None:
            return str(err)
        raise ExportError(
            f"{repo} cannot be exported by the exporter native: {err}; choose the exporter torch, which "
            "takes any architecture"
        ) from None


def _is_long(described: Description) -> bool:
    """Whether texts may be so long that exporters of PyTorch's graphs cut their attention into blocks."""
    return (described.max_tokens or 0) > SHORT


def _write_states(
    entry: Entry, model: _Model, checkpoint: Checkpoint, graph: Path
) -> tuple[str, tuple[Module, ...]]:
    """Write the float32 graph of token states: of the transformer, or of the table of embeddings.

    Returns the exporter that did, and the modules for the manifest.
    """
    states, original = model.states, model.original
    if isinstance(states, Encoder):
        encoders.write_float32(states, graph)
        if original is not None:
            encoders.check(states, graph, PYTORCH.states_of(original))
    elif not isinstance(states, str):
        lookup.write(states, graph)
    elif original is not None:
        exported: tuple[str, tuple[Module, ...]]
        exported = PYTORCH.write_states(original, checkpoint, graph, exporter=entry.exporter)
        return exported
    chain = model.description.modules
    noted = isinstance(states, Encoder) and entry.precision == "float32" and _is_long(model.description)
    return NATIVE, with_quadratic(chain, NO_BLOCKS) if noted else chain


def _original(model: _Model, folder: Path, facts: Facts) -> tuple[str, parity.Embed]:
    """What artifacts are compared with, and its name: the model in PyTorch, or the float32 artifact."""
    if model.original is None:
        return FLOAT32_GRAPH, parity.of_artifact(folder, facts)
    return PYTORCH.REFERENCE, PYTORCH.embed(model.original)


def copy_license(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the licence of a checkpoint into an artifact's folder, where it has one."""
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
        if (checkpoint.folder / name).is_file():
            shutil.copy(checkpoint.folder / name, folder / manifest.LICENSE)
            return


def _int8(model: _Model, graph: Path, folder: Path, facts: Facts, samples: Texts) -> Facts:
    """The facts of the int8 file: of the transformer that we know, or else of the float32 graph as it is."""
    if isinstance(model.states, Encoder):
        return quantized(model.states, folder, facts, samples)
    output = folder / manifest.MODEL
    if isinstance(model.states, str):
        quantization = replace(quantize.quantize(graph, output), no_kernel=model.states)
    else:
        quantization = replace(lookup.quantize_table(graph, output), no_kernel="it has no transformer")
    return replace(facts, precision="int8", quantization=quantization)


def write_int8(encoder: Encoder, ids: Sequence[Sequence[int]], samples: Texts, output: Path) -> Quantization:
    """Write the int8 file of a transformer that we know, for the token ids of samples."""
    record = samples.record if encoders.is_calibrated(encoder) else None
    return replace(encoders.write_int8(encoder, ids, output), calibration=record)


def quantized(encoder: Encoder, folder: Path, facts: Facts, samples: Texts) -> Facts:
    """The facts of an artifact whose int8 file is written here, calibrated on texts with its prompts."""
    tokenizer = parity.load_tokenizer(folder, facts)
    ids = calibration.token_ids(samples, tokenizer, list(facts.prompts.values()))
    quantization = write_int8(encoder, ids, samples, folder / manifest.MODEL)
    return replace(facts, precision="int8", quantization=quantization, packed=True)


def native_facts(
    entry: Entry, checkpoint: Checkpoint, folder: Path, model: SparseEncoder | MultiVectorEncoder
) -> Facts:
    """Those of a model that was read of its files alone."""
    return float32_facts(
        entry,
        checkpoint,
        folder,
        exporter=NATIVE,
        output=model.output,
        max_tokens=model.max_tokens,
        modules=model.modules,
        truncation_side=model.truncation_side,
        prompts=model.prompts,
        default_prompt=model.default_prompt,
    )


def float32_facts(entry: Entry, checkpoint: Checkpoint, folder: Path, **fields: Any) -> Facts:
    """What is known of an artifact while it is float32 and was not measured; ``fields`` are the model's."""
    return Facts(
        name=entry.name,
        created=int(time.time()),
        source=checkpoint.source,
        overrides=entry.overrides,
        recipe=RECIPE,
        precision="float32",
        float32_bytes=manifest.model_bytes(folder),
        **fields,
    )


def measured(facts: Facts, reference: R, folder: Path, measure: Measure[R]) -> Facts:
    """The facts with the parity of standard operators, and of our kernels where they run the model."""
    field = PARITIES[type(facts.output)]
    facts = replace(facts, **{field: measure(reference, folder, facts, native.find("off"))})
    kernels = native.find().of(facts)
    if kernels.library is None:
        return facts
    return replace(facts, **{f"kernel_{field}": measure(reference, folder, facts, kernels)})


def _facts(entry: Entry, checkpoint: Checkpoint, described: Description, folder: Path) -> Facts:
    return float32_facts(
        entry,
        checkpoint,
        folder,
        output=dense.output(described),
        max_tokens=described.max_tokens,
        modules=described.modules,
        static=described.static,
        truncation_side=described.truncation_side,
        prompts=described.prompts,
        default_prompt=described.default_prompt,
    )


def write_manifest(facts: Facts, folder: Path) -> Manifest:
    """Write the manifest of a folder whose other files are all there."""
    hashes = {path.name: manifest.sha256(path) for path in sorted(folder.iterdir())}
    complete = Manifest(**msgspec.structs.asdict(facts), sha256=hashes)
    manifest.write(complete, folder)
    return complete
