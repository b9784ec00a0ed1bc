"""Vectors in fewer bytes, against sentence-transformers' own conversion."""

import base64

import numpy as np
import pytest

from embed_onnx.engine import dtypes
from embed_onnx.errors import InvalidRequest
from embed_onnx.http import vectors
from embed_onnx.http.vectors import WireType

RNG = np.random.default_rng(5)
VECTORS = RNG.normal(size=(200, 24)).astype(np.float32)
VECTORS[:, 3] = 0.25  # a dimension that never changes has no steps
OTHERS = RNG.normal(scale=2, size=(40, 24)).astype(np.float32)
"""Some of their numbers are out of the ranges of the first."""


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_as_sentence_transformers_does(dtype: dtypes.DType) -> None:
    """The same bits, with the ranges of the vectors themselves."""
    from sentence_transformers.util import quantize_embeddings

    expected = quantize_embeddings(VECTORS, dtype)

    actual = dtypes.convert(VECTORS, dtype)

    assert expected.dtype == actual.dtype
    assert np.array_equal(expected, actual)


def test_int8_with_the_ranges_of_others() -> None:
    """Queries get the ranges of the documents, and what is out of them stays at their ends."""
    from sentence_transformers.util import quantize_embeddings

    calibrated = dtypes.ranges(VECTORS)

    actual = dtypes.convert(OTHERS, "int8", calibrated)

    assert np.array_equal(quantize_embeddings(OTHERS, "int8", calibration_embeddings=VECTORS), actual)
    assert np.array_equal(actual[7], dtypes.convert(OTHERS[7], "int8", calibrated))
    assert {-128, 127} <= set(actual.flatten().tolist())


def test_even_ranges_round_to_the_nearest() -> None:
    """int8 is the vector times 127 / greatest, so that cosines are nearly those of float32."""
    actual = dtypes.convert(OTHERS, "int8", dtypes.even_ranges(5, 24))

    assert np.array_equal(np.clip(np.round(OTHERS.astype(np.float64) * 127 / 5), -128, 127), actual)


def test_bfloat16_is_pytorchs() -> None:
    import torch

    expected = torch.from_numpy(VECTORS).bfloat16()

    bits = [
        base64.b64decode(bytes(row)) for row in vectors.encode(VECTORS, WireType("bfloat16", base64=True))
    ]

    assert expected.view(torch.int16).numpy().tobytes() == b"".join(bits)


def test_float16_is_a_cast() -> None:
    actual = dtypes.convert(VECTORS, "float16")

    assert np.float16 == actual.dtype
    assert np.allclose(VECTORS, actual, rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize(("dtype", "shape"), [("int8", (0, 20)), ("ubinary", (0, 3)), ("float16", (0, 20))])
def test_nothing_gives_nothing(dtype: dtypes.DType, shape: tuple[int, int]) -> None:
    """No vectors, of 20 dimensions, which are three bytes of bits."""
    assert shape == dtypes.convert(np.zeros((0, 20), np.float32), dtype).shape
    assert shape[1] == dtypes.width(dtype, 20)


@pytest.mark.parametrize(
    ("floats", "dtype", "calibrated", "sentence"),
    [
        pytest.param(
            VECTORS, "uint4", None, "one of float32, float16, int8, uint8, binary, ubinary", id="unknown"
        ),
        pytest.param(VECTORS[0], "int8", None, "one vector has no ranges of its own", id="alone"),
        pytest.param(VECTORS[:1], "int8", None, "one vector has no ranges of its own", id="list-of-one"),
        pytest.param(VECTORS, "int8", np.zeros((2, 3)), "must be [2, 24]", id="shape"),
        pytest.param(VECTORS, "ubinary", np.zeros((2, 24)), "ranges are for int8", id="not-for-this"),
    ],
)
def test_what_cannot_be_converted(floats, dtype, calibrated, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        dtypes.convert(floats, dtype, calibrated)

    assert sentence in str(refused.value)
