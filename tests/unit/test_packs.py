"""Packs of the fair queue: each sequence comes out once, with others of its key, up to the limit."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import add, packs

from embed_onnx.scheduling.fair_queue import QUICK_TOKENS, FairQueue

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=6)
PACK_TOKENS = {"one by one": 0, "small": 64, "large": 256}
"""Of each key."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.tuples(LENGTHS, st.sampled_from(sorted(PACK_TOKENS)))),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("take quick"), st.none()),
        st.tuples(st.just("remove"), st.integers(0, 9)),
    ),
    max_size=60,
)


def counts(waiting: dict[int, deque[tuple[int, int]]]) -> tuple[int, int, int]:
    """Requests, sequences and tokens of what a queue should hold: places and lengths by request."""
    lengths = [length for rest in waiting.values() for _, length in rest]
    return len(waiting), len(lengths), sum(lengths)


@given(steps=STEPS, lanes=st.integers(1, 4))
def test_each_sequence_comes_out_once_in_its_order_whatever_else_happens(steps, lanes):
    """A pack has one key and keeps its limit, what was removed never comes out, and counts are right."""
    queue: FairQueue[int] = FairQueue(lanes)
    waiting: dict[int, deque[tuple[int, int]]] = {}
    keys: dict[int, str] = {}
    rest = [("take", None)] * sum(len(argument[0]) for kind, argument in steps if kind == "add")
    for number, (kind, argument) in enumerate(steps + rest):
        if kind == "add":
            lengths, keys[number] = argument
            queue.add(number, lengths, key=keys[number], pack_tokens=PACK_TOKENS[keys[number]])
            waiting[number] = deque(enumerate(lengths))
        elif kind == "remove":
            queue.remove(argument)
            waiting.pop(argument, None)
        else:
            quick = kind == "take quick"
            was_empty = not queue.has_quick if quick else not waiting
            pack = queue.take_quick() if quick else queue.take()
            tokens = 0
            for request, place in pack:
                expected_place, length = waiting[request].popleft()
                tokens += length
                if not waiting[request]:
                    del waiting[request]

                assert expected_place == place
            assert was_empty == (pack == [])
            assert len({keys[request] for request, _ in pack}) <= 1
            assert len(pack) <= 1 or tokens <= PACK_TOKENS[keys[pack[0][0]]]
            assert tokens <= QUICK_TOKENS or not quick
        assert counts(waiting) == (len(queue), queue.sequences, queue.tokens)

    assert not waiting


def test_an_empty_queue_gives_an_empty_pack():
    assert FairQueue().take() == []


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

    assert [[("b", 0)], [("b", 1)], [("b", 2)]] == packs(queue)


# What a pack holds.


def test_without_packs_sequences_come_one_by_one():
    queue: FairQueue[str] = FairQueue()
    add(queue, "a", [1, 1], pack_tokens=0)
    add(queue, "b", [1], pack_tokens=0)

    assert [[("b", 0)], [("a", 0)], [("a", 1)]] == packs(queue)


def test_a_pack_takes_whole_sequences_while_they_fit():
    """What does not fit is not passed by what comes after it."""
    queue: FairQueue[str] = FairQueue()
    add(queue, "a", [100, 100, 100, 1])

    assert [[("a", 0), ("a", 1)], [("a", 2), ("a", 3)]] == packs(queue)


def test_a_sequence_longer_than_a_pack_goes_alone():
    queue: FairQueue[str] = FairQueue()
    add(queue, "a", [1, 600, 1])

    assert [[("a", 0)], [("a", 1)], [("a", 2)]] == packs(queue)


def test_short_requests_of_one_key_share_a_pack():
    """Also past a request with another key."""
    queue: FairQueue[str] = FairQueue()
    add(queue, "a", [8, 8])
    add(queue, "other", [16], pack_tokens=100)
    add(queue, "b", [16])

    assert [[("a", 0), ("a", 1), ("b", 0)], [("other", 0)]] == packs(queue)


def test_packs_of_the_quick_leave_all_others_behind():
    queue: FairQueue[str] = FairQueue()
    add(queue, "passage", [QUICK_TOKENS + 1])
    add(queue, "query", [8, 8])
    add(queue, "list", [8] * 100)
    add(queue, "question", [QUICK_TOKENS])

    assert queue.has_quick
    assert [("query", 0), ("query", 1)] == queue.take_quick()
    assert [("question", 0)] == queue.take_quick()
    assert not queue.has_quick
    assert [] == queue.take_quick()
    assert [("passage", 0)] == queue.take()


def test_a_longer_request_does_not_delay_the_pack_of_a_shorter():
    queue: FairQueue[str] = FairQueue()
    add(queue, "passage", [200])
    add(queue, "query", [8])
    add(queue, "question", [20])

    assert [[("query", 0), ("question", 0)], [("passage", 0)]] == packs(queue)


@pytest.mark.parametrize(
    ("lanes", "expected"),
    [
        pytest.param(1, [16], id="one-lane"),
        pytest.param(2, [8, 4, 2, 2], id="two-lanes"),
        pytest.param(100, [2] * 8, id="many-lanes"),
    ],
)
def test_lanes_share_what_waits(lanes, expected):
    """Each takes an equal part of the rest, but for parts that are too small to gain from it."""
    queue: FairQueue[str] = FairQueue(lanes)
    add(queue, "a", [16] * 16)

    assert expected == [len(pack) for pack in packs(queue)]
