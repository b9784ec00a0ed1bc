"""The benchmarks' own arithmetic, their worker protocol and what they write; nothing is measured here."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import (
    chart,
    cores,
    engines,
    gate,
    peers,
    record,
    rerankers,
    speed_tables,
    stats,
    tables,
    texts,
    traffic,
)
from benchmarks.engines import OURS, Engine, Worker

WORKER = """
import numpy as np
import protocol

def load(width):
    print("libraries print what they like")
    return lambda texts: np.array([[len(text)] * width for text in texts])

protocol.serve(load, ["numpy"], kernels="none")
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker of a script of the test's own, beside the real protocol."""
    (tmp_path / "protocol.py").write_text((peers.WORKERS / "protocol.py").read_text())
    (tmp_path / "tiny.py").write_text(WORKER)
    monkeypatch.setattr(peers, "WORKERS", tmp_path)
    return Worker(Engine("tiny.py", None, {"width": 4}))


def test_worker(worker: Worker, tmp_path: Path) -> None:
    with worker:
        taken = worker.time(["a", "bb"], 0)
        vectors = worker.vectors(["a", "bb"], tmp_path / "vectors.npy")

    assert {"numpy": np.__version__, "kernels": "none"} == worker.versions
    assert 1 == len(taken)
    assert np.full((2, 4), 0.5, np.float32).tolist() == vectors.tolist()


def test_worker_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "WORKERS", tmp_path)
    (tmp_path / "broken.py").write_text("raise SystemExit")

    with pytest.raises(RuntimeError, match="ended"), Worker(Engine("broken.py", None, {})):
        pass


@pytest.mark.parametrize(
    ("instructions", "more"),
    [
        (["avx2"], {f"{engines.ONNX} (avx2)"}),
        (["avx2", "avx512f"], {f"{engines.ONNX} (avx2)", engines.AVX2}),
        (["avx2", "avx512f", "avx512_vnni"], {engines.AVX2}),
        (["avx2", "avx_vnni"], {engines.AVX2}),
    ],
)
def test_engines_of_a_processor(
    instructions: list[str], more: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "HOME", tmp_path)
    peers.files(peers.SMALL).mkdir(parents=True)
    (peers.files(peers.SMALL) / "config.json").write_text('{"hidden_size": 384}')

    rows = engines.engines(peers.SMALL, 2, instructions)

    assert more == set(rows) & {f"{engines.ONNX} (avx2)", engines.AVX2}
    assert all((peers.WORKERS / row.script).exists() for row in rows.values())


@pytest.mark.parametrize("instructions", [["avx2"], ["avx2", "avx512_vnni"]])
def test_engines_that_rank(instructions: list[str]) -> None:
    rows = rerankers.rerankers(2, instructions)

    (preset,) = [name for name in rows if name.startswith(engines.ONNX)]
    assert f"{engines.ONNX} ({instructions[-1]})" == preset
    assert all((peers.WORKERS / row.script).exists() for row in rows.values())
    environments = {row.environment for row in rows.values()} - {None}
    assert environments <= {path.stem for path in peers.ENVIRONMENTS.glob("*.txt")}


def test_environments_are_pinned() -> None:
    for path in peers.ENVIRONMENTS.glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]

        assert [] == [line for line in lines if "==" not in line]


def test_quartiles_and_latencies() -> None:
    assert [2.0, 3.0, 4.0] == stats.quartiles([1, 2, 3, 4, 5])
    assert {
        "p50": 2.0,
        "p95": 2.9,
        "p99": 2.98,
        "p50_rounds": [1.5, 2.0, 2.5],
        "p99_rounds": [1.5, 2.0, 2.5],
        "requests": 2,
    } == stats.latencies([[0.001], [0.003]])


def test_mixed_texts_are_the_same_at_every_run(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(map(str, range(50))))

    assert texts.mixed([], 10) == texts.mixed([], 10)
    assert 10 == len(set(texts.mixed([tmp_path / "lines.txt"], 10)))


def test_loops() -> None:
    value = iter([["a"]] * 10)
    started = time.perf_counter()

    due = [when - started for when, _ in traffic.at_rate(value, rate=10, seconds=0.5)]

    assert [0.0, 0.1, 0.2, 0.3, 0.4] == [round(when, 1) for when in due]
    assert [] == list(traffic.closed(value, seconds=0))


def test_results_keep_folders_to_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks/speed.py", "--texts", "/home/somebody/short.txt"])

    record.write("speed", {"a": 1})

    written = json.loads((tmp_path / "speed.json").read_text())
    assert "python -m benchmarks.speed --texts short.txt" == written["command"]
    assert {"a": 1} == record.read("speed")["results"]


def test_chart_draws_the_fastest_first() -> None:
    slow, fast = {"tokens_per_second": [9, 10, 11]}, {"tokens_per_second": [90, 100, 110]}

    drawn = ElementTree.fromstring(chart.svg("a < b", {"engines": {"slow & old": slow, OURS: fast}}))

    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert ["a < b", OURS, "100", "slow & old", "10"] == said


def test_figures_go_between_the_markers() -> None:
    before = "top\n<!-- a -->\nold\n<!-- /a -->\nmiddle\n<!-- b -->\n<!-- /b -->\nbottom\n"
    after = "top\n<!-- a -->\nnew\n<!-- /a -->\nmiddle\n<!-- b -->\nother\n<!-- /b -->\nbottom\n"

    assert after == tables._filled(before, {"a": "new", "b": "other"})


def test_workers_are_stopped_between_requests(worker: Worker) -> None:
    with worker:
        worker.time(["a"], 0)
        stopped = os.waitid(os.P_PID, worker._process.pid, os.WSTOPPED | os.WNOWAIT)

    assert stopped is not None
    assert signal.SIGSTOP == stopped.si_status
    assert 0 == worker._process.returncode


def test_a_gate_opens_when_its_file_exists(tmp_path: Path) -> None:
    path = tmp_path / "go"
    thread = threading.Thread(target=gate.wait, args=(path,))
    gate.wait(None)
    thread.start()
    thread.join(2 * gate.POLL)
    waiting = thread.is_alive()
    path.touch()
    thread.join(10)

    assert waiting
    assert not thread.is_alive()


def test_throughput_of_lanes() -> None:
    """One lane is not delayed, many are as fast as what they share; without that, each adds as much."""
    work, serial = 0.01, 0.001
    rates = [cores.throughput(lanes, work, serial) for lanes in (1, 2, 4, 64, 1000)]

    assert pytest.approx(1 / work) == rates[0]
    assert sorted(rates) == rates
    assert 1.95 / work < rates[1] < 2 / work
    assert pytest.approx(1 / serial, rel=0.01) == rates[-1]
    assert pytest.approx(64 / work) == cores.throughput(64, work, 0)


def test_tables_of_speed() -> None:
    """The closest engine is another with the same vectors; an engine that a model has not leaves a blank."""
    rows = {
        name: {"ms": [1, time, 3], "tokens_per_second": [1000, 8000 / time, 9000], "ratio": [1, time, 3]}
        for name, time in {OURS: 1.0, engines.AVX2: 1.1, engines.PYTORCH: 5.0, engines.FUSED: 1.2}.items()
    }
    table = {engines.MODEL2VEC: rows[OURS]}
    results = {
        "models": {
            peers.SMALL: {"cells": {"1x8": {"engines": rows | table}, "mixed": {"engines": rows | table}}},
            peers.BASE: {"cells": {"1x8": {"engines": rows}}},
        }
    }

    closest = speed_tables.closest(results).splitlines()
    speed = speed_tables.speed(results, ((peers.SMALL, "mixed"), (peers.BASE, "1x8"), (peers.BASE, "16x64")))

    assert [f"| {cell} | {engines.FUSED} | 1.20 (1.00 to 3.00) |" for cell in ("1x8", "mixed")] == closest[
        2:4
    ]
    assert f"| {engines.PYTORCH} | 1.6 | 5.00 |" in speed
    assert f"| {engines.MODEL2VEC} | 8.0 |  |" in speed
