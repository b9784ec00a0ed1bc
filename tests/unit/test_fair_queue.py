"""The order of the fair queue: queries go before bulk requests, and neither starves the other."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from queues import add, turns

from embed_onnx.scheduling.fair_queue import AGEING, FairQueue

BULK = st.lists(st.integers(1, 600), min_size=1, max_size=5).map(lambda part: part * 300)


# Short requests go before long ones.


@given(
    bulks=st.lists(BULK, min_size=1, max_size=10),
    takes=st.integers(0, 50),
    lengths=st.one_of(
        st.lists(st.integers(1, 64), min_size=1, max_size=4),
        st.lists(st.integers(1, 600), min_size=1, max_size=1),
    ),
    pack_tokens=st.sampled_from([256, 300]),
)
def test_a_short_newcomer_is_the_next_pack_whatever_waits(bulks, takes, lengths, pack_tokens):
    """All of it, and nothing else, also if it is for another encoder."""
    queue: FairQueue[object] = FairQueue()
    for number, bulk in enumerate(bulks):
        add(queue, number, bulk)
    for _ in range(takes):
        queue.take()

    add(queue, "query", lengths, pack_tokens)

    assert [("query", place) for place in range(len(lengths))] == queue.take()


@pytest.mark.parametrize("length", [1, 10, 512])
def test_without_packs_a_query_goes_next(length):
    queue: FairQueue[str] = FairQueue()
    for bulk in ("a", "b", "c"):
        queue.add(bulk, [100] * 2048)
    for _ in range(100):
        queue.take()

    queue.add("query", [length])

    assert [("query", 0)] == queue.take()


@given(
    earlier=st.lists(st.integers(1, 600), min_size=1, max_size=30),
    bulks=st.integers(1, 10),
    rest=st.booleans(),
)
def test_a_query_waits_for_one_pack_of_bulk_at_most(earlier, bulks, rest):
    """That is what others have passed; it is forgotten once the bulk requests had the lanes for a pack."""
    queue: FairQueue[object] = FairQueue()
    for number in range(bulks):
        add(queue, f"bulk {number}", [100] * 2048)
    queue.take()
    for number, length in enumerate(earlier):
        add(queue, number, [length])
        while len(queue) > bulks:
            queue.take()
    if rest:
        queue.take()

    add(queue, "query", [10])

    following = [queue.take() for _ in range(1 if rest else 2)]
    assert [("query", 0)] in following


def test_what_passed_a_removed_bulk_request_does_not_count_for_the_next():
    queue: FairQueue[str] = FairQueue()
    add(queue, "removed", [100] * 10)
    add(queue, "passage", [500])
    queue.take()
    queue.remove("removed")

    add(queue, "bulk", [100] * 10)
    add(queue, "query", [10])

    assert [("query", 0)] == queue.take()


def test_of_the_short_the_shorter_goes_first():
    queue: FairQueue[str] = FairQueue()
    add(queue, "passage", [250])
    add(queue, "passages", [80] * 3)
    add(queue, "query", [8])

    assert ["query", "passages", "passage"] == turns(queue)


def test_a_query_passes_most_of_a_crowd_that_came_before():
    """A list that comes as many requests is no shorter for it."""
    queue: FairQueue[object] = FairQueue()
    for number in range(100):
        add(queue, number, [200])
    for _ in range(50):
        queue.take()

    add(queue, "query", [8])

    assert [("query", 0)] == queue.take()


# Nothing starves.


@example(bulks=1, crowd=6, lengths=[64])
@given(
    bulks=st.integers(1, 5),
    crowd=st.integers(1, 20),
    lengths=st.lists(st.integers(1, 256), min_size=1, max_size=10),
)
def test_a_crowd_of_queries_and_bulk_requests_leave_each_other_their_share(bulks, crowd, lengths):
    """However many queries follow, each bulk request is given as much as each place in the crowd, or
    bulk has half the packs.
    """
    queue: FairQueue[object] = FairQueue()
    for number in range(bulks):
        add(queue, f"bulk {number}", [64] * 1000)
    share = 256 * max(1.0, crowd / bulks)
    passed, came, turns_of_bulk = 0, 0, []
    while len(turns_of_bulk) < 3 * bulks:
        while len(queue) < crowd + bulks:
            add(queue, came, [lengths[came % len(lengths)]])
            came += 1
        pack = queue.take()
        if isinstance(pack[0][0], str):
            assert share <= passed + 1e-6
            passed = 0
            turns_of_bulk.append(pack[0][0])
        else:
            passed += sum(lengths[number % len(lengths)] for number, _ in pack)

        assert passed <= share + 256  # a pack more, where shares are not whole numbers and round down

    assert {"bulk 0"} == set(turns_of_bulk)  # which is served to the end before the next


@given(passage=st.integers(1, 256), query=st.integers(1, 256), crowd=st.integers(1, 20))
def test_an_endless_stream_of_queries_cannot_starve_a_longer_one(passage, query, crowd):
    """It goes when an equal share would have finished it, or in the pack after that."""
    queue: FairQueue[object] = FairQueue()
    add(queue, "passage", [passage])
    tokens_of_others, came, pack = 0, 0, []
    while ("passage", 0) not in pack:
        assert tokens_of_others <= passage * (crowd + 1) + 256
        while len(queue) <= crowd:
            add(queue, came, [query])
            came += 1
        pack = queue.take()
        tokens_of_others += query * len(pack)


# Long requests are served to the end.


@pytest.mark.parametrize("pack_tokens", [0, 256])
@pytest.mark.parametrize("length", [1, 100, 512])
@pytest.mark.parametrize("lanes", [1, 4])
def test_equal_bulk_requests_are_served_in_the_order_of_arrival(length, pack_tokens, lanes):
    """Each to its end: the mean of their waiting times is the least that there can be."""
    queue: FairQueue[int] = FairQueue(lanes)
    for number in range(20):
        add(queue, number, [length] * 300, pack_tokens)

    assert list(range(20)) == list(dict.fromkeys(turns(queue)))
    for number in range(20):
        add(queue, number, [length] * 300, pack_tokens)
    taken = turns(queue)

    assert taken == sorted(taken)


def test_equal_bulk_requests_that_come_one_by_one_do_not_pass_each_other():
    queue: FairQueue[int] = FairQueue()
    taken: list[object] = []
    for number in range(30):
        add(queue, number, [64] * 16)
        taken += [queue.take()[0][0] for _ in range(2)]
    taken += turns(queue)

    assert taken == sorted(taken)


@pytest.mark.parametrize("done", [0, 10, 19])
def test_a_much_smaller_bulk_request_goes_before_those_that_wait(done):
    """However many of a crowd have been served by then, it is finished before the next of them."""
    queue: FairQueue[object] = FairQueue()
    for number in range(25):
        add(queue, number, [64] * 160)
    for _ in range(done * 40 + 20):
        queue.take()

    add(queue, "small", [64] * 8)

    assert ["small", "small"] == turns(queue)[:2]


def test_the_shorter_of_two_bulk_requests_is_finished_first():
    queue: FairQueue[str] = FairQueue()
    add(queue, "large", [64] * 400)
    queue.take()
    add(queue, "small", [64] * 40)

    assert ["small"] * 10 + ["large"] * 99 == turns(queue)


def test_one_that_is_nearly_done_is_not_passed():
    queue: FairQueue[str] = FairQueue()
    add(queue, "nearly done", [64] * 40)
    for _ in range(9):
        queue.take()

    add(queue, "new", [64] * 8)

    assert ["nearly done", "new", "new"] == turns(queue)


@given(
    bulk=st.lists(st.integers(1, 600), min_size=2, max_size=20),
    newcomer=st.lists(st.integers(1, 600), min_size=2, max_size=5),
    crowd=st.integers(1, 8),
    pack_tokens=st.sampled_from([0, 1]),
)
def test_an_endless_stream_of_bulk_requests_cannot_starve_another(bulk, newcomer, crowd, pack_tokens):
    """It is done when equal turns would have given it four times its tokens, or a pack after that."""
    queue: FairQueue[object] = FairQueue()
    add(queue, "bulk", bulk, pack_tokens)
    came, tokens_of_crowd = 0, 0
    while "bulk" in queue:
        while len(queue) <= crowd:
            add(queue, came, newcomer, pack_tokens)
            came += 1
        ((request, place),) = queue.take()
        if request != "bulk":
            tokens_of_crowd += newcomer[place]

        assert tokens_of_crowd <= (crowd + 1) * (sum(bulk) / AGEING + 2 * 600)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_list_whose_time_has_come_takes_turns_with_the_shorter(lanes):
    """Each that passes it waits for no more of its packs than it has itself, until the list is done."""
    queue: FairQueue[object] = FairQueue(lanes)
    add(queue, "bulk", [64] * 400)
    passed = []
    while "bulk" in queue:
        add(queue, len(passed), [64] * 40)
        taken = []
        while len(passed) in queue:
            taken.append(queue.take()[0][0])
        passed.append(taken.count("bulk"))

    assert 10 == max(passed)
    assert 100 == sum(passed)


def test_the_order_is_that_in_which_the_long_are_served():
    queue: FairQueue[str] = FairQueue()
    for name, texts in (("large", 40), ("small", 20), ("query", 1), ("larger", 80)):
        add(queue, name, [64] * texts)

    order = queue.order()

    assert ["small", "large", "larger"] == order
    assert order == [name for name in dict.fromkeys(turns(queue)) if name != "query"]
