"""The command line: ``embed-onnx serve | export | models | embed | key``.

Commands import what they use, so that ``--help`` is instant.
"""

import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import rich_click as click

from embed_onnx import __version__, settings
from embed_onnx.errors import EmbedError, SetupError

if TYPE_CHECKING:
    from embed_onnx.models_file import Entry
    from embed_onnx.settings import Settings

Command = Callable[..., None]

EXPORT_PACKAGES = ("torch", "transformers", "optimum", "sentence_transformers")


def knob_options(*names: str) -> Callable[[Command], Command]:
    """Options of a command from the settings of those names, or from all of them."""

    def decorate(command: Command) -> Command:
        for knob in reversed(settings.knobs()):
            if names and knob.name not in names:
                continue
            flag = f"{knob.flag}/--no-{knob.flag[2:]}" if isinstance(knob.default, bool) else knob.flag
            text = f"{knob.help} [default: {knob.shown}]" if knob.shown else knob.help
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
@click.option("--socket", "descriptor", type=int, hidden=True, help="A bound socket, from a parent process.")
def serve(descriptor: int | None, **words: Any) -> None:
    """Serve the models that models.txt lists, exporting those that are missing."""
    settings.refuse_blank_keys()
    chosen = settings.from_words(words)
    from embed_onnx import logs, registry, server, workers

    with logs.to_stderr(chosen.log_format):
        entries = registry.wanted(chosen)
        if descriptor is None:
            sock = server.bind(chosen)
            _export_missing(registry.missing(entries, chosen.artifacts), chosen)
        else:
            workers.end_with_parent()
            sock = socket.socket(fileno=descriptor)
        if chosen.workers > 1:
            workers.run(sock, sys.argv[1:], workers=chosen.workers, threads=chosen.threads)
            return
        with registry.Registry(entries, chosen) as models:
            on_reload = None if descriptor is None else workers.reload_others
            server.serve(models, chosen, sock, on_reload=on_reload)


@cli.command()
@click.argument("names", nargs=-1)
@knob_options("artifacts", "models")
@click.option("--force", is_flag=True, help="Export even what is up to date.")
def export(names: tuple[str, ...], force: bool, **words: Any) -> None:
    """Convert the models that models.txt lists, or those NAMES of them, to ONNX artifacts."""
    chosen = settings.from_words(words)
    from embed_onnx import models_file

    entries = models_file.read(chosen.models)
    unknown = set(names) - {name for entry in entries for name in entry.names()}
    if unknown:
        listed = ", ".join(entry.name for entry in entries)
        raise SetupError(f"{chosen.models} does not list {', '.join(sorted(unknown))}; it lists {listed}")
    _need_export_extra()
    from export import pipeline

    picked = [entry for entry in entries if not names or set(names) & set(entry.names())]
    pipeline.export_all(picked, chosen.artifacts, force=force)


@cli.command()
@knob_options("artifacts", "models", "kernels")
def models(**words: Any) -> None:
    """Show what is listed and exported, and how far each artifact is from its original."""
    chosen = settings.from_words(words)
    from embed_onnx import tables

    tables.show(tables.models(chosen))


@cli.command()
@click.argument("texts", nargs=-1)
@click.option("--file", "file", type=click.File("rb"), help="Texts, one a line; - is stdin.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A .jsonl or .npy file [default: stdout]."
)
@click.option("--model", help="A name or alias [default: the first].")
@click.option("--prompt-name", help="One of the model's prompts, put before each text.")
@click.option("--dimensions", type=int, help="Cut vectors to this length and normalise again.")
@knob_options("artifacts", "models", "threads", "kernels", "truncate")
def embed(texts: tuple[str, ...], file: Any, output: Path | None, **rest: Any) -> None:
    """Embed TEXTS, or the lines of a file or of standard input, without a server."""
    asked = {name: rest.pop(name) for name in ("model", "prompt_name", "dimensions")}
    chosen = settings.from_words(rest)
    if output is not None and output.suffix not in (".jsonl", ".npy"):
        raise SetupError(f"--output {output}: the name must end in .jsonl or .npy")
    if texts and file is not None:
        raise SetupError("texts are given both as arguments and with --file; give one of them")
    if not texts:
        texts = _lines(file or sys.stdin.buffer)
    from embed_onnx import bulk

    bulk.embed(texts, output, bulk.Choice(settings=chosen, **asked))


@cli.group()
def key() -> None:
    """Make, list and remove the API keys of a file."""


KEY_FILE = click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
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
    from embed_onnx import keys

    click.echo(keys.add(file, name, admin=admin))


@key.command("list")
@KEY_FILE
def list_keys(file: Path) -> None:
    """Show the names of the keys, and which are of administrators."""
    from embed_onnx import keys

    for found in keys.read(file):
        click.echo(f"{found.name} admin" if found.admin else found.name)


@key.command("remove")
@click.argument("name")
@KEY_FILE
def remove_key(name: str, file: Path) -> None:
    """Take a key out of the file."""
    from embed_onnx import keys

    keys.remove(file, name)


def _lines(source: BinaryIO) -> tuple[str, ...]:
    """The lines of a UTF-8 file, whatever the locale says."""
    lines = source.read().removesuffix(b"\n").split(b"\n")
    try:
        texts = tuple(line.decode().removesuffix("\r") for line in lines)
    except UnicodeDecodeError as err:
        number = lines.index(err.object) + 1
        raise SetupError(f"line {number} is not UTF-8 (byte {err.start}); convert the file") from None
    return () if texts == ("",) else texts


def main() -> None:
    """Run a command; a failure that was foreseen is one sentence and exit code 1."""
    try:
        cli(prog_name="embed-onnx")
    except (SetupError, EmbedError, OSError, UnicodeError) as err:
        click.echo(f"embed-onnx: {err}", err=True)
        sys.exit(1)


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
    names = [entry.name for entry in entries]
    try:
        _need_export_extra()
    except SetupError as err:
        raise SetupError(f"{chosen.artifacts} lacks {', '.join(names)}; {err}") from None
    click.echo(f"embed-onnx: {chosen.artifacts} lacks {', '.join(names)}; exporting", err=True)
    command = [sys.executable, "-m", "embed_onnx", "export", *names]
    folders = ["--artifacts", str(chosen.artifacts), "--models", str(chosen.models)]
    if subprocess.run([*command, *folders], check=False).returncode:  # noqa: S603 - our own command
        raise SetupError("the export failed, as said above")
