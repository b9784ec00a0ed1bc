"""Pooling, against plain float64 formulas."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx.engine.outputs import pooling

MODES = get_args(PoolingMode)
NUMBERS = st.floats(-10, 10, width=32, allow_subnormal=False)
STATES = hnp.arrays(np.float32, st.tuples(st.integers(1, 32), st.integers(1, 6)), elements=NUMBERS)
# A sum of 32 numbers of at most 10 in float32, divided by the root of their number.
TOLERANCE = 2e-4


def formula(mode: PoolingMode, states: np.ndarray) -> np.ndarray:
    """What a mode means, in float64."""
    exact = states.astype(np.float64)
    count = len(exact)
    weights = np.arange(1, count + 1)[:, None]
    formulas = {
        "mean": exact.sum(axis=0) / count,
        "cls": exact[0],
        "max": exact.max(axis=0),
        "lasttoken": exact[-1],
        "mean_sqrt_len_tokens": exact.sum(axis=0) / count**0.5,
        "weightedmean": (exact * weights).sum(axis=0) / weights.sum(),
    }
    return formulas[mode]


def test_every_mode_of_the_manifest_has_a_function():
    assert set(MODES) == set(pooling.POOLING)


@pytest.mark.parametrize("mode", MODES)
@given(states=STATES)
def test_a_mode_follows_its_formula_in_float32(mode, states):
    actual = pooling.pool(states, [mode])

    np.testing.assert_allclose(actual, formula(mode, states), rtol=0, atol=TOLERANCE)
    assert np.float32 == actual.dtype


@given(states=STATES, modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=4))
def test_several_modes_are_concatenated_in_the_order_given(states, modes):
    expected = [number for mode in modes for number in pooling.pool(states, [mode])]

    actual = pooling.pool(states, modes)

    assert expected == list(actual)
    assert np.float32 == actual.dtype


def test_a_pooled_vector_keeps_its_numbers_when_the_states_change():
    """Vectors outlive the session's buffers."""
    states = np.ones((3, 2), np.float32)

    vector = pooling.pool(states, ["cls"])
    states[:] = 0

    assert list(vector) == [1, 1]


@pytest.mark.parametrize("width", [3, 16, 52, 384, 1024])
@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 9, 64, 129, 600])
def test_sums_are_of_one_token_after_the_other(tokens, width):
    """So that their bits are the same on every processor."""
    rng = np.random.default_rng(tokens * width)
    states = rng.normal(size=(tokens + 2, width)).astype(np.float32)[2:]
    total, weighted = np.zeros((2, width), np.float32)
    for number, row in enumerate(states, start=1):
        total = total + row
        weighted = weighted + np.float32(number) * row

    assert (total / np.float32(tokens)).tobytes() == pooling.mean(states).tobytes()
    weights = np.float32(tokens * (tokens + 1) // 2)
    assert (weighted / weights).tobytes() == pooling.weightedmean(states).tobytes()
