"""Lanes that compute are given time, lanes that wait are not; what nobody waits for any more is ended."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from harness import until
from onnx import TensorProto, helper

from embed_onnx.engine import encoder
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InferenceFailed, SetupError
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.system import cpu


class Spins:
    """Computes for some seconds of processor time a call, and gives zeros."""

    pack_tokens = 0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def empty(self, count: int) -> Vector:
        return np.empty((count, 1), np.float32)

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        return np.zeros((len(sequences), 1), np.float32)


class Waits(Spins):
    """Waits instead, and looks again and again whether it still has to."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.5)
        return np.zeros((len(sequences), 1), np.float32)


class Endless(Spins):
    """Runs a graph in ONNX Runtime that loops almost for ever."""

    def __init__(self, path: Path) -> None:
        self.session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.entered = threading.Event()
        self.ended = threading.Event()

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.entered.set()
        try:
            return encoder.run(self.session, {"times": np.array(2**62)}, ort.RunOptions())
        finally:
            self.ended.set()


@pytest.fixture
def endless(tmp_path: Path) -> Endless:
    one = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "state"], ["next"]),
            helper.make_node("Identity", ["go on"], ["still"]),
        ],
        "body",
        [
            one("number", TensorProto.INT64, []),
            one("go on", TensorProto.BOOL, []),
            one("state", TensorProto.FLOAT, [1, 1]),
        ],
        [one("still", TensorProto.BOOL, []), one("next", TensorProto.FLOAT, [1, 1])],
    )
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1, 1], [0.0])
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "", "zero"], ["states"], body=body)],
        "endless",
        [one("times", TensorProto.INT64, [])],
        [one("states", TensorProto.FLOAT, [1, 1])],
        [zero],
    )
    path = tmp_path / "endless.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return Endless(path)


@pytest.fixture
def schedule() -> Iterator[Callable[..., Scheduler]]:
    result: list[Scheduler] = []

    def make(**rest: Any) -> Scheduler:
        result.append(Scheduler(lanes=1, queue_tokens=100_000, **rest))
        return result[-1]

    yield make
    for scheduler in result:
        scheduler.close()


def test_a_lane_that_computes_for_longer_than_the_timeout_is_not_replaced(schedule) -> None:
    scheduler = schedule(lane_timeout=0.2)

    for _ in range(4):  # one more than lanes may break
        scheduler.submit(Spins(1), [[1]]).future.result(60)

    assert 0 == scheduler.replaced


def test_a_lane_that_waits_for_as_long_is_replaced(schedule) -> None:
    """Whatever the length of the text."""
    scheduler = schedule(lane_timeout=2)

    with pytest.raises(InferenceFailed, match="has been at 8192 tokens"):
        scheduler.submit(Waits(60), [[1] * 8192]).future.result(50)

    until(lambda: scheduler.replaced == 1)


def test_a_lane_that_computes_for_ever_is_replaced(schedule) -> None:
    scheduler = schedule(lane_timeout=0.2)

    with pytest.raises(InferenceFailed, match="has been at 1 tokens"):
        scheduler.submit(Spins(20), [[1]]).future.result(60)

    until(lambda: scheduler.replaced == 1)


def test_a_long_text_is_given_more_time(schedule) -> None:
    """The same that has a short text's lane replaced, where no speed was measured."""
    scheduler = schedule(lane_timeout=0.2)

    scheduler.submit(Spins(4), [[1] * 8192]).future.result(60)

    assert 0 == scheduler.replaced


def test_a_slow_model_is_given_more_time(schedule) -> None:
    """By the speed that was measured of it, not of another one; its lane timeout suits a faster machine."""
    scheduler, slow = schedule(lane_timeout=0.2), Spins(0.02)
    scheduler.submit(Spins(0), [[1]] * 100).future.result(60)
    scheduler.submit(slow, [[1]] * 25).future.result(60)

    slow.seconds = 4
    scheduler.submit(slow, [[1] * 200]).future.result(60)

    assert 0 == scheduler.replaced


def test_the_run_of_a_lane_that_is_replaced_ends(schedule, endless: Endless) -> None:
    """It does not go on beside its successor."""
    scheduler = schedule(lane_timeout=0.1)

    with pytest.raises(InferenceFailed, match="has been at 1 tokens"):
        scheduler.submit(endless, [[1]]).future.result(60)

    assert endless.ended.wait(60)
    assert [[0]] == scheduler.submit(Spins(0), [[1]]).future.result(60).tolist()
    until(lambda: scheduler.replaced == 1)


def test_a_run_that_nobody_waits_for_ends(schedule, endless: Endless, caplog) -> None:
    """The only lane is free for others, and nothing failed."""
    scheduler = schedule(lane_timeout=600)
    job = scheduler.submit(endless, [[1] * 200])
    assert endless.entered.wait(60)

    assert job.future.cancel()

    assert [[0]] == scheduler.submit(Spins(0), [[1] * 200]).future.result(60).tolist()
    assert endless.ended.is_set()
    assert (0, []) == (scheduler.replaced, caplog.records)


def test_a_run_goes_on_while_somebody_waits_for_it(schedule) -> None:
    """A pack of two requests, of which one is given up."""
    scheduler, slow = schedule(lane_timeout=600), Spins(0.5)
    slow.pack_tokens = 64
    scheduler.submit(slow, [[1] * 200])
    until(lambda: scheduler.waiting_sequences == 0)
    one, other = (scheduler.submit(slow, [[1] * 30]) for _ in range(2))
    until(lambda: scheduler.waiting_sequences == 0)

    one.future.cancel()

    assert [[0]] == other.future.result(60).tolist()


def test_closing_ends_what_runs(endless: Endless) -> None:
    with Scheduler(lanes=1, queue_tokens=100) as scheduler:
        scheduler.submit(endless, [[1]])
        assert endless.entered.wait(60)

    assert endless.ended.is_set()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_that_is_none(seconds: float) -> None:
    with pytest.raises(SetupError, match=f"lane_timeout is {seconds}; give more than 0 seconds"):
        Scheduler(lanes=1, queue_tokens=100, lane_timeout=seconds)


def test_lanes_that_die_before_their_first_pack(schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """In process, where nobody supervises them, a call fails and does not wait for ever."""

    def fail() -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(cpu, "lower_priority", fail)

    with pytest.raises(InferenceFailed, match="3 lanes died or hung"):
        schedule(lane_timeout=1).submit(Spins(0), [[1]]).future.result(60)
