"""Workers that end by themselves: which are started again, and when that is given up."""

import subprocess
import sys
from pathlib import Path

from harness import START_SECONDS, until

PARENT = """
import itertools, os, signal, socket, sys, time
from embed_onnx.http import workers
from embed_onnx.errors import SetupError

folder, child, number, cores, seconds = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, workers.SIGNALS)
os.environ[workers.METRICS_FOLDER] = folder
if float(seconds):
    clock = itertools.count(step=float(seconds))
    time.monotonic = lambda: next(clock)
shares = [workers._Share(1, eval(cores)) for _ in range(int(number))]
try:
    workers._Workers([socket.socket()], [sys.executable, "-c", child], shares).run()
except SetupError as err:
    sys.exit(str(err))
"""
"""The parent of workers that run a program of the test's own; its clock goes on by so many seconds a look."""
DIES = "import sys; sys.exit(3)"
SIX_DIE = """
import os, pathlib, signal, sys

for number in range(100):
    try:
        (pathlib.Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / str(number)).touch(exist_ok=False)
    except FileExistsError:
        continue
    sys.exit(3) if number < 6 else signal.pause()
"""
"""A worker that leaves a file, and ends if it is one of the first six."""
CORES = "os.sched_getaffinity(0)"


def parent(folder: Path, child: str, *, number: int, cores: str = CORES, seconds: float = 0) -> list[str]:
    return [sys.executable, "-c", PARENT, str(folder), child, str(number), cores, str(seconds)]


def last_line(command: list[str]) -> str:
    """What a parent says in the end."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert 1 == done.returncode
    return done.stderr.splitlines()[-1]


def test_many_workers_that_end_once_are_started_again(tmp_path: Path) -> None:
    """As each of them may, however many there are."""
    with subprocess.Popen(parent(tmp_path, SIX_DIE, number=6), stderr=subprocess.DEVNULL) as process:
        until(lambda: len(list(tmp_path.iterdir())) == 12 or process.poll() is not None)
        process.terminate()

    assert 0 == process.returncode


def test_workers_that_end_long_after_their_start_are_given_up(tmp_path: Path) -> None:
    """31 s after it, each time: a slow model that does not load."""
    log = last_line(parent(tmp_path, DIES, number=1, seconds=31))

    assert "workers ended 5 times within 60 s of their start" in log


def test_cores_that_were_taken_away(tmp_path: Path) -> None:
    """A worker whose own cores are all gone may run on those that are left."""
    log = last_line(parent(tmp_path, DIES, number=1, cores="{1000}"))

    assert "workers ended 5 times" in log
