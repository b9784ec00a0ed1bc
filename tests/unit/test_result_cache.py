"""The cache of results: its bound, what goes first, and whose entries are whose."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from manifests import SAMPLE

from embed_onnx.models.result_cache import ENTRY_BYTES, Compartment, Kind, ResultCache

SIZE = 4


def compartment(
    cache: ResultCache, tenant: str = "", created: int = 1, kind: Kind = "vectors"
) -> Compartment:
    described = msgspec.structs.replace(SAMPLE, created=created)
    return cache.of(described).compartment(kind, tenant)


def keep(entries: Compartment, word: bytes) -> None:
    entries.put({entries.key(word): word[:1] * SIZE})


def kept(entries: Compartment, word: bytes) -> bytes | None:
    return entries.get(entries.key(word))


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.sampled_from([b"a", b"b", b"c", b"d", b"e"]))))
def test_what_was_not_used_for_longest_goes_first(most: int, steps: list[tuple[bool, bytes]]) -> None:
    cache = ResultCache(most * (SIZE + ENTRY_BYTES))
    entries = compartment(cache)
    order: list[bytes] = []

    for writes, word in steps:
        if writes:
            keep(entries, word)
        else:
            assert (word * SIZE if word in order else None) == kept(entries, word)
        if writes or word in order:
            order = [*(other for other in order if other != word), word][-most:]
        assert len(order) * (SIZE + ENTRY_BYTES) == cache.bytes

    assert order == [word for word in order if kept(entries, word) == word * SIZE]


def test_a_result_that_exceeds_the_bound_is_not_kept() -> None:
    cache = ResultCache(ENTRY_BYTES)

    keep(compartment(cache), b"a")

    assert kept(compartment(cache), b"a") is None
    assert 0 == cache.bytes


def test_other_artifacts_kinds_and_tenants_have_other_entries() -> None:
    cache = ResultCache(10_000)
    keep(compartment(cache, "alice"), b"a")

    assert kept(compartment(cache, "alice"), b"a") == b"aaaa"
    assert kept(compartment(cache, "bob"), b"a") is None
    assert kept(compartment(cache, ""), b"a") is None
    assert kept(compartment(cache, "alice", created=2), b"a") is None
    assert kept(compartment(cache, "alice", kind="raw_vectors"), b"a") is None


def test_tenants_share_what_is_shared() -> None:
    cache = ResultCache(10_000, shared=True)
    keep(compartment(cache, "alice"), b"a")

    assert kept(compartment(cache, "bob"), b"a") == b"aaaa"
    assert kept(compartment(cache, "bob", created=2), b"a") is None
