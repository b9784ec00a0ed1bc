"""Vectors in answers, as numbers and as base64: every bit of them is kept."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed_onnx.http import vectors

FLOATS = hnp.arrays(
    np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


@given(vector=FLOATS)
def test_numbers_keep_every_bit(vector):
    text = vectors.encode(vector, "float")

    assert vector.tobytes() == np.array(json.loads(bytes(text)), np.float32).tobytes()


@given(vector=FLOATS)
def test_base64_keeps_every_bit_as_padded_standard_little_endian(vector):
    text = json.loads(bytes(vectors.encode(vector, "base64")))

    assert vector.astype("<f4").tobytes() == base64.b64decode(text, validate=True)


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param(np.array([1, -2.5], np.float32), id="plain"),
        pytest.param(np.array([1, 0, -2.5, 0], np.float32)[::2], id="with-gaps"),
        pytest.param(np.array([1, -2.5], ">f4"), id="big-endian"),
    ],
)
def test_base64_of_a_known_vector(vector):
    assert bytes(vectors.encode(vector, "base64")) == b'"AACAPwAAIMA="'


def test_without_a_format_vectors_are_numbers():
    assert bytes(vectors.encode(np.array([1, -2.5], np.float32), None)) == b"[1.0,-2.5]"
