"""Turns between tenants: equal shares, nothing lost, and no claims saved up."""

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.scheduling.tenant_queue import TenantQueue

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 300), min_size=1, max_size=6)),
        ),
        st.tuples(st.sampled_from(["take", "take quick"]), st.none()),
        st.tuples(st.just("remove"), st.integers(0, 9)),
    ),
    max_size=60,
)


def add(queue: TenantQueue, request: object, tenant: str, lengths: list[int]) -> None:
    queue.add(request, lengths, tenant=tenant, pack_tokens=96)


@given(steps=STEPS, lanes=st.integers(1, 4))
def test_each_sequence_comes_out_once_in_its_order_and_packs_have_one_tenant(steps, lanes):
    queue: TenantQueue[int] = TenantQueue(lanes)
    waiting: dict[int, deque[tuple[int, int]]] = {}
    tenants: dict[int, str] = {}
    rest = [("take", None)] * sum(len(value[1]) for kind, value in steps if kind == "add")
    for number, (kind, value) in enumerate(steps + rest):
        if kind == "add":
            tenants[number], lengths = value
            add(queue, number, tenants[number], lengths)
            waiting[number] = deque(enumerate(lengths))
        elif kind == "remove":
            queue.remove(value)
            waiting.pop(value, None)
        else:
            quick = kind == "take quick"
            empty = not queue.has_quick if quick else not waiting
            pack = queue.take_quick() if quick else queue.take()
            assert empty == (pack == [])
            for request, place in pack:
                expected, _ = waiting[request].popleft()
                assert expected == place
                if not waiting[request]:
                    del waiting[request]
            assert len({tenants[request] for request, _ in pack}) <= 1
        lengths = [length for parts in waiting.values() for _, length in parts]
        assert (len(waiting), len(lengths), sum(lengths)) == (len(queue), queue.sequences, queue.tokens)

    assert not waiting


@given(
    requests=st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 300), min_size=1, max_size=9)), max_size=40
    )
)
def test_while_tenants_have_work_none_is_a_pack_ahead_of_another(requests):
    """However many requests each sends, and however long they are."""
    queue: TenantQueue[int] = TenantQueue()
    remaining: Counter[str] = Counter()
    for number, (tenant, lengths) in enumerate(requests):
        add(queue, number, tenant, lengths)
        remaining[tenant] += sum(lengths)
    largest = max([96, *(length for _, lengths in requests for length in lengths)])
    taken: Counter[str] = Counter()
    while pack := queue.take():
        tenant = requests[pack[0][0]][0]
        tokens = sum(requests[request][1][place] for request, place in pack)
        taken[tenant] += tokens
        remaining[tenant] -= tokens
        at_work = [taken[name] for name in remaining if remaining[name]]
        if at_work:
            assert max(taken.values()) - min(at_work) <= largest


def test_one_request_of_a_tenant_does_not_wait_for_all_of_another():
    queue: TenantQueue[str] = TenantQueue()
    for number in range(50):
        add(queue, f"crowd {number}", "crowd", [90])
    queue.take()
    add(queue, "lone", "lone", [90])

    assert "lone" in [request for ((request, _),) in (queue.take(), queue.take())]


def test_who_had_nothing_waiting_has_saved_no_claim():
    """After a pause it shares as anybody else; what it was given before is not held against it either."""
    queue: TenantQueue[str] = TenantQueue()
    add(queue, "early", "pauses", [90])
    add(queue, "list", "steady", [90] * 100)
    for _ in range(50):
        queue.take()
    add(queue, "late", "pauses", [90] * 100)

    turns = Counter(request for ((request, _),) in (queue.take() for _ in range(20)))

    assert {"late": 10, "list": 10} == turns


def test_quick_turns_of_one_tenant_do_not_hold_up_a_newcomer():
    """Who has had many of them is far ahead of who works on a list; a newcomer starts beside the latter."""
    queue: TenantQueue[object] = TenantQueue()
    add(queue, "list", "steady", [90] * 1000)
    for number in range(500):
        add(queue, number, "flood", [60])
        assert [(number, 0)] == queue.take_quick()
        if number % 5 == 0:
            queue.take()
    add(queue, "lone", "newcomer", [90])

    assert ("lone", 0) in [*queue.take(), *queue.take()]
