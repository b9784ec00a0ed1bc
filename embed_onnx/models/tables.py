"""Tables for people: what is listed, exported and served."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Fidelity
from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.models import registry
from embed_onnx.settings import Settings

MB = 1_000_000
COSINES = ("cosine mean", "cosine min", "short: mean", "short: min")
"""The columns that say how near a model is to its original."""
WIDTH_OF_A_FILE = 200
"""Characters a line where the output is no terminal."""


def show(table: Table) -> None:
    """Print a table to standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OF_A_FILE)
    console.print(table)


def models(settings: Settings) -> Table:
    """A row a listed model: what its artifact is, or that there is none."""
    columns = ("name", "aliases", "dimensions", "max tokens", "precision", "MB", *COSINES, "runs on")
    table = Table(*columns)
    kernels = native.find(settings.kernels)
    for entry in registry.wanted(settings):
        folder = settings.artifacts / entry.name
        aliases = ", ".join(entry.names()[1:])
        if registry.missing([entry], settings.artifacts):
            table.add_row(entry.name, aliases, "", "", entry.precision, "not exported")
            continue
        found = manifest.read(folder)
        engine = kernels.of(found)
        table.add_row(
            entry.name,
            aliases,
            str(found.output.dimensions),
            "no limit" if found.max_tokens is None else str(found.max_tokens),
            found.precision,
            f"{megabytes(folder):.1f}",
            *cosines(engine),
            engine.runs_on,
        )
    return table


def cosines(engine: Kernels) -> tuple[str, ...]:
    """The cells of ``COSINES`` for what runs a model."""
    parity = engine.parity
    measured = (parity, None if parity is None else parity.short)
    return tuple(cell for fidelity in measured for cell in _cells(fidelity))


def _cells(fidelity: Fidelity | None) -> tuple[str, str]:
    if fidelity is None:
        return "not measured", "not measured"
    return f"{fidelity.cosine_mean:.5f}", f"{fidelity.cosine_min:.5f}"


def megabytes(folder: Path) -> float:
    """The size of an artifact's model."""
    return manifest.model_bytes(folder) / MB
