"""The fair queue: nothing is lost, queries go before bulk requests, and neither starves the other."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_onnx.fair_queue import FairQueue

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), LENGTHS),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("remove"), st.integers(0, 9)),
    ),
    max_size=60,
)


def turns_before(queue: FairQueue, request: object) -> int:
    """How many sequences of others go before the next one of a request."""
    turns = 0
    while (work := queue.take()) is not None and work[0] != request:
        turns += 1
    return turns


def counts(waiting: dict[int, deque[tuple[int, int]]]) -> tuple[int, int, int]:
    """Requests, sequences and tokens of what a queue should hold: places and lengths by request."""
    lengths = [length for rest in waiting.values() for _, length in rest]
    return len(waiting), len(lengths), sum(lengths)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_each_sequence_comes_out_once_in_its_order_whatever_else_happens(steps):
    """Counts are right after every step, and what was removed never comes out."""
    queue: FairQueue[int] = FairQueue()
    waiting: dict[int, deque[tuple[int, int]]] = {}
    rest = [("take", None)] * sum(len(value) for kind, value in steps if kind == "add")
    for number, (kind, value) in enumerate(steps + rest):
        if kind == "add":
            queue.add(number, value)
            waiting[number] = deque(enumerate(value))
        elif kind == "remove":
            queue.remove(value)
            waiting.pop(value, None)
        elif (work := queue.take()) is not None:
            request, place = work
            expected_place, _ = waiting[request].popleft()
            if not waiting[request]:
                del waiting[request]

            assert expected_place == place
        assert counts(waiting) == (len(queue), queue.sequences, queue.tokens)

    assert not waiting


def test_an_empty_queue_gives_none():
    assert FairQueue().take() is None


def test_removing_a_stranger_changes_nothing():
    queue: FairQueue[str] = FairQueue()
    queue.add("a", [3])
    before = (len(queue), queue.sequences, queue.tokens)

    queue.remove("b")

    assert before == (len(queue), queue.sequences, queue.tokens)


def test_a_removed_request_gives_its_turns_to_the_others():
    queue: FairQueue[str] = FairQueue()
    queue.add("a", [5] * 3)
    queue.add("b", [5] * 3)
    queue.take()
    queue.take()

    queue.remove("a")

    assert list(iter(queue.take, None)) == [("b", 1), ("b", 2)]


def test_among_equals_the_request_with_fewer_tokens_goes_first():
    queue: FairQueue[str] = FairQueue()
    queue.add("long", [9, 9])
    queue.add("short", [9])

    assert queue.take() == ("short", 0)


@pytest.mark.parametrize("length", [1, 100, 512])
def test_equal_requests_take_turns(length):
    queue: FairQueue[str] = FairQueue()
    queue.add("a", [length] * 4)
    queue.add("b", [length] * 4)

    taken = [request for request, _ in iter(queue.take, None)]

    assert all({"a", "b"} == set(taken[turn : turn + 2]) for turn in range(0, 8, 2))


@pytest.mark.parametrize("taken", [0, 1, 1000], ids=["at-once", "after-one", "half-way"])
@pytest.mark.parametrize("length", [1, 10, 512])
def test_a_late_query_goes_before_the_rest_of_a_bulk_request(taken, length):
    queue: FairQueue[str] = FairQueue()
    queue.add("bulk", [100] * 2048)
    for _ in range(taken):
        queue.take()

    queue.add("query", [length])

    assert queue.take() == ("query", 0)


@pytest.mark.parametrize(
    "earlier",
    [
        pytest.param([10], id="one-short-query"),
        pytest.param([512], id="one-long-query"),
        pytest.param([512] * 16, id="many-long-queries"),
    ],
)
@pytest.mark.parametrize("bulks", [1, 4], ids=["one-bulk-request", "four-bulk-requests"])
def test_a_query_goes_next_long_after_others_were_answered(earlier, bulks):
    """What bulk requests once waited for others is settled while they have the lanes to themselves."""
    queue: FairQueue[object] = FairQueue()
    for number in range(bulks):
        queue.add(f"bulk {number}", [100] * 2048)
    queue.take()
    for number, length in enumerate(earlier):
        queue.add(number, [length])
    while len(queue) > bulks:
        queue.take()
    for _ in range(1000):
        queue.take()

    queue.add("query", [10])

    assert turns_before(queue, "query") < bulks


@settings(max_examples=50, deadline=None)
@given(
    bulk=st.lists(st.integers(1, 512), min_size=1, max_size=20),
    newcomer=st.integers(1, 512),
    crowd=st.integers(1, 8),
)
def test_an_endless_stream_of_newcomers_cannot_starve_a_bulk_request(bulk, newcomer, crowd):
    """After each of its sequences, at most twice as many tokens of each in the crowd go, rounded up."""
    queue: FairQueue[object] = FairQueue()
    queue.add("bulk", bulk)
    takes = sum(crowd * (2 * length // newcomer + 2) + 1 for length in [0, *bulk[:-1]])
    taken = []
    for number in range(takes):
        for place in range(crowd + 1 - len(queue)):
            queue.add((number, place), [newcomer])
        taken.append(queue.take())

    expected = [("bulk", place) for place in range(len(bulk))]
    assert expected == [work for work in taken if work[0] == "bulk"]
