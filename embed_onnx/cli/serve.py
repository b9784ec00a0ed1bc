"""``embed-onnx serve``: exports what is missing, then serves, in one process or several."""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx import setting_words
from embed_onnx.cli import export, options
from embed_onnx.errors import SetupError
from embed_onnx.system.signals import Interruption

if TYPE_CHECKING:
    from embed_onnx.artifact.models_txt import Entry
    from embed_onnx.settings import Settings

log = logging.getLogger(__name__)


@click.command()
@options.of_settings()
@click.option("--worker", type=(str, int), hidden=True, help="Bound sockets and whose child this is.")
def serve(worker: tuple[str, int] | None, **words: Any) -> None:
    """Serve the models that models.txt lists, or each --model, exporting those that are missing."""
    try:
        _serve(worker, words)
    except Interruption as interruption:
        if interruption.number != signal.SIGTERM:
            raise
        # Someone asked it to stop, which is not a failure.
        click.echo("embed-onnx: stopped before it served", err=True)


def _serve(worker: tuple[str, int] | None, words: dict[str, Any]) -> None:
    # What is imported stays. To look for garbage in it, again and again as it grows, took a tenth of the
    # start; the server looks again once it listens.
    gc.disable()
    from embed_onnx.http import workers

    # Threads that libraries start when they are imported keep the mask they begin with: a signal that one of
    # them took would have its default effect, whatever the main thread blocks or waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, workers.SIGNALS)
    setting_words.refuse_blank_keys()
    configuration = setting_words.from_words(words)
    from embed_onnx.http import listening, server
    from embed_onnx.models import registry
    from embed_onnx.observe import logs
    from embed_onnx.system import child

    signal.pthread_sigmask(signal.SIG_UNBLOCK, workers.SIGNALS - workers.UNTIL_SERVING)
    with contextlib.ExitStack() as stack:
        stack.enter_context(logs.to_stderr(configuration.log_format, configuration.log_level))
        entries = registry.entries_to_serve(configuration)
        if worker is None:
            for sentence in setting_words.warnings():
                log.warning("%s", sentence)
            sockets = stack.enter_context(listening.bound(configuration))
            _export_missing(registry.missing(entries, configuration.artifacts), configuration)
        else:
            descriptors, parent = worker
            child.end_with_parent(parent)
            sockets = [socket.socket(fileno=int(word)) for word in descriptors.split(",")]
        if configuration.workers > 1:
            gc.enable()
            workers.run(sockets, sys.argv[1:], workers=configuration.workers, threads=configuration.threads)
            return
        if worker is None:
            server.serve(entries, configuration, sockets)
        else:  # it loads before it takes connections that other workers could answer
            on_reload = workers.reload_others
            server.serve(entries, configuration, sockets, load_first=True, on_reload=on_reload)


def _export_missing(entries: list["Entry"], configuration: "Settings") -> None:
    """Export in a process of its own, so that the server does not keep torch in memory."""
    if not entries:
        return
    from embed_onnx.engine import native
    from embed_onnx.system import child

    native.find(configuration.kernels)  # before minutes of exporting, not after
    names = [entry.name for entry in entries]
    try:
        export.check_packages()
    except SetupError as err:
        raise SetupError(f"{configuration.artifacts} lacks {', '.join(names)}; {err}") from None
    click.echo(f"embed-onnx: {configuration.artifacts} lacks {', '.join(names)}; exporting", err=True)
    command = [sys.executable, "-m", "embed_onnx", "export", *names, "--parent", str(os.getpid())]
    listing = ["--artifacts", str(configuration.artifacts), "--models", str(configuration.models)]
    listing += [word for line in configuration.model for word in ("--model", line)]
    if child.run([*command, *listing], grace=configuration.drain_timeout):
        raise SetupError(
            "nothing is served, as models could not be exported, see above; those that were exported stay "
            f"in {configuration.artifacts}; correct or remove the lines of the others, and start again"
        )
