"""``embed-onnx report``: finds an artifact and its original, makes its other precision, writes the card."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from embed_onnx.artifact.manifest import Dense, Precision
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import artifact, progress
from embed_onnx_export.checkpoint import overrides, sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.progress import Show
from embed_onnx_export.report import card, report_text
from embed_onnx_export.report.datasets import Datasets

OTHER: dict[Precision, Precision] = {"int8": "float32", "float32": "int8"}


def report_all(entries: Sequence[Entry], artifacts: Path, data: Datasets) -> list[Path]:
    """Write the report cards of artifacts, one after the other; says where.

    Raises:
        ExportError: An artifact is absent or out of date, or cannot be measured; those before it are done.
        SetupError: The environment names kernels that cannot be used here.
    """
    native.find()  # said now, and not after minutes of measuring
    return [_report(entry, artifacts / entry.name, data) for entry in entries]


def _report(entry: Entry, folder: Path, data: Datasets) -> Path:
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
        if not isinstance(manifest.output, Dense):
            raise ExportError(
                f"{entry.name} scores texts, and report cards are of models of vectors; `embed-onnx models` "
                "says how near its scores are to its original's"
            )
        from embed_onnx_export import build  # noqa: PLC0415 - torch takes seconds to import
        from embed_onnx_export.report import comparison  # noqa: PLC0415 - torch takes seconds to import

        with (
            progress.explained(entry.name, folder, show),
            tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as scratch,
            overrides.applied(checkpoint, entry.overrides) as changed,
        ):
            other = Path(scratch) / "other"
            refused = None
            other.mkdir()
            try:
                build.build(replace(entry, precision=OTHER[entry.precision]), changed, other, show)
            except ExportError as err:
                refused = str(err)
            folders = {manifest.precision: folder}
            if refused is None:
                folders[OTHER[manifest.precision]] = other
            result = comparison.card_of(comparison.Subject(manifest, changed, folders, refused), data, show)
            card.write(result, report_text.markdown(result), folder)
        show("done")
    return folder / card.REPORT
