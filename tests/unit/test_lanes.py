"""Lanes that die, hang or cannot be started are replaced, and what they ran is answered."""

import math
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from encoders import Priorities, Sums
from harness import until

from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InferenceFailed
from embed_onnx.scheduling import watchdog
from embed_onnx.scheduling.lane import Lane
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.system import cpu


class Deadly(Sums):
    """Ends the thread that runs it."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        raise SystemExit


# Lanes that die or hang.
def test_a_lane_that_dies_is_replaced(schedule, sums: Sums) -> None:
    """Its request fails with the reason; the next one finds another lane."""
    scheduler = schedule(lane_timeout=1)

    failed = scheduler.submit(Deadly(), [[1]]).future

    with pytest.raises(InferenceFailed, match="the lane that ran this request died"):
        failed.result(60)
    assert [[2]] == scheduler.submit(sums, [[2]]).future.result(60).tolist()
    assert 1 == scheduler.replaced


def test_a_lane_that_hangs_is_replaced(schedule, sums: Sums) -> None:
    """All of its request leaves the queue, and what its thread brings at last is of no consequence."""
    scheduler, stuck = schedule(lane_timeout=0.2), Sums()
    stuck.gate.clear()

    failed = scheduler.submit(stuck, [[1], [2]]).future

    with pytest.raises(InferenceFailed, match="has been at 1 tokens for 0 s; others go on"):
        failed.result(60)
    assert 0 == scheduler.waiting_sequences
    assert [[3]] == scheduler.submit(sums, [[3]]).future.result(60).tolist()
    stuck.gate.set()
    assert [[4]] == scheduler.submit(sums, [[4]]).future.result(60).tolist()
    until(lambda: stuck.packs)
    assert ([[[1]]], 1) == (stuck.packs, scheduler.replaced)


def test_the_quick_lane_is_replaced_too(schedule, sums: Sums) -> None:
    scheduler, slow = schedule(lane_timeout=1, queue_tokens=1000), Sums()
    slow.gate.clear()
    scheduler.submit(slow, [[1] * 200])
    slow.entered.acquire(timeout=60)

    with pytest.raises(InferenceFailed, match="died"):
        scheduler.submit(Deadly(), [[1]]).future.result(60)

    slow.gate.set()
    assert [[2]] == scheduler.submit(sums, [[2]]).future.result(60).tolist()


def test_lanes_that_keep_dying_are_reported(schedule) -> None:
    """Somebody else has to end the process, so that its supervisor starts it again."""
    reported: queue.Queue[str] = queue.Queue()
    scheduler = schedule(lane_timeout=1, on_sick=reported.put)

    for _ in range(watchdog.SICK):
        assert reported.empty()
        with pytest.raises(InferenceFailed):
            scheduler.submit(Deadly(), [[1]]).future.result(60)

    assert "3 lanes died or hung within 600 s" == reported.get(timeout=60)


def test_the_last_success(schedule, sums: Sums) -> None:
    """Neither a failure nor a request that nobody waits for any more counts as one."""
    scheduler = schedule()
    with pytest.raises(InferenceFailed):
        scheduler.submit(sums, [[13]]).future.result(60)
    before = scheduler.last_success
    scheduler.submit(sums, [[1]]).future.result(60)

    assert -math.inf == before
    assert 0 < scheduler.last_success <= time.monotonic()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has the priority of its process")
def test_lanes_give_way_to_the_event_loop() -> None:
    """They are nicer than the thread that started them, which stays as it was."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    noting = Priorities()

    with Scheduler(lanes=1, queue_tokens=100) as scheduler:
        scheduler.submit(noting, [[1]]).future.result(timeout=60)

    assert [before + cpu.NICENESS] == noting.nice
    assert before == os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_lane_that_no_thread_can_be_started_for(
    schedule, sums: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request fails at once; another takes its place when the system has a thread again."""
    scheduler, start = schedule(lane_timeout=1), Lane.start
    refused: list[Lane] = []

    def refuse_first(lane: Lane) -> None:
        if not refused:
            refused.append(lane)
            raise RuntimeError("can't start new thread")
        start(lane)

    monkeypatch.setattr(Lane, "start", refuse_first)
    failed = scheduler.submit(Deadly(), [[1]]).future

    with pytest.raises(InferenceFailed, match="the lane that ran this request died"):
        failed.result(60)
    assert [[2]] == scheduler.submit(sums, [[2]]).future.result(60).tolist()
    assert (1, 1) == (len(refused), scheduler.replaced)


def test_a_pack_that_cannot_be_counted_is_answered(schedule, sums: Sums) -> None:
    """As on a full disk, where the figures of several processes are."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    scheduler = schedule(lane_timeout=1, on_pack=fail)

    assert [[3], [4]] == scheduler.submit(sums, [[3], [4]]).future.result(60).tolist()
    assert 0 == scheduler.replaced


def test_a_process_that_was_stopped_has_no_lane_that_hangs(
    schedule, sums: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what passes while the watchdog is awake counts."""
    scheduler, clock, whole = schedule(lane_timeout=60), time.monotonic, watchdog._Watch.look
    rounds = threading.Semaphore(0)

    def look(watch: watchdog._Watch, *rest: Any) -> str:
        trouble = whole(watch, *rest)
        rounds.release()
        return trouble

    sums.gate.clear()
    job = scheduler.submit(sums, [[1]])
    sums.entered.acquire(timeout=60)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
    monkeypatch.setattr(watchdog._Watch, "look", look)
    looked = [rounds.acquire(timeout=60) for _ in range(4)]
    sums.gate.set()

    assert [True] * 4 == looked
    assert [[1]] == job.future.result(60).tolist()
    assert 0 == scheduler.replaced
