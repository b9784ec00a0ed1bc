"""Weights rounded for the inputs of their product: never worse than to the nearest, within the limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embed_onnx_export.graph import int8, rounding
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.rounding import Doubles


def correlated(inputs: int, seed: int) -> Doubles:
    """A covariance of inputs that vary with one another, and by different amounts."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(4 * inputs, inputs)) @ rng.normal(size=(inputs, inputs))
    rows *= np.exp(rng.normal(size=inputs))
    covariance: Doubles = np.cov(rows, rowvar=False).reshape(inputs, inputs)
    return covariance


def normal(inputs: int, channels: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(inputs, channels)).astype(np.float32)


def error(weights: Floats, values: NDArray[np.int8], scales: Floats, covariance: Doubles) -> float:
    """The mean square of what products are off by."""
    off = weights.astype(np.float64) - values * scales.astype(np.float64)
    return float(np.trace(off.T @ covariance @ off))


@pytest.mark.parametrize("inputs", [2, 7, 32, 64, 65, 150])
def test_products_are_nearer_than_with_weights_rounded_to_the_nearest(inputs: int) -> None:
    weights, covariance = normal(inputs, 20, inputs), correlated(inputs, inputs)
    nearest = int8.quantize_channels(weights)

    rounded = rounding.round_channels(weights, covariance)

    assert error(weights, *rounded[:2], covariance) < error(weights, *nearest[:2], covariance)


def test_of_inputs_that_have_few_sources_most_of_the_error_is_gone() -> None:
    rng = np.random.default_rng(2)
    covariance = np.cov(rng.normal(size=(500, 10)) @ rng.normal(size=(10, 150)), rowvar=False)
    weights = normal(150, 20, 1)
    nearest = int8.quantize_channels(weights)

    rounded = rounding.round_channels(weights, covariance)

    assert error(weights, *rounded[:2], covariance) < 0.25 * error(weights, *nearest[:2], covariance)


def test_for_inputs_that_do_not_vary_together_the_nearest_is_the_best() -> None:
    weights = normal(33, 5, 3)

    rounded = rounding.round_channels(weights, np.diag(np.arange(1.0, 34)))

    for actual, expected in zip(rounded, int8.quantize_channels(weights), strict=True):
        np.testing.assert_array_equal(expected, actual)


@given(inputs=st.integers(1, 90), channels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_neighbours_keep_to_their_limit(inputs: int, channels: int, seed: int) -> None:
    weights = normal(inputs, channels, seed)
    weights[:: max(inputs // 3, 1)] *= 9  # so that some are at the limit

    values, _, _ = rounding.round_channels(weights, correlated(inputs, seed))

    wide = values.astype(int)
    assert np.abs(wide).max() <= int8.LARGEST
    assert np.abs(wide[:-1:2] + wide[1::2]).max(initial=0) <= int8.LARGEST_PAIR


def test_some_neighbours_are_at_their_limit() -> None:
    """Without it they would go beyond: pairs of the largest weights, whose errors others pass on to them."""
    weights = np.full((64, 40), 0.5, np.float32) + normal(64, 40, 4) / 100

    values, _, _ = rounding.round_channels(weights, correlated(64, 5))

    assert int8.LARGEST_PAIR == np.abs(values[:-1:2].astype(int) + values[1::2]).max()


def test_sums_and_scales_are_those_of_the_integers() -> None:
    weights = normal(30, 6, 6)

    values, scales, sums = rounding.round_channels(weights, correlated(30, 7))

    np.testing.assert_array_equal(int8.channel_scales(weights), scales)
    np.testing.assert_allclose(sums, (values * scales.astype(np.float64)).sum(axis=0), rtol=1e-5, atol=1e-5)


def test_the_same_again_and_in_another_order_of_channels() -> None:
    weights, covariance = normal(100, 12, 8), correlated(100, 9)
    first = rounding.round_channels(weights, covariance)[0]

    again = rounding.round_channels(weights.copy(), covariance.copy())[0]
    reverse = rounding.round_channels(np.ascontiguousarray(weights[:, ::-1]), covariance)[0]

    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, reverse[:, ::-1])


@pytest.mark.parametrize("covariance", [np.zeros((10, 10)), np.full((10, 10), np.nan)], ids=["zero", "NaN"])
def test_without_knowledge_of_the_inputs_weights_are_rounded_to_the_nearest(covariance: Doubles) -> None:
    weights = normal(10, 4, 10)

    rounded = rounding.round_channels(weights, covariance)

    np.testing.assert_array_equal(int8.quantize_channels(weights)[0], rounded[0])


def test_channels_of_zeros() -> None:
    weights = normal(10, 4, 11)
    weights[:, 1] = 0

    values, scales, sums = rounding.round_channels(weights, correlated(10, 12))

    assert scales[1] == sums[1] == 0
    assert not values[:, 1].any()
