"""``embed-onnx export``: every stage for every model, with progress, and a table at the end."""

import contextlib
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from embed_onnx import manifest
from embed_onnx.errors import ArtifactError
from embed_onnx.manifest import Manifest, Parity
from embed_onnx.models_file import Entry
from export import artifact, convert, optimize, parity, quantize, sources
from export.convert import Original
from export.sources import Checkpoint

RECIPE = 1
"""Raised by one when the same checkpoint would give another artifact."""

MB = 1_000_000


class Show:
    """Tells which stage a model is at: on a bar, or a line each where there is no terminal."""

    STAGES = ("finding", "loading", "exporting", "checking", "quantizing", "comparing")

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name
        self._task = progress.add_task(name, total=len(self.STAGES))

    def __call__(self, stage: str) -> None:
        """Show a stage as begun; any other word as the end."""
        at = self.STAGES.index(stage) if stage in self.STAGES else len(self.STAGES)
        self._progress.update(self._task, completed=at, description=f"{self._name}: {stage}")
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"{self._name}: {stage}")


class Done(msgspec.Struct, frozen=True):
    """A row of the table; ``seconds`` is None for what was up to date."""

    manifest: Manifest
    folder: Path
    seconds: float | None


def export_all(entries: Sequence[Entry], artifacts: Path, *, force: bool) -> None:
    """Export models one after the other, skipping what is up to date; then show a table of them.

    Raises:
        ExportError: A model cannot be exported; those before it are done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, _quiet():
        done = [export(entry, artifacts / entry.name, Show(progress, entry.name), force=force) for entry in entries]
    Console().print(_table(done))


def export(entry: Entry, folder: Path, show: Show, *, force: bool = False) -> Done:
    """Make one artifact folder.

    Raises:
        ExportError: The checkpoint is not there, not supported, or came out too far from the original.
    """
    started = time.perf_counter()
    show("finding")
    checkpoint = sources.find(entry)
    present = None if force else _up_to_date(entry, checkpoint, folder)
    if present is not None:
        show("up to date")
        return Done(present, folder, None)
    show("loading")
    original = convert.load(checkpoint)
    with artifact.staged(folder) as new, tempfile.TemporaryDirectory() as scratch:
        show("exporting")
        graph = Path(scratch) / "optimized.onnx"
        optimize.optimize(convert.to_onnx(original, Path(scratch)), graph)
        convert.write_tokenizer(original, new)
        _copy_license(checkpoint, new)
        made = _draft(entry, checkpoint, original, graph.stat().st_size)
        show("checking")
        shutil.copy(graph, new / manifest.MODEL)
        made = msgspec.structs.replace(made, parity=parity.measure(original, new, made))
        if entry.precision == "int8":
            show("quantizing")
            made = msgspec.structs.replace(
                made, precision="int8", quantization=quantize.quantize(graph, new / manifest.MODEL)
            )
            show("comparing")
            made = msgspec.structs.replace(made, parity=parity.measure(original, new, made))
        hashes = {path.name: manifest.sha256(path) for path in sorted(new.iterdir())}
        made = msgspec.structs.replace(made, sha256=hashes)
        manifest.write(made, new)
    show("done")
    return Done(made, folder, time.perf_counter() - started)


def _up_to_date(entry: Entry, checkpoint: Checkpoint, folder: Path) -> Manifest | None:
    """The manifest that is there, if the same export would make it again."""
    try:
        found = manifest.read(folder)
        manifest.verify(found, folder)
    except ArtifactError:
        return None
    same = found.source == checkpoint.source and found.recipe == RECIPE and found.precision == entry.precision
    return found if same else None


def _draft(entry: Entry, checkpoint: Checkpoint, original: Original, float32_bytes: int) -> Manifest:
    """The manifest of a float32 artifact that has not been compared or hashed yet."""
    return Manifest(
        name=entry.name,
        created=int(time.time()),
        source=checkpoint.source,
        recipe=RECIPE,
        dimensions=original.dimensions,
        max_tokens=original.max_tokens,
        pooling=original.pooling,
        normalize=original.normalize,
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


def _table(done: Sequence[Done]) -> Table:
    table = Table("name", "MB before", "MB after", "cosine mean", "cosine min", "seconds")
    for row in done:
        table.add_row(
            row.manifest.name,
            f"{row.manifest.float32_bytes / MB:.1f}",
            f"{(row.folder / manifest.MODEL).stat().st_size / MB:.1f}",
            f"{row.manifest.parity.cosine_mean:.5f}",
            f"{row.manifest.parity.cosine_min:.5f}",
            "up to date" if row.seconds is None else f"{row.seconds:.0f}",
        )
    return table


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings about their own workings off the terminal."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
