"""Several server processes on one port: started, started again when they end, and sent every signal.

Each has an equal part of the cores and lanes of its own. The parent holds the port and serves nothing.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from embed_onnx.errors import SetupError
from embed_onnx.system import cpu
from embed_onnx.system.signals import Echoes

log = logging.getLogger(__name__)

ENDS = 5
ENDS_SECONDS = 60.0
"""After so many ends in a row of a worker and its successors, each so soon after its start, none is started
again."""
UNTIL_SERVING = {signal.SIGHUP}
"""Blocked in a worker until it can reload: it would end by it."""
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's variable, by which every worker answers with the metrics of all."""


def run(socks: list[socket.socket], arguments: Sequence[str], *, workers: int, threads: int) -> None:
    """Serve with so many processes until SIGINT or SIGTERM; a second one ends them at once.

    ``arguments`` are those of the command line; ``threads`` are shared out, 0 stands for all cores.

    Raises:
        SetupError: Workers keep ending.
    """
    for sock in socks:
        sock.set_inheritable(True)
    descriptors = ",".join(str(sock.fileno()) for sock in socks)
    command = [sys.executable, "-m", "embed_onnx", *arguments, "--workers", "1"]
    command += ["--worker", descriptors, str(os.getpid())]
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with _metrics_folder():
        _Workers(socks, command, _shares(workers, threads)).run()


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """A folder where each worker can read the figures of all; where none can be written, each has its own."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="embed-onnx-metrics-")
    except OSError as err:
        log.warning(
            "no temporary folder can be made (%s), so /metrics has the figures of one worker at a time; set "
            "TMPDIR to a folder that can be written",
            err.strerror,
        )
        os.environ.pop(METRICS_FOLDER, None)
        yield
        return
    with folder as name:
        os.environ[METRICS_FOLDER] = name
        yield


def reload_others() -> None:
    """Have the parent make every worker reload, as one of them did."""
    os.kill(os.getppid(), signal.SIGHUP)


class _Share(msgspec.Struct):
    """A worker's part of the machine, and how often workers with it ended."""

    threads: int
    cores: set[int]
    started: float = 0.0
    """When the last one started, on the clock of ``time.monotonic``."""
    ends: int = 0
    """In a row, each soon after a start."""


def _shares(workers: int, threads: int) -> list[_Share]:
    """Equal parts; workers that are more than the cores may run on any of them."""
    cores = sorted(cpu.cores())
    threads = threads or cpu.usable_cores()
    ends = [number * len(cores) // workers for number in range(workers + 1)]
    return [
        _Share(
            max(1, (threads + number) // workers),
            set(cores[ends[number] : ends[number + 1]] or cores),
        )
        for number in range(workers)
    ]


class _Workers:
    def __init__(self, socks: list[socket.socket], command: list[str], shares: list[_Share]) -> None:
        self._socks = socks
        self._command = command
        self._shares = shares
        self._running: dict[int, _Share] = {}
        """By process id."""
        self._stopping = False
        self._echoes = Echoes()
        self._failure = ""

    def run(self) -> None:
        """Start all, and wait for signals until all have ended."""
        for share in self._shares:
            self._start(share)
        while self._running:
            number = signal.sigwait(SIGNALS)
            if number == signal.SIGCHLD:
                self._reap()
                continue
            if number == signal.SIGHUP:
                self._signal(number)
            elif not self._echoes.is_echo(number):
                self._stop()
        if self._failure:
            raise SetupError(self._failure)

    def _start(self, share: _Share) -> None:
        """A new process has the mask of signals and the cores of its parent."""
        cores = cpu.cores()
        cpu.run_on(share.cores & cores or cores)  # some may be gone since
        command = [*self._command, "--threads", str(share.threads)]
        # In a process group of its own: a terminal's Ctrl-C is for the parent, which passes it on once.
        pid = os.posix_spawn(sys.executable, command, os.environ, setpgroup=0, setsigmask=UNTIL_SERVING)
        cpu.run_on(cores)
        share.started = time.monotonic()
        self._running[pid] = share

    def _stop(self) -> None:
        """Take no more connections: they are refused once the last process has closed the port."""
        self._stopping = True
        for sock in self._socks:
            sock.close()
        self._signal(
            signal.SIGTERM
        )  # whatever came: a worker that does not serve yet ends by it as it should

    def _signal(self, number: int) -> None:
        for pid in self._running:
            os.kill(pid, number)

    def _reap(self) -> None:
        """Start a worker again that ended by itself, unless that happens again and again."""
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            share = self._running.pop(pid)
            _forget_figures(pid)
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                # It did not serve yet if it ended by the signal.
                if code not in (0, -signal.SIGTERM) and not self._failure:
                    self._failure = f"worker {pid} ended with {code} when it was asked to stop"
                continue
            log.error("worker %d ended with %d", pid, code)
            share.ends = share.ends + 1 if time.monotonic() - share.started < ENDS_SECONDS else 0
            if share.ends == ENDS:
                self._failure = (
                    f"workers ended {ENDS} times within {ENDS_SECONDS:g} s of their start, each in the place "
                    "of the last; the log has why"
                )
                self._stop()
            else:
                self._start(share)


def _forget_figures(pid: int) -> None:
    """Remove the gauges of a process that ended."""
    folder = os.environ.get(METRICS_FOLDER)
    if folder:
        for path in Path(folder).glob(f"gauge_live*_{pid}.db"):
            path.unlink()
