"""Vectors in answers, as numbers and as base64: every bit of them is kept."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed_onnx.engine import dtypes
from embed_onnx.http import vectors
from embed_onnx.http.vectors import WireType

BASE64 = WireType(base64=True)
FLOATS = hnp.arrays(
    np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


@given(vector=FLOATS)
def test_numbers_keep_every_bit(vector):
    (text,) = vectors.encode(vector[None])

    assert vector.tobytes() == np.array(json.loads(bytes(text)), np.float32).tobytes()


@given(vector=FLOATS)
def test_base64_keeps_every_bit_as_padded_standard_little_endian(vector):
    (text,) = vectors.encode(vector[None], BASE64)

    assert vector.astype("<f4").tobytes() == base64.b64decode(json.loads(bytes(text)), validate=True)


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param(np.array([1, -2.5], np.float32), id="plain"),
        pytest.param(np.array([1, 0, -2.5, 0], np.float32)[::2], id="with-gaps"),
        pytest.param(np.array([1, -2.5], ">f4"), id="big-endian"),
    ],
)
def test_base64_of_a_known_vector(vector):
    (text,) = vectors.encode(vector[None], BASE64)

    assert bytes(text) == b'"AACAPwAAIMA="'


@pytest.mark.parametrize(
    ("numbers", "listed", "little", "big"),
    [
        pytest.param("float32", "[1.0,-2.5,0.0]", "0000803f 000020c0 00000000", "3f800000 c0200000 00000000"),
        pytest.param("float16", "[1.0,-2.5,0.0]", "003c 00c1 0000", "3c00 c100 0000"),
        pytest.param("bfloat16", "[1.0,-2.5,0.0]", "803f 20c0 0000", "3f80 c020 0000"),
        pytest.param("int8", "[51,-127,0]", "33 81 00", "33 81 00"),
        pytest.param("uint8", "[179,1,128]", "b3 01 80", "b3 01 80"),
        pytest.param("binary", "[0]", "00", "00"),
        pytest.param("ubinary", "[128]", "80", "80"),
    ],
)
def test_each_type_as_numbers_and_as_bytes(numbers, listed, little, big):
    """Of int8, 2.5 becomes 127."""
    vector, ranges = np.array([[1, -2.5, 0]], np.float32), dtypes.even_ranges(2.5, 3)
    for wire_type, expected in (
        (WireType(numbers), listed),
        (WireType(numbers, base64=True), as_base64(little)),
        (WireType(numbers, base64=True, big_endian=True), as_base64(big)),
    ):
        (text,) = vectors.encode(vector, wire_type, ranges)

        assert bytes(text).decode() == expected


def as_base64(digits: str) -> str:
    return f'"{base64.b64encode(bytes.fromhex(digits)).decode()}"'


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(1 + 2**-8, 1, id="a-tie-goes-to-the-even-one"),
        pytest.param(1 + 3 * 2**-8, 1 + 2**-6, id="up-to-the-even-one"),
        pytest.param(1 + 2**-8 + 2**-20, 1 + 2**-7, id="above-a-tie"),
        pytest.param(-0.3, -0.30078125, id="the-nearest"),
    ],
)
def test_bfloat16_is_the_nearest(number, expected):
    (text,) = vectors.encode(np.array([[number]], np.float32), WireType("bfloat16"))

    assert [expected] == json.loads(bytes(text))
