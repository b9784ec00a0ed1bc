"""Types of numbers over HTTP: what each field of other APIs gives, and that no vector depends on another."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM

from embed_onnx import Model
from embed_onnx.engine.dtypes import DType

TEXTS = ["Hello", "a second, somewhat longer text", "naïve café, 東京"]
OPENAI = {"x-stainless-lang": "python"}


def items(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> list[Any]:
    answer = client.post("/v1/embeddings", json={"input": TEXTS, "model": MINILM, **fields}, headers=headers)
    assert 200 == answer.status_code, answer.text
    return [item["embedding"] for item in answer.json()["data"]]


def refusal(client: httpx.Client, path: str = "/v1/embeddings", **fields: Any) -> str:
    answer = client.post(path, json={"input": TEXTS, "model": MINILM, **fields})
    assert 400 == answer.status_code, answer.text
    return answer.json()["error"]["message"]


def stored(model: Model, dtype: DType, **options: Any) -> np.ndarray:
    ranges = model.ranges(**options) if dtype in ("int8", "uint8") else None
    return model.encode(TEXTS, dtype=dtype, ranges=ranges, **options)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "binary", "ubinary", "float16"])
@pytest.mark.parametrize("options", [{}, {"dimensions": 20}, {"normalize": False}], ids=str)
def test_numbers_are_those_of_the_model(
    client: httpx.Client, minilm: Model, dtype: DType, options: dict[str, Any]
) -> None:
    """As a list, and as base64 of the bytes; ranges are of the vectors that the options give."""
    expected = stored(minilm, dtype, **options)

    listed = items(client, output_dtype=dtype, **options)
    encoded = items(client, output_dtype=dtype, encoding_format="base64", **options)

    assert np.array_equal(expected, np.array(listed, expected.dtype))
    assert expected.tobytes() == b"".join(base64.b64decode(row, validate=True) for row in encoded)


def test_a_vector_does_not_depend_on_its_neighbours(client: httpx.Client) -> None:
    alone = [items(client, input=[text], output_dtype="int8")[0] for text in TEXTS]

    assert alone == items(client, output_dtype="int8")


def test_int8_keeps_cosines(minilm: Model) -> None:
    """Of texts that are like each other and of texts that are not."""
    float32, int8 = minilm.encode(TEXTS), stored(minilm, "int8").astype(np.float32)
    lengths = np.linalg.norm(int8, axis=1)

    cosines = int8 @ int8.T / np.outer(lengths, lengths)

    assert np.allclose(float32 @ float32.T, cosines, atol=0.01)


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        pytest.param({"embed_dtype": "float16"}, ("<f2", None), id="vllm-float16"),
        pytest.param({"embed_dtype": "float16", "endianness": "big"}, (">f2", None), id="vllm-big"),
        pytest.param({"embed_dtype": "float32", "endianness": "native"}, ("<f4", None), id="vllm-float32"),
        pytest.param({"endianness": "big"}, (">f4", None), id="big"),
        pytest.param({"embedding_type": "ubinary"}, ("u1", "ubinary"), id="jina"),
        pytest.param({"output_dtype": "binary"}, ("i1", "binary"), id="voyage"),
        pytest.param({"embedding_types": ["uint8"]}, ("u1", "uint8"), id="cohere"),
    ],
)
def test_fields_of_other_apis(
    client: httpx.Client, minilm: Model, fields: dict[str, Any], numbers: tuple[str, DType | None]
) -> None:
    kind, dtype = numbers
    expected = minilm.encode(TEXTS).astype(kind) if dtype is None else stored(minilm, dtype)

    encoded = items(client, encoding_format="base64", **fields)

    assert expected.tobytes() == b"".join(base64.b64decode(row, validate=True) for row in encoded)


def test_bfloat16(client: httpx.Client, minilm: Model) -> None:
    """The upper half of float32: eight bits are right."""
    expected = minilm.encode(TEXTS)

    encoded = items(client, encoding_format="base64", embed_dtype="bfloat16")
    halves = np.frombuffer(b"".join(map(base64.b64decode, encoded)), "<u2").astype(np.uint32)

    assert np.allclose(expected, (halves << 16).view(np.float32).reshape(expected.shape), rtol=2**-8)
    assert np.allclose(expected, items(client, output_dtype="bfloat16"), rtol=2**-8)


def test_openais_clients_would_read_all_base64_as_float32(client: httpx.Client, minilm: Model) -> None:
    """They request it by themselves; who names ``endianness`` reads the bytes without them."""
    body = {"input": TEXTS, "model": MINILM, "encoding_format": "base64", "output_dtype": "int8"}

    refused = client.post("/v1/embeddings", json=body, headers=OPENAI)
    listed = items(client, OPENAI, output_dtype="int8", encoding_format="float")
    read = items(client, OPENAI, output_dtype="int8", encoding_format="base64", endianness="little")

    assert 400 == refused.status_code
    assert "encoding_format" == refused.json()["error"]["param"]
    assert "read as float32; name encoding_format float" in refused.json()["error"]["message"]
    assert np.array_equal(stored(minilm, "int8"), listed)
    assert stored(minilm, "int8").tobytes() == b"".join(map(base64.b64decode, read))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"output_dtype": "int4"}, "it is one of bfloat16, binary, float, float16", id="dtype"),
        pytest.param({"embedding_types": ["int8", "float"]}, "send one of these", id="several"),
        pytest.param({"embed_dtype": "fp8_e5m2"}, 'embed_dtype is "fp8_e5m2"', id="fp8"),
        pytest.param({"output_dtype": "int8", "embedding_type": "binary"}, "differ", id="contradiction"),
        pytest.param({"encoding_format": "bytes"}, "it is one of base64, float", id="bytes"),
    ],
)
def test_what_is_refused(client: httpx.Client, fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(client, **fields)


def test_routes_that_send_float32_alone(client: httpx.Client) -> None:
    answer = client.post("/embed", json={"inputs": "x", "output_dtype": "int8"})

    assert 422 == answer.status_code
    assert "POST /v1/embeddings takes it as output_dtype" in answer.json()["error"]
