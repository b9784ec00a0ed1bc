"""The norm and the cut of vectors, against plain float64 formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed_onnx.engine.vectors import cut, normalize, unit

NUMBERS = st.floats(-10, 10, width=32, allow_subnormal=False)
VECTORS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=8), elements=NUMBERS
)


@given(vectors=VECTORS)
def test_normalize_divides_each_vector_by_its_norm(vectors):
    exact = vectors.astype(np.float64)
    expected = exact / np.maximum(np.linalg.norm(exact, axis=-1, keepdims=True), 1e-12)

    actual = normalize(vectors)

    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
    assert np.float32 == actual.dtype


@pytest.mark.parametrize("dimensions", [1, 7, 8, 100, 384, 1024])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_norms_add_one_square_after_the_other(rows, dimensions):
    """So that their bits are the same on every processor, for one vector and for several."""
    vectors = np.random.default_rng(rows).normal(size=(rows, dimensions)).astype(np.float32)
    for vector, actual in zip(vectors, normalize(vectors), strict=True):
        total = 0.0
        for number in vector.tolist():
            total += number * number

        assert (vector / np.float32(math.sqrt(total))).tobytes() == actual.tobytes()


def test_unit_leaves_vectors_of_length_1_as_they_are():
    one = normalize(np.arange(1, 9, dtype=np.float32)[None])
    vectors = np.concatenate([one, one * 2, one[:, ::-1] / 2])

    actual = unit(vectors)

    assert one.tobytes() == actual[:1].tobytes()
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, rtol=0, atol=1e-6)


def test_normalize_leaves_a_zero_vector_at_zero_beside_others():
    vectors = np.array([[0, 0], [3, 4]], np.float32)

    actual = normalize(vectors)

    np.testing.assert_allclose(actual, [[0, 0], [0.6, 0.8]], rtol=1e-6)


@given(vectors=VECTORS, data=st.data())
def test_cut_takes_the_first_numbers_as_they_are(vectors, data):
    dimensions = data.draw(st.integers(1, vectors.shape[-1]))

    actual = cut(vectors, dimensions, renormalize=False)

    np.testing.assert_array_equal(actual, vectors[..., :dimensions])
    assert np.float32 == actual.dtype


@given(vectors=VECTORS, data=st.data())
def test_cut_normalises_again_where_the_model_normalises(vectors, data):
    dimensions = data.draw(st.integers(1, vectors.shape[-1]))
    expected = normalize(vectors[..., :dimensions])

    actual = cut(normalize(vectors), dimensions, renormalize=True)

    large = np.linalg.norm(vectors[..., :dimensions], axis=-1) > 1e-3
    np.testing.assert_allclose(actual[large], expected[large], rtol=0, atol=1e-5)
    assert np.float32 == actual.dtype
