"""The command line: ``embed-onnx serve | export | report | models | embed | health | key``.

Commands import what they use, so that ``--help`` is instant.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx import __version__, settings
from embed_onnx.errors import EmbedError, SetupError
from embed_onnx.system import signals
from embed_onnx.system.signals import Interruption

if TYPE_CHECKING:
    from embed_onnx.artifact.models_txt import Entry
    from embed_onnx.bulk.writers import Meta
    from embed_onnx.settings import Settings
    from embed_onnx_export.report.datasets import Given

log = logging.getLogger(__name__)

Command = Callable[..., None]

KINDS = ("txt", "jsonl", "csv", "tsv", "parquet")
DTYPES = ("float32", "float16", "int8", "ubinary")
TABLE_OPTIONS = ("delimiter", "encoding", "no_header")
"""Of ``embed``: how its files are written."""
REJECTED = 2
"""The exit code of an ``embed`` that went through, but for some records."""
EXPORT_PACKAGES = ("torch", "transformers", "optimum", "sentence_transformers")


def knob_options(*names: str) -> Callable[[Command], Command]:
    """Options of a command from the settings of those names, or from all of them."""

    def decorate(command: Command) -> Command:
        for knob in reversed(settings.knobs()):
            if names and knob.name not in names:
                continue
            flag = f"{knob.flag}/--no-{knob.flag[2:]}" if isinstance(knob.default, bool) else knob.flag
            text = f"{knob.help} [default: {knob.default_text}]" if knob.default_text else knob.help
            command = click.option(flag, default=None, envvar=knob.variable, show_envvar=True, help=text)(
                command
            )
        return command

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="embed-onnx")
def cli() -> None:
    """Sentence-Transformers as int8 ONNX on CPUs, served over OpenAI's embeddings API."""


@cli.command()
@knob_options()
@click.option("--worker", type=(str, int), hidden=True, help="Bound sockets and whose child this is.")
def serve(worker: tuple[str, int] | None, **words: Any) -> None:
    """Serve the models that models.txt lists, exporting those that are missing."""
    try:
        _serve(worker, words)
    except Interruption as interruption:
        if interruption.number != signal.SIGTERM:
            raise
        click.echo(
            "embed-onnx: stopped before it served", err=True
        )  # as it was asked to, which is no failure


def _serve(worker: tuple[str, int] | None, words: dict[str, Any]) -> None:
    from embed_onnx.http import workers

    # Threads that libraries start when they are imported keep the mask they begin with: a signal that one of
    # them took would have its default effect, whatever the main thread blocks or waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, workers.SIGNALS)
    settings.refuse_blank_keys()
    chosen = settings.from_words(words)
    from embed_onnx.http import listening, server
    from embed_onnx.models import registry
    from embed_onnx.observe import logs
    from embed_onnx.system import child

    signal.pthread_sigmask(signal.SIG_UNBLOCK, workers.SIGNALS - workers.UNTIL_SERVING)
    with contextlib.ExitStack() as stack:
        stack.enter_context(logs.to_stderr(chosen.log_format))
        entries = registry.wanted(chosen)
        if worker is None:
            for sentence in settings.warnings():
                log.warning("%s", sentence)
            socks = stack.enter_context(listening.bound(chosen))
            _export_missing(registry.missing(entries, chosen.artifacts), chosen)
        else:
            descriptors, parent = worker
            child.end_with_parent(parent)
            socks = [socket.socket(fileno=int(word)) for word in descriptors.split(",")]
        if chosen.workers > 1:
            workers.run(socks, sys.argv[1:], workers=chosen.workers, threads=chosen.threads)
            return
        models = stack.enter_context(registry.Registry(entries, chosen))
        if worker is not None:
            models.load()  # before it takes connections that other workers could answer
        on_reload = None if worker is None else workers.reload_others
        server.serve(models, chosen, socks, on_reload=on_reload)


STS = click.option(
    "--sts",
    type=click.Path(path_type=Path),
    help="Report on sentence pairs: CSV of score,sentence1,sentence2.",
)
BEIR = click.option(
    "--beir",
    type=click.Path(path_type=Path),
    help="Report on retrieval: a folder of corpus.jsonl, queries.jsonl and qrels.tsv.",
)


@cli.command()
@click.argument("names", nargs=-1)
@knob_options("artifacts", "models")
@click.option("--force", is_flag=True, help="Export even what is up to date.")
@click.option("--report", is_flag=True, help="Write a report card for each artifact that has none.")
@click.option("--parent", type=int, hidden=True, help="The server that needs them, and whose child this is.")
@STS
@BEIR
def export(
    names: tuple[str, ...],
    force: bool,
    report: bool,
    parent: int | None,
    sts: Path | None,
    beir: Path | None,
    **words: Any,
) -> None:
    """Convert the models that models.txt lists, or those NAMES of them, to ONNX artifacts."""
    if parent is not None:
        from embed_onnx.system import child

        child.end_with_parent(parent)
    if not report and (sts or beir):
        raise SetupError("--sts and --beir are for the report card; add --report")
    chosen = settings.from_words(words)
    picked = _listed(names, chosen)
    with _export_extra():
        from embed_onnx_export import pipeline
        from embed_onnx_export.report import card, datasets

        given = datasets.read(sts, beir)
        pipeline.export_all(picked, chosen.artifacts, force=force)
        if report:
            bare = [entry for entry in picked if not card.exists(chosen.artifacts / entry.name)]
            _write_reports(bare, chosen, given)


@cli.command()
@click.argument("name")
@STS
@BEIR
@knob_options("artifacts", "models")
def report(name: str, sts: Path | None, beir: Path | None, **words: Any) -> None:
    """Measure the artifact of NAME beside its original, and write report.md and report.json into its folder.

    The card says how near the artifact is to the original, how fast and large both are on this machine, and
    what the other precision would give.
    """
    chosen = settings.from_words(words)
    picked = _listed((name,), chosen)
    with _export_extra():
        from embed_onnx_export.report import datasets

        _write_reports(picked, chosen, datasets.read(sts, beir))


@cli.command()
@knob_options("artifacts", "models", "kernels")
def models(**words: Any) -> None:
    """Show what is listed and exported, and how far each artifact is from its original."""
    chosen = settings.from_words(words)
    from embed_onnx.models import tables

    tables.show(tables.models(chosen))


@cli.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .jsonl or .parquet file.")
@click.option("--text", "texts", multiple=True, help="A text to embed, instead of files; may be repeated.")
@click.option("--format", "kind", type=click.Choice(KINDS), help="What INPUT is, if its name does not say.")
@click.option("--field", help="Field or column of the texts [default: text].")
@click.option("--id", "id_", metavar="COLUMN", help="Field or column that becomes the output's id.")
@click.option(
    "--delimiter", help="What is between columns of CSV [default: a comma] or TSV [default: a tab]."
)
@click.option("--encoding", help="Of lines, CSV and TSV: utf-8 (default), utf-16, latin-1, cp1252, ...")
@click.option("--no-header", is_flag=True, help="CSV or TSV begins with a record; columns go by number.")
@click.option("--keep", default="", metavar="COLUMN,...", help="Fields or columns that the output keeps.")
@click.option("--model", help="A name or alias [default: the first].")
@click.option("--prompt-name", help="One of the model's prompts, put before each text.")
@click.option("--dimensions", type=int, help="Cut vectors to this length and normalise again.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of a number.")
@click.option("--force", is_flag=True, help="Overwrite an OUTPUT that is there.")
@click.option("--restart", is_flag=True, help="Begin again instead of going on with a run that was stopped.")
@knob_options("artifacts", "models", "threads", "kernels", "truncate", "literal_special_tokens")
def embed(inputs: tuple[str, ...], texts: tuple[str, ...], output: Path | None, **rest: Any) -> None:
    """Embed files without a server: text lines, JSON lines, CSV or Parquet, plain or .gz, or - for stdin.

    Quoted globs are expanded. A run that was stopped goes on when its command is given again. Records that
    cannot be embedded are listed in OUTPUT.rejects.jsonl, and make the exit code 2.

    With --text, JSON lines go to standard output.
    """
    asked = {name: rest.pop(name) for name in ("model", "prompt_name", "dimensions", "dtype")}
    places = {name: rest.pop(name) for name in ("force", "restart")}
    read = {name: rest.pop(name) for name in ("kind", "field", "id_", "keep", *TABLE_OPTIONS)}
    chosen = settings.from_words(rest)
    if bool(inputs) == bool(texts):
        raise SetupError("give files to embed, or - for standard input, or texts with --text")
    if texts and (output or any(places.values()) or any(read.values())):
        raise SetupError("--text prints to standard output; leave out --output and what is for files")
    if inputs and output is None:
        raise SetupError(
            "--output is missing; give a file whose name ends in .npy, .jsonl or .parquet "
            "(to embed a text itself, use --text)"
        )
    from embed_onnx.bulk import inputs as files
    from embed_onnx.bulk.run import Choice, Target, embed_files, embed_texts

    choice = Choice(settings=chosen, **asked)
    if output is None:
        embed_texts(texts, choice)
        return
    keep = tuple(name.strip() for name in read["keep"].split(",") if name.strip())
    columns = {"field": read["field"] or files.FIELD, "id": read["id_"], "keep": keep}
    if read["delimiter"] is not None:
        columns["delimiter"] = files.delimiter(read["delimiter"])
    if read["encoding"] is not None:
        columns["encoding"] = files.encoding(read["encoding"])
    found = files.find(inputs, read["kind"], output=output, header=not read["no_header"], **columns)
    meta = embed_files(found, Target(output=output, **places), choice)
    click.echo(f"embed-onnx: {_told(output, meta)}", err=True)
    if meta.rejected:
        sys.exit(REJECTED)


def _told(output: Path, meta: "Meta") -> str:
    from embed_onnx.bulk.inputs import REJECTS

    told = f"{output} holds {meta.rows:,} vectors of {meta.dimensions} dimensions by {meta.model}"
    if meta.truncated:
        told += f"; {meta.truncated:,} texts were cut at the model's limit"
    if meta.rejected:
        told += f"; {meta.rejected:,} records were rejected, see {output}{REJECTS}"
    return told


@cli.command()
@click.option("--ready", is_flag=True, help="Ask whether every model can embed, not only whether it lives.")
@click.option("--timeout", type=float, default=4.0, show_default=True, help="Seconds to wait for an answer.")
def health(ready: bool, timeout: float) -> None:
    """Ask the server that runs here how it is, at whatever address it listens; exit code 0 says well.

    It is for health checks of containers. Of several servers, all must be well.
    """
    from embed_onnx.http import health

    health.check("/ready" if ready else "/health", seconds=timeout)


@cli.group()
def key() -> None:
    """Make, list and remove the API keys of a file."""


KEY_FILE = click.option(
    "--file",
    "file",
    callback=lambda _context, _option, word: settings.from_words({"api_keys_file": word}).api_keys_file,
    required=True,
    envvar="EMBED_ONNX_API_KEYS_FILE",
    show_envvar=True,
    help="The file that serve gets as --api-keys-file.",
)


@key.command("new")
@click.argument("name")
@click.option("--admin", is_flag=True, help="A key for the routes of administrators, too.")
@KEY_FILE
def new_key(name: str, admin: bool, file: Path) -> None:
    """Make a key, print it this once, and add its hash to the file."""
    from embed_onnx.http import keys

    click.echo(keys.add(file, name, admin=admin))


@key.command("list")
@KEY_FILE
def list_keys(file: Path) -> None:
    """Show the names of the keys, and which are of administrators."""
    from embed_onnx.http import keys

    for found in keys.read(file):
        click.echo(f"{found.name} admin" if found.admin else found.name)


@key.command("remove")
@click.argument("name")
@KEY_FILE
def remove_key(name: str, file: Path) -> None:
    """Take a key out of the file."""
    from embed_onnx.http import keys

    keys.remove(file, name)


def main() -> None:
    """Run a command; a failure that was foreseen is one sentence and exit code 1."""
    signals.handle()
    click.UsageError.exit_code = 1  # 2 says that records were rejected
    try:
        cli(prog_name="embed-onnx")
    except (SetupError, EmbedError, OSError, UnicodeError) as err:
        click.echo(f"embed-onnx: {err}", err=True)
        sys.exit(1)
    except Interruption as interruption:
        click.echo(f"embed-onnx: {interruption.sentence}", err=True)
        sys.exit(interruption.exit_code)


def _listed(names: tuple[str, ...], chosen: "Settings") -> list["Entry"]:
    """The lines of the models file with those names or aliases, or all of them."""
    from embed_onnx.artifact import models_txt

    entries = models_txt.read(chosen.models)
    unknown = set(names) - {name for entry in entries for name in entry.names()}
    if unknown:
        listed = ", ".join(entry.name for entry in entries)
        raise SetupError(f"{chosen.models} does not list {', '.join(sorted(unknown))}; it lists {listed}")
    return [entry for entry in entries if not names or set(names) & set(entry.names())]


def _write_reports(entries: list["Entry"], chosen: "Settings", given: "Given") -> None:
    """Measure, and say where each report is."""
    from embed_onnx_export.report import report

    if given.retrieval is not None and given.retrieval.left_out:
        click.echo(
            f"embed-onnx: {given.retrieval.left_out:,} judgements are of documents or queries that "
            f"{given.retrieval.name} lacks; they are left out",
            err=True,
        )
    for path in report.report_all(entries, chosen.artifacts, given):
        click.echo(path)


@contextlib.contextmanager
def _export_extra() -> Iterator[None]:
    """Turn packages that are absent, or of versions that do not go together, into a sentence.

    Raises:
        SetupError: Exporting cannot be imported.
    """
    _need_export_extra()
    try:
        yield
    except ImportError as err:
        raise SetupError(
            f"the packages for exporting do not go together: {err}; install those that do with "
            "`pip install 'embed-onnx[export]'`"
        ) from err


def _need_export_extra() -> None:
    absent = [name for name in EXPORT_PACKAGES if find_spec(name) is None]
    if absent:
        raise SetupError(
            f"exporting needs {', '.join(absent)}; install them with `pip install 'embed-onnx[export]'`, "
            "or export on another machine and copy its artifacts folder here"
        )


def _export_missing(entries: list["Entry"], chosen: "Settings") -> None:
    """Export in a process of its own, so that the server does not keep torch in memory."""
    if not entries:
        return
    from embed_onnx.engine import native
    from embed_onnx.system import child

    native.find(chosen.kernels)  # before minutes of exporting, not after
    names = [entry.name for entry in entries]
    try:
        _need_export_extra()
    except SetupError as err:
        raise SetupError(f"{chosen.artifacts} lacks {', '.join(names)}; {err}") from None
    click.echo(f"embed-onnx: {chosen.artifacts} lacks {', '.join(names)}; exporting", err=True)
    command = [sys.executable, "-m", "embed_onnx", "export", *names, "--parent", str(os.getpid())]
    folders = ["--artifacts", str(chosen.artifacts), "--models", str(chosen.models)]
    if child.run([*command, *folders], grace=chosen.drain_timeout):
        raise SetupError("the export failed, as said above")
