"""How log lines look, and how they leave: for people, or one JSON object a line. Never a user's text.

Logging cannot stop the server. Lines wait in a bounded queue for a thread that writes them; where
standard error is not read and the queue is full, lines are dropped and counted.
"""

import contextlib
import json
import logging
import os
import queue
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from logging.handlers import QueueHandler
from typing import Any, Literal

IN_MESSAGE = ("method", "route", "status")
"""What the message of a request's line says already; keys of their own in JSON."""
FIELDS = ("request_id", "model", "inputs", "tokens", "cached", "duration_ms", "key", "error", "timing")
"""What a line may carry besides its message."""
SEVERAL_WORDS = re.compile(r'[\s"]')
"""What makes a value look like several in a line of words."""
LINES_WAITING = 4096
"""Lines that may wait to be written, about a megabyte."""
REST_SECONDS = 0.02
"""How long the thread that writes lines rests after one: to be woken for each would hold up requests."""
FLUSH_SECONDS = 2.0
"""How long the end of the process may wait for its last lines to be read."""


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00 INFO POST /v1/embeddings 200 request_id=...``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line, and its fields at the end."""
        line = super().formatMessage(record)
        return " ".join(
            [line, *(f"{name}={_word(value)}" for name, value in _fields(record, FIELDS).items())]
        )


class JsonFormatter(logging.Formatter):
    """``{"time": ..., "level": ..., "logger": ..., "message": ..., "request_id": ...}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as JSON."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record, (*IN_MESSAGE, *FIELDS)),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextlib.contextmanager
def to_stderr(
    log_format: Literal["text", "json"], log_level: Literal["debug", "info", "warning", "error"]
) -> Iterator[None]:
    """Send the package's log, and warnings of the libraries, to standard error; write the last at the end."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    lines: queue.Queue[str | None] = queue.Queue(LINES_WAITING)
    handler = _LineQueue(lines)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, level), force=True)
    logging.getLogger("embed_onnx").setLevel(level)
    _leave_out_what_no_line_has()
    # Where standard error is closed, its number may be a client's connection later.
    out = os.dup(sys.stderr.fileno()) if sys.stderr else os.open(os.devnull, os.O_WRONLY)
    writer = threading.Thread(target=_write, args=(lines, out), name="log", daemon=True)
    # Signals are for the main thread, which may wait for them; a thread begins with the mask of its maker.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    writer.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        with contextlib.suppress(queue.Full):
            lines.put(None, timeout=FLUSH_SECONDS)
            writer.join(FLUSH_SECONDS)


def lines_dropped() -> int:
    """Lines of this process that found the queue full."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, _LineQueue))


def frames(err: BaseException) -> str:
    """Where an error came from: its type and its frames, and those of its causes.

    Messages are left out, as they may quote a user's text.
    """
    text = "".join(traceback.format_tb(err.__traceback__)) + type(err).__qualname__
    cause = err.__cause__ or (None if err.__suppress_context__ else err.__context__)
    return text if cause is None else f"{frames(cause)}\n{text}"


class _LineQueue(QueueHandler):
    """Formats at once, queues, and never waits or raises."""

    dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record) + "\n"

    def enqueue(self, record: Any) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's
        """A line that cannot be made; the library would write to standard error, and wait for it."""
        self.dropped += 1


def _leave_out_what_no_line_has() -> None:
    """Threads, processes and places in the code: half of what the library does for a line."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging._srcfile = None  # named in the HOWTO of the library


def _write(lines: "queue.Queue[str | None]", out: int) -> None:
    """Write lines until None, past ``sys.stderr``: Python needs its lock to exit."""
    while (line := lines.get()) is not None:
        rest = line.encode(errors="backslashreplace")
        with contextlib.suppress(OSError):  # the reader is gone
            while rest:
                rest = rest[os.write(out, rest) :]
        if lines.empty():
            time.sleep(REST_SECONDS)


def _fields(record: logging.LogRecord, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(record, name, "")) not in ("", None)}


def _word(value: Any) -> str:
    """A value in a line of words: quoted where it would look like several."""
    return json.dumps(value) if SEVERAL_WORDS.search(str(value)) else str(value)
