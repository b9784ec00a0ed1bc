"""MaxSim by the native kernel: the bits of numpy's single operations, in any company, by every engine."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from kernel_sessions import ENGINES
from native_model import KERNELS

from embed_onnx.engine import maxsim, native
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)

WIDTHS = ((1, 1), (5, 3), (16, 24), (17, 33), (32, 128), (33, 96), (130, 7))
"""Vectors of a query, and their dimensions: around what fills registers."""
LENGTHS = (0, 1, 4, 5, 6, 7, 8, 9, 16, 0, 61, 300, 0)


def vectors(rng: np.random.Generator, length: int, width: int) -> Vector:
    return rng.normal(size=(length, width)).astype(np.float32)


def by_numpy(query: Vector, documents: list[Vector]) -> Vector:
    off = native.find("off")
    assert off.maxsim() is None
    return maxsim.scores(query, documents, off)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_bits_are_those_of_numpy(engine: str, threads: int, set_threads: Callable[[int], None]) -> None:
    native.find(engine).choose()
    set_threads(threads)
    rng = np.random.default_rng(6)
    for count, width in WIDTHS:
        query = vectors(rng, count, width)
        documents = [vectors(rng, length, width) for length in LENGTHS]

        together = maxsim.scores(query, documents)

        assert by_numpy(query, documents).tobytes() == together.tobytes()
        assert together.tolist() == [maxsim.score(query, document) for document in documents]


@pytest.mark.parametrize("engine", ENGINES)
def test_vectors_of_any_layout(engine: str) -> None:
    """float16, a part of a larger array, and one stored by columns have the scores of what they hold."""
    native.find(engine).choose()
    rng = np.random.default_rng(7)
    query, document = vectors(rng, 9, 40), vectors(rng, 21, 40).astype(np.float16).astype(np.float32)
    expected = maxsim.score(query, document)
    larger = np.zeros((30, 50), np.float32)
    larger[3:24, 5:45] = document

    variants = [document.astype(np.float16), larger[3:24, 5:45], np.asfortranarray(document)]

    assert [expected] * 3 == maxsim.scores(np.asfortranarray(query), variants).tolist()


def test_the_bits_of_half_precision_are_those_of_numpy() -> None:
    """Products of float16 vectors are float32, with the kernel and without it."""
    rng = np.random.default_rng(10)
    query, *documents = [vectors(rng, length, 40).astype(np.float16) for length in (9, 21, 5)]

    scores = maxsim.scores(query, documents)

    assert by_numpy(query, documents).tobytes() == scores.tobytes()
    assert maxsim.scores(query.astype(np.float32), documents).tobytes() == scores.tobytes()


def test_callers_at_the_same_time(set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    rng = np.random.default_rng(8)
    query, documents = vectors(rng, 32, 64), [vectors(rng, 100, 64) for _ in range(200)]
    expected = maxsim.scores(query, documents).tobytes()
    results: list[bytes] = []

    threads = [
        threading.Thread(target=lambda: results.append(maxsim.scores(query, documents).tobytes()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [expected] * 8 == results


def test_other_dimensions_are_refused() -> None:
    rng = np.random.default_rng(9)
    documents = [vectors(rng, 3, 8), vectors(rng, 3, 9)]

    with pytest.raises(InvalidRequest, match=r"documents\[1\] are \[3, 9\] and those of the query \[2, 8\]"):
        maxsim.scores(vectors(rng, 2, 8), documents)


@pytest.mark.parametrize("shape", [(8,), (1, 2, 8)])
def test_a_query_that_is_not_a_matrix_is_refused(shape: tuple[int, ...]) -> None:
    query = np.ones(shape, np.float32)

    with pytest.raises(InvalidRequest, match=r"give \[query tokens, dimensions\]"):
        maxsim.scores(query, [query])
