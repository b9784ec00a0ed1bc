"""int8 weights: how far they may be from the float32 ones, and the range that they keep to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from export.quantize import quantize_channels, quantize_rows

ROUNDING = 1e-5
"""Of float32, in steps: 127 times the precision of a division."""


def quantize_columns(table):
    """``quantize_channels`` of the transposed table, transposed back: a row is a channel."""
    values, scales = quantize_channels(np.ascontiguousarray(table.T))
    return values.T, scales[:, None]


both = pytest.mark.parametrize(
    ("quantize", "largest"),
    [pytest.param(quantize_rows, 127, id="rows"), pytest.param(quantize_columns, 63, id="channels")],
)


@st.composite
def tables(draw):
    """Float32 tables whose rows differ in magnitude by up to a million."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    numbers = draw(hnp.arrays(np.int64, shape, elements=st.integers(-1000, 1000)))
    powers = draw(hnp.arrays(np.int64, (shape[0], 1), elements=st.integers(-6, 0)))
    return (numbers * 10.0**powers).astype(np.float32)


@both
@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_a_number_is_off_by_half_a_step_at_most(quantize, largest, table):
    values, scales = quantize(table)

    off = np.abs(values.astype(np.float64) * scales - table)
    assert (off <= (0.5 + ROUNDING) * scales).all()


@both
@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_the_largest_number_takes_the_whole_range(quantize, largest, table):
    """127 steps, and 63 for weights: two products with uint8 then fit 16 bits."""
    magnitudes = np.abs(table).max(axis=1)

    values, scales = quantize(table)

    expected = np.where(magnitudes > 0, largest, 0)
    np.testing.assert_array_equal(np.abs(values.astype(int)).max(axis=1), expected)
    np.testing.assert_allclose(scales[:, 0] * largest, magnitudes, rtol=1e-6)


@both
@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_opposite_numbers_have_opposite_values(quantize, largest, table):
    values, scales = quantize(table)
    opposite_values, opposite_scales = quantize(-table)

    np.testing.assert_array_equal(opposite_values, -values)
    np.testing.assert_array_equal(opposite_scales, scales)


@both
def test_zeros_stay_zero_with_scale_zero_beside_others(quantize, largest):
    values, scales = quantize(np.array([[0, 0], [2, -2]], np.float32))

    np.testing.assert_array_equal(values, [[0, 0], [largest, -largest]])
    np.testing.assert_array_equal(scales, [[0], [np.float32(2) / np.float32(largest)]])


@both
def test_a_large_row_costs_a_small_one_nothing(quantize, largest):
    table = np.array([[0.001, -0.002], [1000, 1]], np.float32)
    alone, _ = quantize(table[:1])

    beside, _ = quantize(table)

    np.testing.assert_array_equal(beside[:1], alone)


def test_the_arrays_have_the_layout_that_the_graph_needs():
    table = np.ones((3, 5), np.float32)
    values, scales = quantize_rows(table)
    channel_values, channel_scales = quantize_channels(table)

    found = [(array.dtype, array.shape) for array in (values, scales, channel_values, channel_scales)]
    expected = [(np.int8, (3, 5)), (np.float32, (3, 1)), (np.int8, (3, 5)), (np.float32, (5,))]
    assert expected == found
    assert channel_values.flags.c_contiguous
