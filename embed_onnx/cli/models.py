"""``embed-onnx models``: what is listed and exported; and how tables and JSON say what a model is."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx import setting_words
from embed_onnx.cli import options

if TYPE_CHECKING:
    from embed_onnx.artifact.models_txt import Entry
    from embed_onnx.artifact.parity import Fidelity
    from embed_onnx.console import Column
    from embed_onnx.engine.native import Kernels
    from embed_onnx.settings import Settings

MB = 1_000_000


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything that is known.")
@options.of_settings("artifacts", "models", "model", "kernels")
def models(as_json: bool, **words: Any) -> None:
    """Show what is listed and exported, and how far each artifact is from its original."""
    from embed_onnx import console

    models = listed(setting_words.from_words(words))
    if as_json:
        console.json(models)
        return
    columns = [
        console.Column("name"),
        console.Column("aliases", narrow=False),
        console.Column("gives"),
        console.Column("tokens"),
        console.Column("precision"),
        console.Column("exporter", narrow=False),
        console.Column("MB"),
        *cosine_columns(),
        console.Column("compared with", narrow=False),
        console.Column("runs on"),
    ]
    console.show(columns, [row(model) for model in models])


def listed(configuration: "Settings") -> list[dict[str, Any]]:
    """Every listed model, for JSON."""
    from embed_onnx.engine import native
    from embed_onnx.models import registry

    kernels = native.find(configuration.kernels)
    return [_described(entry, configuration, kernels) for entry in registry.entries_to_serve(configuration)]


def _described(entry: "Entry", configuration: "Settings", kernels: "Kernels") -> dict[str, Any]:
    """What a listed model is, for JSON; without an artifact, little more than its name."""
    from embed_onnx.artifact import manifest
    from embed_onnx.artifact.outputs import Dense, TokenVectors
    from embed_onnx.models import registry, tasks

    folder = configuration.artifacts / entry.name
    listed = {"name": entry.name, "aliases": entry.names()[1:], "precision": entry.precision}
    if registry.missing([entry], configuration.artifacts):
        return listed | {"exported": False}
    described = manifest.read(folder)
    output = described.output
    engine = kernels.of(described)
    return listed | {
        "exported": True,
        "tasks": tasks.of(output),
        "dimensions": output.dimensions if isinstance(output, Dense | TokenVectors) else None,
        "max_tokens": described.max_tokens,
        "precision": described.precision,
        "exporter": described.exporter,
        "bytes": manifest.model_bytes(folder),
        "parity": engine.parity,
        "reference": described.reference,
        "runs_on": engine.runs_on,
    }


def row(model: dict[str, Any]) -> list[str]:
    """The cells of a model."""
    if not model["exported"]:
        return [
            model["name"],
            ", ".join(model["aliases"]),
            "",
            "",
            model["precision"],
            *[""] * 7,
            "not exported",
        ]
    return [
        model["name"],
        ", ".join(model["aliases"]),
        _gives(model["tasks"], model["dimensions"]),
        "no limit" if model["max_tokens"] is None else str(model["max_tokens"]),
        model["precision"],
        model["exporter"] or "not recorded",
        megabytes(model["bytes"]),
        *cosines(model["parity"]),
        model["reference"] or "not recorded",
        model["runs_on"],
    ]


def _gives(tasks: list[str], dimensions: int | None) -> str:
    """A cell for the length of a model's vectors, or for what else it can do."""
    if dimensions is None:
        return ", ".join(tasks)
    return f"{dimensions} a token" if "embed_tokens" in tasks else str(dimensions)


def megabytes(size: int) -> str:
    """A cell for so many bytes."""
    return f"{size / MB:.1f}"


def cosine_columns() -> "list[Column]":
    """The columns that say how near a model is to its original."""
    from embed_onnx.console import Column

    narrow = [Column("cosine"), Column("least")]
    return [*narrow, Column("short: cosine", narrow=False), Column("short: least", narrow=False)]


def cosines(parity: Any) -> tuple[str, str, str, str]:
    """The cells of ``cosine_columns`` for a parity of any kind, or None."""
    from embed_onnx.artifact.parity import ScoreParity, SparseParity, TokenParity

    if isinstance(parity, ScoreParity):
        return f"ranks {parity.spearman:.4f}", f"scores within {parity.score_difference:.4f}", "", ""
    if isinstance(parity, SparseParity | TokenParity):
        return (*_cells(parity), "", "")
    short = None if parity is None else parity.short
    return (*_cells(parity), *_cells(short))


def _cells(fidelity: "Fidelity | None") -> tuple[str, str]:
    if fidelity is None:
        return "not measured", "not measured"
    return f"{fidelity.cosine_mean:.5f}", f"{fidelity.cosine_min:.5f}"
