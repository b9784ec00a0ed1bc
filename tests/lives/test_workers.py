"""Several processes behind one port."""

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from harness import (
    START_SECONDS,
    WEB,
    Server,
    at_start,
    embed,
    figure,
    metrics,
    numbered,
    run,
    until,
    waiting,
)

from embed_onnx.http import workers


def children(server: Server) -> set[int]:
    pid = server.process.pid
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.fixture
def two(serve: Callable[..., Server]) -> Server:
    server = serve("--workers", "2", "--threads", "2", "--drain-timeout", str(START_SECONDS))
    until(lambda: sum("listening on" in line for line in server.log) == 2)
    return server


def test_a_worker_that_is_killed_is_started_again(two: Server) -> None:
    """Meanwhile the other answers; each takes its share of the threads and runs on cores of its own."""
    first, second = children(two)

    os.kill(first, signal.SIGKILL)
    statuses = [embed(two.url, "a text").status_code for _ in range(20)]
    until(lambda: len(children(two) - {first, second}) == 1)

    assert [200] * 20 == statuses
    assert f"worker {first} ended with -9" in "".join(two.log)
    commands = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children(two)]
    assert ["1", "1"] == [command[command.index("--threads", -4) + 1] for command in commands]


def test_metrics_are_those_of_all_workers(two: Server) -> None:
    """Whichever answers, once each has booked its requests; one that is gone still counts, without lanes."""
    for _ in range(20):
        embed(two.url, "a text")

    def value(name: str) -> float:
        return figure(metrics(two.url), f"embed_onnx_{name}")

    until(lambda: value("inputs_total") == 20)
    assert 2 == value("lanes")
    first, second = children(two)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(children(two) - {first, second}) == 1)
    until(lambda: value("models_ready") == 2 and value("lanes") == 2)
    assert 20 == value("inputs_total")


def test_sigterm_drains_all_workers(two: Server) -> None:
    started = children(two)

    log = two.stop()

    assert 0 == two.process.returncode
    assert 2 == log.count("draining")
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_draining_workers_refuse_connections(two: Server) -> None:
    """As soon as they drain, so that clients and balancers ask elsewhere; what was accepted is answered."""
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(embed(two.url, numbered("a text that takes its time " * 40, 150)).status_code)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until(lambda: waiting(two.url) > 0)
    two.process.terminate()
    until(lambda: refused(two))
    before = list(statuses)
    asking.join(START_SECONDS)

    assert [] == before
    assert [200] == statuses
    assert 0 == two.process.wait(START_SECONDS)


def refused(server: Server) -> bool:
    try:
        WEB.get(f"{server.url}/health")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it was accepted just before
        return False
    return False


RELOAD_AT_START = """
import os, signal, sys
if "--worker" in sys.orig_argv:
    os.kill(os.getppid(), signal.SIGHUP)
"""
"""Of each worker: it has its parent tell all workers to reload, before it does anything else."""


def test_a_reload_in_the_middle_of_a_start(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Who is not yet serving hears of it as soon as it is, and does not end by it."""
    server = serve("--workers", "2", "--threads", "2", **at_start(tmp_path, RELOAD_AT_START))

    until(lambda: sum("reloaded; served are" in line for line in server.log) >= 2)

    assert "ended with" not in "".join(server.log)
    assert 200 == embed(server.url, "a text").status_code


def test_workers_end_with_their_parent(two: Server) -> None:
    """One that serves, and one that has just been started."""
    before = children(two)
    os.kill(min(before), signal.SIGKILL)
    until(lambda: children(two) - before)
    started = children(two)

    two.process.kill()

    until(lambda: not [pid for pid in started if alive(pid)])


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for is over."""
    try:
        return re.search(r"State:\s+Z", Path(f"/proc/{pid}/status").read_text()) is None
    except FileNotFoundError:
        return False


def test_sighup_reloads_all_workers(two: Server) -> None:
    two.process.send_signal(signal.SIGHUP)

    until(lambda: sum("reloaded; served are" in line for line in two.log) == 2)
    assert 200 == embed(two.url, "a text").status_code


def test_a_reload_that_one_worker_is_asked_for_reaches_all(
    serve: Callable[..., Server], home: Path, tmp_path: Path
) -> None:
    key = run("key", "new", "boss", "--admin", "--file", "keys", cwd=tmp_path).stdout.strip()
    server = serve("--workers", "2", "--api-keys-file", str(tmp_path / "keys"))
    until(lambda: sum("listening on" in line for line in server.log) == 2)

    headers = {"authorization": f"Bearer {key}"}
    answer = WEB.post(f"{server.url}/admin/reload", headers=headers)

    assert 200 == answer.status_code
    until(lambda: sum("reloaded; served are" in line for line in server.log) == 2)


def test_workers_that_cannot_start_end_the_server(copied: Path) -> None:
    """They are not started over and over."""
    (copied / "artifacts/small/tokenizer.json").write_text("{}")

    done = run("serve", "--workers", "2", "--port", "0", cwd=copied)

    assert 1 == done.returncode
    assert "tokenizer.json is damaged" in done.stderr
    assert "workers ended 5 times within 60 s" in done.stderr


@pytest.mark.parametrize(
    ("number", "threads", "expected"),
    [(2, 2, [1, 1]), (2, 3, [1, 2]), (3, 2, [1, 1, 1]), (1, 4, [4])],
)
def test_threads_are_shared_out(number: int, threads: int, expected: list[int]) -> None:
    shares = workers._shares(number, threads)

    assert expected == [share.threads for share in shares]
    assert os.sched_getaffinity(0) == set().union(*(share.cores for share in shares))
