"""Lanes and futures: nothing accepted is lost, and every future ends."""

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from embed_onnx.errors import InferenceFailed, InvalidRequest, Overloaded, Unavailable
from embed_onnx.pooling import Vector
from embed_onnx.scheduler import Scheduler


class Sums:
    """Embeds a sequence as the sum of its ids, once its gate is open; id 13 is bad luck."""

    dimensions = 1

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.order: list[int] = []

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.entered.release()
        self.gate.wait(60)
        (ids,) = sequences
        self.order.append(ids[0])
        if 13 in ids:
            raise ValueError("bad luck")
        return np.array([[sum(ids)]], np.float32)


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def schedule() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def make(lanes: int = 1, queue_tokens: int = 100) -> Scheduler:
        made.append(Scheduler(lanes=lanes, queue_tokens=queue_tokens))
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


def test_a_full_queue_refuses_at_once(schedule, sums: Sums) -> None:
    """More tokens than the limit are 429 with a time to come back, and all of a request or none of it."""
    scheduler = schedule(queue_tokens=10)
    close_gate(scheduler, sums)
    accepted = scheduler.submit(sums, [[1] * 6])

    with pytest.raises(Overloaded) as refused:
        scheduler.submit(sums, [[1] * 3, [1] * 2])

    assert "6 tokens wait, 5 more exceed the limit of 10" in str(refused.value)
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


def test_many_threads_lose_nothing(schedule, sums: Sums) -> None:
    """Eight threads, four lanes, some failures and cancellations: every future ends as it should."""
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
