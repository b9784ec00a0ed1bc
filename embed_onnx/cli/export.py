"""``embed-onnx export``, with the extra ``convert`` or ``export``, and ``report``, with the second."""

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import rich_click as click
from msgspec.structs import replace

from embed_onnx import install, setting_words
from embed_onnx.artifact.manifest import Exporter
from embed_onnx.cli import options
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from embed_onnx.artifact.models_txt import Entry
    from embed_onnx.engine.native import Kernels
    from embed_onnx.settings import Settings
    from embed_onnx_export.report.datasets import Datasets
    from embed_onnx_export.run import Export

PACKAGES = ("onnx", "safetensors", "huggingface_hub")
"""What exporting imports: the extra ``convert``."""
DATASETS = ("sts", "pairs", "beir", "first_stage")
"""The options of ``_datasets``."""


def _datasets(command: options.Command) -> options.Command:
    """The options of what a report measures with."""
    file = click.Path(path_type=Path)
    for option in (
        click.option(
            "--sts", type=file, help="For embedders and sparse models: CSV of score,sentence1,sentence2."
        ),
        click.option("--pairs", type=file, help="For rerankers: CSV of score,text1,text2."),
        click.option(
            "--beir", type=file, help="Retrieval: a folder of corpus.jsonl, queries.jsonl and qrels.tsv."
        ),
        click.option(
            "--first-stage",
            metavar="NAME",
            help="For rerankers: the embedder's artifact whose best 100 documents a query are ranked.",
        ),
    )[::-1]:
        command = option(command)
    return command


@click.command()
@click.argument("names", nargs=-1)
@options.of_settings("artifacts", "models", "model")
@click.option(
    "--exporter",
    type=click.Choice(get_args(Exporter)),
    help="What writes the graphs of models without exporter=. [default: the first of native, torch that can]",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    help="Texts like those to be embedded, one a line, for int8 models of the BERT family.",
)
@click.option("--force", is_flag=True, help="Export even what is up to date.")
@click.option("--report", is_flag=True, help="Write a report card for each artifact that has none.")
@click.option("--json", "as_json", is_flag=True, help="Print what was exported as JSON.")
@click.option("--parent", type=int, hidden=True, help="The server that needs them, and whose child this is.")
@_datasets
def export(
    names: tuple[str, ...],
    exporter: Exporter | None,
    calibrate: Path | None,
    force: bool,
    report: bool,
    parent: int | None,
    **words: Any,
) -> None:
    """Convert the models that models.txt lists, or those NAMES of them, to ONNX artifacts.

    A NAME may also be a line of its own: OWNER/NAME or ./FOLDER, with options as in models.txt.
    """
    # Read by numpy's first import. Its sums then have one order on any number of cores, and on a busy machine
    # no thread spins while another waits for a core, which took several times as long.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if parent is not None:
        from embed_onnx.system import child

        child.end_with_parent(parent)
    as_json: bool = words.pop("as_json")
    files = {name: words.pop(name) for name in DATASETS}
    if not report and any(files.values()):
        raise SetupError("--sts, --pairs, --beir and --first-stage are for the report card; add --report")
    configuration = setting_words.from_words(words)
    entries = [replace(entry, exporter=entry.exporter or exporter) for entry in _listed(names, configuration)]
    with _packages():
        from embed_onnx_export import calibration
        from embed_onnx_export.run import ExportsFailed, export_all

        if report:
            _check_pytorch()
        data = _read(files)
        samples = None if calibrate is None else calibration.read(calibrate)
        failure = None
        try:
            exports = export_all(entries, configuration.artifacts, force=force, samples=samples)
        except ExportsFailed as err:
            exports, failure = err.exports, err
        if exports:
            show(exports, as_json=as_json)
            _show_uncalibrated(exports, calibrate)
        if report:
            for path in _write_absent_reports(entries, exports, configuration, data):
                click.echo(path, err=as_json)
        if failure is not None:
            raise failure


@click.command()
@click.argument("name")
@_datasets
@options.of_settings("artifacts", "models", "model")
def report(name: str, **words: Any) -> None:
    """Measure the artifact of NAME beside its original, and write report.md and report.json into its folder.

    The card says how near the artifact is to the original, how fast and large both are on this machine, and
    what the other precision would give.
    """
    files = {name: words.pop(name) for name in DATASETS}
    configuration = setting_words.from_words(words)
    entries = _listed((name,), configuration)
    with _packages():
        _check_pytorch()
        data = _read(files)
        for entry in entries:
            click.echo(_write_report(entry, configuration, data))


def show(exports: list["Export"], *, as_json: bool = False) -> None:
    """Print a table of exports, and what a person should know of their modules; or both as JSON."""
    from embed_onnx import console
    from embed_onnx.cli import models
    from embed_onnx.console import Column
    from embed_onnx.engine import native

    kernels = native.find()
    if as_json:
        console.json([_described(item, kernels) for item in exports])
        return
    columns = [
        Column("name"),
        Column("MB before"),
        Column("MB after"),
        *models.cosine_columns(),
        Column("seconds"),
    ]
    rows = [
        [
            item.manifest.name,
            models.megabytes(item.manifest.float32_bytes),
            models.megabytes(item.model_bytes),
            *models.cosines(kernels.of(item.manifest).parity),
            "up to date" if item.seconds is None else f"{item.seconds:.0f}",
        ]
        for item in exports
    ]
    console.show(columns, rows)
    for item in exports:
        for note in _notes(item):
            console.line(f"{item.manifest.name}: {note}")


def _described(item: "Export", kernels: "Kernels") -> dict[str, Any]:
    """An export, for JSON; ``seconds`` is null if the artifact was up to date."""
    return {
        "name": item.manifest.name,
        "float32_bytes": item.manifest.float32_bytes,
        "bytes": item.model_bytes,
        "parity": kernels.of(item.manifest).parity,
        "seconds": item.seconds,
        "notes": _notes(item),
    }


def _notes(item: "Export") -> list[str]:
    return [module.note for module in item.manifest.modules if module.note]


def _show_uncalibrated(exports: list["Export"], calibrate: Path | None) -> None:
    """Name the models that a user's texts are of no use to."""
    for item in exports:
        quantization = item.manifest.quantization
        if calibrate is not None and (quantization is None or quantization.calibration is None):
            click.echo(
                f"{item.manifest.name}: not calibrated on {calibrate}, as only int8 of the BERT family is",
                err=True,
            )


def check_packages() -> None:
    """Look for what exporting imports.

    Raises:
        SetupError: A package is absent.
    """
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        raise SetupError(
            f"exporting needs {', '.join(absent)}; install them with `{install.command('convert')}`, or "
            f"`{install.command('export')}` for other architectures than BERT's, or export on another "
            "machine, and bring the artifact here with `embed-onnx push` and `pull`"
        )


def _check_pytorch() -> None:
    """Look for what runs originals.

    Raises:
        SetupError: A package is absent.
    """
    from embed_onnx_export import extras

    absent = extras.absent()
    if absent:
        raise SetupError(
            f"a report runs the original, which needs {', '.join(absent)}; install them with "
            f"`{install.command('export')}`"
        )


@contextlib.contextmanager
def _packages() -> Iterator[None]:
    """Turn packages that are absent, or of versions that do not go together, into a sentence.

    Raises:
        SetupError: Exporting cannot be imported.
    """
    check_packages()
    try:
        yield
    except ImportError as err:
        raise SetupError(
            f"the packages for exporting do not go together: {err}; install those that do with "
            f"`{install.command('export')}`"
        ) from err


def _listed(names: tuple[str, ...], configuration: "Settings") -> list["Entry"]:
    """The models that the settings list and that have those names or aliases, or all of them.

    What is not a name there is a line of its own, unless it is only a word, as misspelt names are.
    """
    from embed_onnx.artifact import models_txt

    if names and not configuration.model and not configuration.models.exists():
        return models_txt.of_command_line(names)
    entries = models_txt.listed(configuration.models, configuration.model)
    known = {name for entry in entries for name in entry.names()}
    unknown = [name for name in names if name not in known]
    words = sorted(name for name in unknown if "/" not in name)
    if words:
        listed = ", ".join(entry.name for entry in entries)
        place = "--model" if configuration.model else configuration.models
        raise SetupError(
            f"{place} does not list {', '.join(words)}; it lists {listed}, and "
            "a repository is written OWNER/NAME, a folder ./FOLDER"
        )
    selected = [entry for entry in entries if not names or set(names) & set(entry.names())]
    return [*selected, *models_txt.of_command_line(unknown)]


def _read(files: dict[str, Any]) -> "Datasets":
    """The datasets of the options; says what of them is left out."""
    from embed_onnx_export.report import datasets

    data = datasets.read(**files)
    if data.retrieval is not None and data.retrieval.unmatched:
        click.echo(
            f"embed-onnx: {data.retrieval.unmatched:,} judgements are of documents or queries that "
            f"{data.retrieval.name} lacks; they are left out",
            err=True,
        )
    return data


def _write_absent_reports(
    entries: list["Entry"], exports: list["Export"], configuration: "Settings", data: "Datasets"
) -> Iterator[Path]:
    """Measure each artifact that was exported and has no report; where each report is."""
    from embed_onnx_export.report import card

    outputs = {item.manifest.name: item.manifest.output for item in exports}
    for entry in entries:
        if entry.name in outputs and not card.exists(configuration.artifacts / entry.name):
            yield _write_report(entry, configuration, data.fitting(outputs[entry.name]))


def _write_report(entry: "Entry", configuration: "Settings", data: "Datasets") -> Path:
    """Measure; where the report is."""
    from embed_onnx_export.report import report

    return report.write(entry, configuration.artifacts, data)
