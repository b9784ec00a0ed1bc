"""``embed-onnx report``: finds an artifact and its original, makes its other precision, writes the card."""

import tempfile
from pathlib import Path

from msgspec.structs import replace

from embed_onnx.artifact.manifest import DOES, Dense, Manifest, Precision, Scores
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import artifact, progress
from embed_onnx_export.checkpoint import overrides, sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.progress import Show
from embed_onnx_export.report import card, report_text
from embed_onnx_export.report.datasets import Datasets

OTHER: dict[Precision, Precision] = {"int8": "float32", "float32": "int8"}


def check_kind(manifest: Manifest) -> None:
    """Refuse what has no report card.

    Raises:
        ExportError: The model makes sparse vectors or token vectors.
    """
    if not isinstance(manifest.output, Dense | Scores):
        raise ExportError(
            f"{manifest.name} {DOES[type(manifest.output)]}, and report cards are for models that make one "
            "dense vector of a text or score; `embed-onnx models` shows how near it is to its original"
        )


def write(entry: Entry, artifacts: Path, data: Datasets) -> Path:
    """Write the report card of an artifact; says where.

    Raises:
        ExportError: The artifact is absent or out of date, has no report card, or cannot be measured.
        DatasetError: A dataset is not for models of its kind.
        SetupError: The environment names kernels that cannot be used here.
    """
    native.find()  # said now, and not after minutes of measuring
    folder = artifacts / entry.name
    with progress.bars() as bars:
        show = Show(bars, f"{entry.name}: report")
        show("finding")
        checkpoint = sources.find(entry)
        manifest = artifact.up_to_date(entry, checkpoint, folder)
        if manifest is None:
            raise ExportError(
                f"{folder} holds no artifact of {entry.name} as it is listed now; "
                f"run `embed-onnx export {entry.name}` first"
            )
        check_kind(manifest)
        data.check(manifest)
        # They import torch, which takes seconds.
        from embed_onnx_export import build, build_scores  # noqa: PLC0415
        from embed_onnx_export.report import comparison, score_comparison, score_text  # noqa: PLC0415

        scoring = isinstance(manifest.output, Scores)

        with (
            progress.explained(entry.name, folder, show),
            tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as scratch,
            overrides.applied(checkpoint, entry.overrides) as changed,
        ):
            other = Path(scratch) / "other"
            refused = None
            other.mkdir()
            try:
                make = build_scores.make if scoring else build.build
                make(replace(entry, precision=OTHER[entry.precision]), changed, other, show)
            except ExportError as err:
                refused = str(err)
            folders = {manifest.precision: folder}
            if refused is None:
                folders[OTHER[manifest.precision]] = other
            subject = comparison.Subject(manifest, changed, folders, refused)
            if scoring:
                scored = score_comparison.card_of(subject, data, artifacts, show)
                card.write(scored, score_text.markdown(scored), folder)
            else:
                embedded = comparison.card_of(subject, data, show)
                card.write(embedded, report_text.markdown(embedded), folder)
        show("done")
    return folder / card.REPORT
