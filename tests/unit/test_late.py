"""Work that cannot be done in time is refused early, and nothing is refused wrongly."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from harness import until
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import Overloaded, TimedOut
from embed_onnx.scheduling.jobs import Job
from embed_onnx.scheduling.late import HOPE, late
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.scheduling.speed import ENOUGH, Paces


class Sleeps:
    """Takes some seconds a call, one sequence each."""

    pack_tokens = 0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    def empty(self, count: int) -> Vector:
        return np.empty((count, 1), np.float32)

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.calls += 1
        time.sleep(self.seconds)
        return np.zeros((len(sequences), 1), np.float32)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with Scheduler(lanes=1, queue_tokens=1_000_000) as opened:
        yield opened


@pytest.fixture
def slow(scheduler: Scheduler) -> Sleeps:
    """Of a speed that was measured: 10 ms a sequence."""
    encoder = Sleeps(0.01)
    scheduler.submit(encoder, [[1]] * (2 * ENOUGH)).future.result(60)
    return encoder


def job(sequences: int, timeout: float) -> Job:
    return Job(Sleeps(0), [[1]] * sequences, timeout)


def paces(jobs: Sequence[Job], seconds: float) -> Paces:
    """So many seconds a sequence of each of these."""
    measured = Paces()
    for one in jobs:
        for _ in range(ENOUGH):
            measured.add(one.runs, one.waiting_work / len(one.sequences), seconds, seconds)
    return measured


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    timeout=st.floats(0.1, 100),
    lanes=st.integers(1, 4),
)
def test_who_is_late_is_so_at_a_better_speed_than_was_measured(sizes, timeout, lanes):
    """What is given up takes no time from those after it; who is kept may still be in time."""
    jobs = [job(size, timeout) for size in sizes]
    now = max(one.submitted for one in jobs)

    late_jobs = late(jobs, paces(jobs, 1.0), lanes=lanes, now=now)

    before = 0.0
    for one in jobs:
        seconds = (before + len(one.sequences)) / (HOPE * lanes)
        if one in late_jobs:
            assert seconds > one.deadline - now - 1e-6
        else:
            assert seconds < one.deadline - now + 1e-6
            before += len(one.sequences)


def test_nothing_is_late_where_nothing_was_measured():
    jobs = [job(1000, 1e-9)] * 3

    assert [] == late(jobs, Paces(), lanes=1, now=jobs[0].submitted)


def test_the_speed_of_another_model_says_nothing():
    slow, other = job(10, 1), job(1000, 1)

    assert [slow] == late([slow, other], paces([slow], 1.0), lanes=1, now=slow.submitted)


def test_a_request_that_would_be_late_is_refused_at_once(scheduler: Scheduler, slow: Sleeps) -> None:
    """It says when to come back, and takes nothing from those that wait."""
    waiting = [scheduler.submit(slow, [[1]] * 100) for _ in range(20)]

    with pytest.raises(Overloaded, match="tokens wait, and behind them this request would take") as refused:
        scheduler.submit(slow, [[1]] * 110, timeout=5)

    assert 4 <= int(refused.value.headers["Retry-After"])
    assert scheduler.waiting_sequences <= 2000
    for one in waiting:
        one.future.cancel()


def test_a_request_that_takes_too_long_by_itself(scheduler: Scheduler, slow: Sleeps) -> None:
    """Coming back later would not help."""
    with pytest.raises(TimedOut, match="cannot be done within 2 s; send fewer inputs"):
        scheduler.submit(slow, [[1]] * 5000, timeout=2)

    assert 0 == scheduler.waiting_sequences


@pytest.mark.parametrize("timeout", [math.inf, 3600.0])
def test_a_request_that_can_be_in_time_is_taken(scheduler: Scheduler, slow: Sleeps, timeout: float) -> None:
    bulk = scheduler.submit(slow, [[1]] * 1000, timeout=timeout)
    small = scheduler.submit(slow, [[1]] * 5, timeout=5)  # goes before it

    assert (5, 1) == small.future.result(60).shape
    bulk.future.cancel()


def test_a_model_that_nothing_was_measured_of_is_not_refused(scheduler: Scheduler, slow: Sleeps) -> None:
    """Whatever another one's speed is."""
    fast = Sleeps(0)

    assert (300, 1) == scheduler.submit(fast, [[1]] * 300, timeout=30).future.result(60).shape


def test_queries_say_nothing_of_lists(scheduler: Scheduler) -> None:
    """For each token of a word or two, a lane takes several times as long as for one of a list."""
    encoder = Sleeps(0.05)
    for _ in range(2 * ENOUGH):
        scheduler.submit(encoder, [[1]]).future.result(60)
    encoder.seconds = 0.001

    assert (1000, 1) == scheduler.submit(encoder, [[1]] * 1000, timeout=20).future.result(60).shape


def test_a_pace_of_long_ago_says_nothing(
    scheduler: Scheduler, slow: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may be faster by now, and who is refused is not measured: it would never be known."""
    with pytest.raises(TimedOut):
        scheduler.submit(slow, [[1]] * 5000, timeout=10)
    slow.seconds = 0.0
    monkeypatch.setattr("embed_onnx.scheduling.speed.FRESH_SECONDS", -1.0)

    assert (5000, 1) == scheduler.submit(slow, [[1]] * 5000, timeout=10).future.result(60).shape


def test_what_waits_is_given_up_as_soon_as_it_is_late(scheduler: Scheduler, slow: Sleeps) -> None:
    """Others came that go before it; it fails long before its deadline, and no lane has worked for it."""
    first = scheduler.submit(slow, [[1]] * 400, timeout=600)
    until(lambda: slow.calls > 2 * ENOUGH)
    other = Sleeps(0.01)
    waiting = scheduler.submit(other, [[1]] * 3000, timeout=100)
    other.calls = 0

    assert not waiting.future.done()
    scheduler._forecast.long_paces = paces(
        [Job(slow, [[1]]), Job(other, [[1]])], 1.0
    )  # the machine is slow by now
    with pytest.raises(TimedOut, match="cannot be done within 100 s"):
        waiting.future.result(50)

    assert 0 == other.calls
    first.future.cancel()
