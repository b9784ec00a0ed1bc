"""Lanes and futures: nothing accepted is lost, and every future ends."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from harness import until

from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InferenceFailed, InvalidRequest, Overloaded, Unavailable
from embed_onnx.scheduling.lane import Lane
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.system import cpu


class Sums:
    """Embeds a sequence as the sum of its ids, once its gate is open; id 13 is bad luck."""

    def __init__(self, pack_tokens: int = 0) -> None:
        self.pack_tokens = pack_tokens
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.packs: list[list[list[int]]] = []

    @property
    def order(self) -> list[int]:
        """The first id of every sequence."""
        return [ids[0] for pack in self.packs for ids in pack]

    def empty(self, count: int) -> Vector:
        return np.empty((count, 1), np.float32)

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.entered.release()
        self.gate.wait(60)
        self.packs.append([list(ids) for ids in sequences])
        if any(13 in ids for ids in sequences):
            raise ValueError("bad luck")
        return np.array([[sum(ids)] for ids in sequences], np.float32)


class Forgetful(Sums):
    """Loses the last vector of a pack."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        vectors = super().run(sequences)
        return vectors[:-1] if len(sequences) > 1 else vectors


class Priorities(Sums):
    """Notes how nice the lane is that calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.nice: list[int] = []

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().run(sequences)


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def packing() -> Sums:
    return Sums(pack_tokens=64)


@pytest.fixture
def schedule() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def make(lanes: int = 1, queue_tokens: int = 100, **rest: Any) -> Scheduler:
        made.append(Scheduler(lanes=lanes, queue_tokens=queue_tokens, **rest))
        return made[-1]

    yield make
    for scheduler in made:
        scheduler.close()


def close_gate(scheduler: Scheduler, sums: Sums) -> None:
    """Occupy the only lane with a sequence of one token, so that all else waits."""
    sums.gate.clear()
    scheduler.submit(sums, [[0]])
    sums.entered.acquire(timeout=60)


def submit_until_refused(scheduler: Scheduler, sums: Sums) -> None:
    while True:
        scheduler.submit(sums, [[1]]).future.cancel()


def test_vectors_come_in_order(schedule, sums: Sums) -> None:
    job = schedule(lanes=4).submit(sums, [[1, 2], [3], [4, 5, 6]])

    assert [[3], [3], [15]] == job.future.result(60).tolist()
    assert job.submitted <= job.started <= job.finished


def test_no_sequences_are_done_at_once(schedule, sums: Sums) -> None:
    assert (0, 1) == schedule().submit(sums, []).future.result(0).shape


def test_a_short_request_passes_a_bulk_one(schedule, sums: Sums) -> None:
    """A query that comes while a list waits runs after what is running, not after the list."""
    scheduler = schedule()
    close_gate(scheduler, sums)
    bulk = scheduler.submit(sums, [[number] for number in range(100, 120)])
    query = scheduler.submit(sums, [[7]])

    sums.gate.set()
    bulk.future.result(60)
    query.future.result(60)

    assert sums.order.index(7) <= 2


def test_a_quick_request_does_not_wait_for_slow_packs(schedule, sums: Sums) -> None:
    """It is answered while every lane is still at a long sequence; another long one waits."""
    scheduler, slow = schedule(lanes=2, queue_tokens=1000), Sums()
    slow.gate.clear()
    jobs = [scheduler.submit(slow, [[1] * 200]) for _ in range(3)]
    for _ in range(2):
        slow.entered.acquire(timeout=60)

    assert [[7]] == scheduler.submit(sums, [[7]]).future.result(60).tolist()
    assert [False] * 3 == [job.future.done() for job in jobs]
    assert 1 == scheduler.waiting_sequences

    slow.gate.set()
    assert [[[200]]] * 3 == [job.future.result(60).tolist() for job in jobs]


def test_a_quick_request_waits_for_a_lane_that_is_quick_too(schedule, sums: Sums) -> None:
    """More threads at work than cores would only delay all of them."""
    scheduler = schedule(lanes=2, queue_tokens=1000)
    close_gate(scheduler, sums)
    scheduler.submit(sums, [[1] * 200])
    sums.entered.acquire(timeout=60)

    job = scheduler.submit(sums, [[7]])

    assert not sums.entered.acquire(timeout=0.2)
    assert 1 == scheduler.waiting_sequences
    sums.gate.set()
    assert [[7]] == job.future.result(60).tolist()


def test_an_idle_lane_takes_a_pack(schedule, packing: Sums) -> None:
    """Sequences of several requests run in one call, and each request has its own vectors."""
    scheduler = schedule()
    close_gate(scheduler, packing)
    jobs = [scheduler.submit(packing, [[number, 1], [number, 2]]) for number in (10, 20, 30)]

    packing.gate.set()

    assert [[[11], [12]], [[21], [22]], [[31], [32]]] == [job.future.result(60).tolist() for job in jobs]
    assert [1, 6] == [len(pack) for pack in packing.packs]


def test_a_pack_has_one_encoder(schedule, packing: Sums) -> None:
    scheduler, other = schedule(), Sums(pack_tokens=64)
    close_gate(scheduler, packing)
    jobs = [scheduler.submit(encoder, [[1], [2]]) for encoder in (packing, other, packing)]

    packing.gate.set()

    assert [[[1], [2]]] * 3 == [job.future.result(60).tolist() for job in jobs]
    assert [[[1], [2]]] == other.packs


def test_one_request_runs_on_all_lanes(schedule, packing: Sums) -> None:
    """The lane that is woken takes its part and wakes the next."""
    packing.gate.clear()
    job = schedule(lanes=3).submit(packing, [[1] * 32] * 3)

    entered = [packing.entered.acquire(timeout=60) for _ in range(3)]

    assert [True] * 3 == entered
    packing.gate.set()
    assert [[32]] * 3 == job.future.result(60).tolist()


def test_a_full_queue_refuses_at_once(schedule, sums: Sums) -> None:
    """More tokens than the limit are 429 with a time to come back, and all of a request or none of it."""
    scheduler = schedule(queue_tokens=10)
    close_gate(scheduler, sums)
    accepted = scheduler.submit(sums, [[1] * 6])

    with pytest.raises(Overloaded) as refused:
        scheduler.submit(sums, [[1] * 3, [1] * 2])

    assert "6 tokens wait, and 5 more exceed the limit of 10" in str(refused.value)
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert (6, 1) == (scheduler.waiting_tokens, scheduler.waiting_sequences)
    sums.gate.set()
    assert [[6]] == accepted.future.result(60).tolist()


def test_what_never_fits_is_the_clients_error(schedule, sums: Sums) -> None:
    """A request larger than the whole queue would be refused for ever, so it is not a 429."""
    with pytest.raises(InvalidRequest, match="101 tokens and the queue holds 100"):
        schedule().submit(sums, [[1] * 101])


def test_a_failure_ends_its_own_request(schedule, sums: Sums) -> None:
    """The lane lives on, and the rest of the failed request leaves the queue."""
    scheduler = schedule()
    bad = scheduler.submit(sums, [[13], *[[1]] * 50])
    good = scheduler.submit(sums, [[2]])

    with pytest.raises(InferenceFailed, match="bad luck"):
        bad.future.result(60)
    assert [[2]] == good.future.result(60).tolist()
    assert 0 == scheduler.waiting_tokens


def test_a_failing_pack_fails_the_request_at_fault(schedule, packing: Sums) -> None:
    """The others of the pack run again, alone; what else there is of the failed one does not."""
    scheduler = schedule()
    close_gate(scheduler, packing)
    before = scheduler.submit(packing, [[1], [2]])
    bad = scheduler.submit(packing, [[13], [4]])
    after = scheduler.submit(packing, [[5], [6]])

    packing.gate.set()

    assert [[1], [2]] == before.future.result(60).tolist()
    with pytest.raises(InferenceFailed, match="bad luck"):
        bad.future.result(60)
    assert [[5], [6]] == after.future.result(60).tolist()
    together, *alone = packing.packs[1:]
    assert [[1], [2], [13], [4], [5], [6]] == together
    assert [[[1]], [[2]], [[13]], [[5]], [[6]]] == alone


def test_the_log_names_the_sequence_at_fault(
    schedule, packing: Sums, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = schedule()
    close_gate(scheduler, packing)
    good = scheduler.submit(packing, [[1]])
    bad = scheduler.submit(packing, [[13, 2, 3]])

    packing.gate.set()
    good.future.result(60)
    bad.future.exception(60)

    assert [
        "a pack of 2 sequences failed and is run one by one: bad luck",
        "a sequence of 3 tokens failed",
    ] == [record.getMessage() for record in caplog.records]


def test_a_pack_that_loses_a_vector_is_run_one_by_one(schedule) -> None:
    encoder = Forgetful(pack_tokens=64)

    assert [[1], [2], [3]] == schedule().submit(encoder, [[1], [2], [3]]).future.result(60).tolist()


def test_cancelling_takes_waiting_sequences_out(schedule, sums: Sums) -> None:
    scheduler = schedule()
    close_gate(scheduler, sums)
    job = scheduler.submit(sums, [[1, 2, 3]] * 5)

    assert job.future.cancel()

    assert (0, 0) == (scheduler.waiting_tokens, scheduler.waiting_sequences)
    sums.gate.set()
    assert [[9]] == scheduler.submit(sums, [[9]]).future.result(60).tolist()
    assert 0 == sums.order.count(1)


def test_drain_finishes_what_was_accepted(schedule, sums: Sums) -> None:
    """New work is refused, accepted work is done."""
    scheduler = schedule()
    close_gate(scheduler, sums)
    job = scheduler.submit(sums, [[5]] * 3)
    draining = threading.Thread(target=scheduler.drain, args=(60,))
    draining.start()
    with pytest.raises(Unavailable, match="going down"):
        submit_until_refused(scheduler, sums)

    sums.gate.set()
    draining.join(60)

    assert [[5]] * 3 == job.future.result(0).tolist()


def test_drain_fails_what_is_late(schedule, sums: Sums) -> None:
    """After its limit, drain answers what is left; no future is left waiting."""
    scheduler = schedule()
    close_gate(scheduler, sums)
    job = scheduler.submit(sums, [[5]] * 3)

    scheduler.drain(timeout=0)

    with pytest.raises(Unavailable, match="went down"):
        job.future.result(0)
    sums.gate.set()


@pytest.mark.parametrize("pack_tokens", [0, 2, 64])
def test_many_threads_lose_nothing(schedule, pack_tokens: int) -> None:
    """Eight threads, four lanes, some failures and cancellations: every future ends as it should."""
    sums = Sums(pack_tokens)
    scheduler = schedule(lanes=4, queue_tokens=100_000)
    wrong: list[object] = []

    def client(seed: int) -> None:
        for number in range(100):
            ids = [seed, number, 13 if number % 10 == 9 else 0]
            job = scheduler.submit(sums, [ids, [number]])
            if number % 10 == 5:
                job.future.cancel()
            elif 13 in (seed, number) or number % 10 == 9:
                if not isinstance(job.future.exception(60), InferenceFailed):
                    wrong.append(ids)
            elif job.future.result(60).tolist() != [[seed + number], [number]]:
                wrong.append(ids)

    clients = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()

    assert [] == wrong
    assert (0, 0) == (scheduler.waiting_tokens, scheduler.waiting_sequences)


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
    reported = threading.Semaphore(0)
    scheduler = schedule(lane_timeout=1)
    scheduler.on_sick = reported.release

    for _ in range(scheduler.SICK):
        assert not reported.acquire(blocking=False)
        with pytest.raises(InferenceFailed):
            scheduler.submit(Deadly(), [[1]]).future.result(60)

    assert reported.acquire(timeout=60)


def test_the_last_success(schedule, sums: Sums) -> None:
    """Neither a failure nor a request that nobody waits for any more counts as one."""
    scheduler = schedule()
    with pytest.raises(InferenceFailed):
        scheduler.submit(sums, [[13]]).future.result(60)
    before = scheduler.last_success
    scheduler.submit(sums, [[1]]).future.result(60)

    assert -math.inf == before
    assert 0 < scheduler.last_success <= time.monotonic()


def test_a_tenant_leaves_room_for_others(schedule, sums: Sums) -> None:
    """Alone, it has half of the queue; who has nothing waiting has all the room that is left."""
    scheduler = schedule(queue_tokens=100)
    close_gate(scheduler, sums)
    scheduler.submit(sums, [[1] * 50], tenant="crowd")

    with pytest.raises(
        Overloaded, match="wait, 50 of them yours, and 1 more exceed your share of the limit of 100"
    ):
        scheduler.submit(sums, [[1]], tenant="crowd")
    scheduler.submit(sums, [[1] * 50], tenant="other")
    with pytest.raises(Overloaded, match="100 tokens wait, and 1 more exceed the limit of 100"):
        scheduler.submit(sums, [[1]], tenant="third")
    sums.gate.set()


def test_tenants_take_turns(schedule, sums: Sums) -> None:
    """One tenant's many requests do not put another's behind all of them."""
    scheduler = schedule(queue_tokens=10_000)
    close_gate(scheduler, sums)
    crowd = [scheduler.submit(sums, [[100] * 90], tenant="crowd") for _ in range(20)]
    lone = scheduler.submit(sums, [[7] * 90], tenant="lone")

    sums.gate.set()
    for job in (*crowd, lone):
        job.future.result(60)

    assert sums.order.index(7) <= 2


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

    def refuse_first(lane: Lane, work: Callable[[Lane], None]) -> None:
        if not refused:
            refused.append(lane)
            raise RuntimeError("can't start new thread")
        start(lane, work)

    monkeypatch.setattr(Lane, "start", refuse_first)
    failed = scheduler.submit(Deadly(), [[1]]).future

    with pytest.raises(InferenceFailed, match="the lane that ran this request died"):
        failed.result(60)
    assert [[2]] == scheduler.submit(sums, [[2]]).future.result(60).tolist()
    assert (1, 1) == (len(refused), scheduler.replaced)


def test_a_pack_that_cannot_be_counted_is_answered(schedule, sums: Sums) -> None:
    """As on a full disk, where the figures of several processes are."""
    scheduler = schedule(lane_timeout=1)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    scheduler.on_pack = fail

    assert [[3], [4]] == scheduler.submit(sums, [[3], [4]]).future.result(60).tolist()
    assert 0 == scheduler.replaced


def test_a_process_that_was_stopped_has_no_lane_that_hangs(
    schedule, sums: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what passes while the watchdog is awake counts."""
    scheduler, clock, whole = schedule(lane_timeout=60), time.monotonic, Lane.look
    rounds = threading.Semaphore(0)

    def look(lane: Lane, *rest: Any) -> str:
        found = whole(lane, *rest)
        rounds.release()
        return found

    sums.gate.clear()
    job = scheduler.submit(sums, [[1]])
    sums.entered.acquire(timeout=60)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
    monkeypatch.setattr(Lane, "look", look)
    looked = [rounds.acquire(timeout=60) for _ in range(4)]
    sums.gate.set()

    assert [True] * 4 == looked
    assert [[1]] == job.future.result(60).tolist()
    assert 0 == scheduler.replaced
