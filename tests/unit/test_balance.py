"""Factors that make channels more alike: within their limits, for any numbers, and worth it."""

import numpy as np
import pytest

from embed_onnx_export.graph import balance, int8
from embed_onnx_export.graph.int8 import Floats


def error(table: Floats, factors: Floats) -> Floats:
    """Of each row, the square of what quantising takes from it."""
    values, scales = int8.quantize_rows(table / factors)
    errors: Floats = np.square(values * scales * factors - table).sum(axis=1)
    return errors


def test_a_row_with_a_large_channel_keeps_its_small_ones() -> None:
    table = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    table[3, 5] = 40

    before, after = (error(table, factors) for factors in (np.ones(64, np.float32), balance.of_table(table)))

    assert after[3] < 0.1 * before[3]
    assert after.sum() < before.sum()


def test_large_inputs_meet_small_factors_and_large_weights_large_ones() -> None:
    inputs, weights = np.array([1, 100, 1], np.float32), np.array([1, 1, 50], np.float32)

    small, smallest, largest = balance.of_product(inputs, weights)

    assert smallest < small < largest


@pytest.mark.parametrize("seed", range(5))
def test_the_geometric_mean_is_one(seed: int) -> None:
    magnitudes = np.exp(np.random.default_rng(seed).normal(size=(2, 30))).astype(np.float32)

    for factors in (balance.of_product(*magnitudes), balance.of_table(magnitudes)):
        assert np.log(factors).mean() == pytest.approx(0, abs=1e-5)


def test_channels_of_zeros_have_no_factor() -> None:
    inputs, weights = np.array([0, 2, 3, 9], np.float32), np.array([5, 0, 4, 1], np.float32)

    assert [1, 1] == balance.of_product(inputs, weights)[:2].tolist()
    assert 1 == balance.of_table(inputs[None])[0]
    assert [1, 1] == balance.of_table(np.zeros((3, 2), np.float32)).tolist()


def test_factors_have_a_limit() -> None:
    table = np.array([[1e-20, 1e20, 1]], np.float32)

    assert [1 / 64, 64] == balance.of_table(table)[:2].tolist()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_has_no_factor(broken: float) -> None:
    magnitudes = np.array([1, broken, 4], np.float32)

    for factors in (
        balance.of_product(magnitudes, np.ones(3, np.float32)),
        balance.of_table(magnitudes[None]),
    ):
        assert 1 == factors[1]
        assert np.isfinite(factors).all()
        assert factors[0] != factors[2]
