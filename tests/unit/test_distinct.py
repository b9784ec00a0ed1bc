"""Equal sequences of a request: computed once, and their results in every place."""

from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.tokenizer import Tokens

SEQUENCES = st.builds(
    Tokens,
    ids=st.lists(st.integers(0, 2), max_size=3),
    full_length=st.just(3),
    prompt=st.integers(0, 1),
    second=st.none() | st.integers(0, 2),
)


def result(ids: list[int], prompt: int, second: int | None) -> list[float]:
    """Another one for every sequence."""
    return [
        len(ids) + 10 * sum(token * 3**place for place, token in enumerate(ids)),
        prompt,
        -1 if second is None else second,
    ]


@given(st.lists(st.lists(SEQUENCES, max_size=4), max_size=4))
def test_results_are_those_of_their_places(parts: list[list[Tokens]]) -> None:
    """Whatever repeats and wherever; without tokens, zeros. Nothing is computed twice."""
    inputs = [item for part in parts for item in part]
    distinct = Distinct()

    for part in parts:
        distinct.add(part)
    computed = [result(list(each.ids), each.prompt, each.second) for each in distinct.sequences]
    results = distinct.results(np.array(computed, np.float32).reshape(-1, 3))

    expected = [result(each.ids, each.prompt, each.second) if each.ids else [0, 0, 0] for each in inputs]
    assert np.array_equal(np.array(expected, np.float32).reshape(-1, 3), results)
    keys = [(tuple(each.ids), each.prompt, each.second) for each in distinct.sequences]
    assert {(tuple(each.ids), each.prompt, each.second) for each in inputs if each.ids} == set(keys)
    assert len(set(keys)) == len(keys)
    assert distinct.num_tokens == sum(map(len, distinct.sequences))


def test_nothing_is_copied_where_nothing_repeats() -> None:
    distinct = Distinct()
    distinct.add([Tokens([1], 1), Tokens([2], 1)])
    computed = np.ones((2, 4), np.float32)

    assert distinct.results(computed) is computed
    assert [TokenSequence([1]), TokenSequence([2])] == distinct.sequences


def test_ids_are_kept_whole() -> None:
    """An id takes four bytes in a key, as vocabularies have more than 65,536 entries."""
    assert array("I").itemsize == 4
    distinct = Distinct()
    distinct.add([Tokens([1], 1), Tokens([1 + 2**16], 1), Tokens([1, 0], 2)])

    assert 3 == len(distinct.sequences)
