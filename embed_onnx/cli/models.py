"""``embed-onnx models``: what is listed and exported, as a table; and the cells that such tables share."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx import settings
from embed_onnx.cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from embed_onnx.artifact.manifest import Fidelity, Manifest
    from embed_onnx.engine.native import Kernels
    from embed_onnx.settings import Settings

MB = 1_000_000
COSINES = ("cosine mean", "cosine min", "short: mean", "short: min")
"""The columns that say how near a model is to its original."""


@click.command()
@options.of_settings("artifacts", "models", "model", "kernels")
def models(**words: Any) -> None:
    """Show what is listed and exported, and how far each artifact is from its original."""
    from embed_onnx import console

    console.show(table(settings.from_words(words)))


def table(configuration: "Settings") -> "Table":
    """A row a listed model: what its artifact is, or that there is none."""
    from rich.table import Table

    from embed_onnx.artifact import manifest
    from embed_onnx.engine import native
    from embed_onnx.models import registry

    columns = ("name", "aliases", "dimensions", "max tokens", "precision", "exporter", "MB", *COSINES)
    rows = Table(*columns, "compared with", "runs on")
    kernels = native.find(configuration.kernels)
    for entry in registry.entries_to_serve(configuration):
        folder = configuration.artifacts / entry.name
        aliases = ", ".join(entry.names()[1:])
        if registry.missing([entry], configuration.artifacts):
            rows.add_row(entry.name, aliases, "", "", entry.precision, "", "not exported")
            continue
        described = manifest.read(folder)
        engine = kernels.of(described)
        rows.add_row(
            entry.name,
            aliases,
            _width(described),
            "no limit" if described.max_tokens is None else str(described.max_tokens),
            described.precision,
            described.exporter or "not recorded",
            megabytes(manifest.model_bytes(folder)),
            *cosines(engine),
            described.reference or "not recorded",
            engine.runs_on,
        )
    return rows


def _width(described: "Manifest") -> str:
    """The dimensions of a model's vectors, or what it gives instead."""
    from embed_onnx.artifact.manifest import Dense
    from embed_onnx.models import tasks

    output = described.output
    return str(output.dimensions) if isinstance(output, Dense) else ", ".join(tasks.of(output))


def megabytes(size: int) -> str:
    """A cell for so many bytes."""
    return f"{size / MB:.1f}"


def cosines(engine: "Kernels") -> tuple[str, ...]:
    """The cells of ``COSINES`` for what runs a model."""
    from embed_onnx.artifact.manifest import ScoreParity

    parity = engine.parity
    if isinstance(parity, ScoreParity):
        return (f"ranks {parity.spearman:.4f}", f"scores within {parity.score_difference:.4f}", "", "")
    short = None if parity is None else parity.short
    return (*_cells(parity), *_cells(short))


def _cells(fidelity: "Fidelity | None") -> tuple[str, str]:
    if fidelity is None:
        return "not measured", "not measured"
    return f"{fidelity.cosine_mean:.5f}", f"{fidelity.cosine_min:.5f}"
