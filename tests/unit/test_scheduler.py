"""Lanes and futures: nothing accepted is lost, and every future ends."""

import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from encoders import Forgetful, Sums

from embed_onnx.errors import InferenceFailed, InvalidRequest, Overloaded, Unavailable
from embed_onnx.scheduling.scheduler import Scheduler


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


@contextlib.contextmanager
def interrupt_at(code: CodeType, number: int) -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` once so many different lines of a function have been reached."""
    lines: set[int] = set()

    def at_line(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        if event == "line":
            lines.add(frame.f_lineno)
            if len(lines) == number:
                sys.settrace(None)
                frame.f_trace = None
                raise KeyboardInterrupt
        return at_line

    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: at_line if frame.f_code is code else None)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("function", [Scheduler.submit, Scheduler._accept], ids=lambda each: each.__name__)
def test_an_interrupt_at_any_line_leaves_nothing_in_the_queue(
    schedule, sums: Sums, function: FunctionType
) -> None:
    """Ctrl-C, too, before the caller has the job that it would cancel."""
    scheduler = schedule()
    close_gate(scheduler, sums)

    for number in itertools.count(1):
        try:
            with interrupt_at(function.__code__, number):
                job = scheduler.submit(sums, [[1, 2]])
            break
        except KeyboardInterrupt:
            assert (0, 0) == (scheduler.waiting_tokens, scheduler.waiting_sequences)

    assert number > 7
    assert 1 == scheduler.waiting_sequences
    sums.gate.set()
    assert [[3]] == job.future.result(60).tolist()
    assert 1 == sums.order.count(1)


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
