"""Cohere's routes of vectors: what they answer, and what they refuse in Cohere's shape."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL

from embed_onnx import Model
from embed_onnx.engine.dtypes import DType
from embed_onnx.models.options import Options

TEXTS = ["Hello", "a second, somewhat longer text", "naïve café, 東京"]
LONG = "word " * 400
BOTH = ("/v1/embed", "/v2/embed")


def post(client: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    body = {"texts": TEXTS, "model": MINILM, "input_type": "search_document", **fields}
    return client.post(path, json={name: value for name, value in body.items() if value is not ...})


def answer(client: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    sent = post(client, path, **fields)
    assert 200 == sent.status_code, sent.text
    return sent.json()


def refusal(client: httpx.Client, path: str, status: int = 400, **fields: Any) -> str:
    sent = post(client, path, **fields)
    assert status == sent.status_code, sent.text
    assert ["message"] == list(sent.json())
    return sent.json()["message"]


def test_floats_of_the_first_version(client: httpx.Client, minilm: Model) -> None:
    """Without types, vectors are one list; ``input_type`` may be left out."""
    actual = answer(client, "/v1/embed", input_type=...)

    assert {"response_type", "id", "embeddings", "texts", "meta"} == set(actual)
    assert ("embeddings_floats", TEXTS) == (actual["response_type"], actual["texts"])
    assert np.array_equal(minilm.encode(TEXTS), np.array(actual["embeddings"], np.float32))
    tokens = sum(len(item.ids) for item in minilm.tokenize(TEXTS, Options()))
    assert {"api_version": {"version": "1"}, "billed_units": {"input_tokens": tokens}} == actual["meta"]


def test_floats_of_the_second_version(client: httpx.Client, minilm: Model) -> None:
    actual = answer(client, "/v2/embed")

    assert ("embeddings_by_type", TEXTS) == (actual["response_type"], actual["texts"])
    assert ["float"] == list(actual["embeddings"])
    assert np.array_equal(minilm.encode(TEXTS), np.array(actual["embeddings"]["float"], np.float32))
    assert "2" == actual["meta"]["api_version"]["version"]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("options", [{}, {"output_dimension": 20}], ids=["whole", "cut"])
def test_every_type_at_once(client: httpx.Client, minilm: Model, path: str, options: dict[str, Any]) -> None:
    """In one answer, from one run of the model."""
    types: tuple[DType, ...] = ("int8", "uint8", "binary", "ubinary")
    dimensions = options.get("output_dimension", 384)
    ranges = minilm.ranges(dimensions=dimensions)

    actual = answer(client, path, embedding_types=["float", "base64", *types], **options)["embeddings"]

    floats = minilm.encode(TEXTS, dimensions=dimensions)
    assert np.array_equal(floats, np.array(actual["float"], np.float32))
    assert floats.tobytes() == b"".join(map(base64.b64decode, actual["base64"]))
    for dtype in types:
        own = ranges if dtype in ("int8", "uint8") else None
        expected = minilm.encode(TEXTS, dtype=dtype, ranges=own, dimensions=dimensions)
        assert np.array_equal(expected, actual[dtype])


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("word", "prompt"),
    [("search_query", "query"), ("search_document", "document"), ("SEARCH_QUERY", "query")],
)
def test_the_input_type_chooses_the_prompt(
    client: httpx.Client, small: Model, path: str, word: str, prompt: str
) -> None:
    actual = answer(client, path, model=SMALL, input_type=word, embedding_types=["float"])

    expected = small.encode(TEXTS, prompt_name=prompt)
    assert np.array_equal(expected, np.array(actual["embeddings"]["float"], np.float32))


@pytest.mark.parametrize("path", BOTH)
def test_texts_that_are_too_long(client: httpx.Client, minilm: Model, path: str) -> None:
    """They are cut where the client says, and a warning counts them; or they are refused."""
    for word, text in (("END", LONG), ("START", "first " * 400 + LONG), (..., LONG)):
        actual = answer(client, path, texts=["a", text], truncate=word, embedding_types=["float"])
        assert np.array_equal(minilm.encode(["a", LONG]), np.array(actual["embeddings"]["float"], np.float32))
        assert ["texts that were cut at the limit of tokens: 1 of 2"] == actual["meta"]["warnings"]

    assert "texts[1] has 402 tokens" in refusal(client, path, texts=["a", LONG], truncate="NONE")


def test_a_lower_limit(client: httpx.Client, minilm: Model) -> None:
    actual = answer(client, "/v2/embed", texts=["a text of some words"], max_tokens=6)

    assert np.array_equal(
        minilm.encode(["a text of some"]), np.array(actual["embeddings"]["float"], np.float32)
    )


def test_inputs_of_one_text_each(client: httpx.Client, minilm: Model) -> None:
    inputs = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]

    actual = answer(client, "/v2/embed", texts=..., inputs=inputs)

    assert TEXTS == actual["texts"]
    assert np.array_equal(minilm.encode(TEXTS), np.array(actual["embeddings"]["float"], np.float32))


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TEXT = {"type": "text", "text": "x"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"images": ["data:image/png;base64,AA=="]}, "only texts are read here", id="images"),
        pytest.param({"input_type": "image"}, "it is one of classification, clustering", id="image"),
        pytest.param({"texts": []}, "texts is an empty list", id="no-texts"),
        pytest.param({"texts": ["a", ""]}, "texts[1] is empty", id="empty-text"),
        pytest.param({"texts": [[5, 6]]}, "texts is token ids; send texts", id="ids"),
        pytest.param({"texts": ["a"] * 2049}, "texts has 2049 items and at most 2048", id="too-many"),
        pytest.param({"texts": 3}, "texts is of the wrong type", id="number"),
        pytest.param({"texts": ..., "input": ["a"]}, "texts", id="openai"),
        pytest.param({"embedding_types": ["int4"]}, "it is one of base64, binary, float", id="type"),
        pytest.param({"embedding_types": "int8"}, "Expected `array | null`, got `str`", id="no-list"),
        pytest.param({"output_dimension": 999}, "this model takes 1 to 384", id="dimension"),
        pytest.param({"output_dimension": 8, "dimensions": 9}, "are both there and differ", id="two"),
        pytest.param({"truncate": "MIDDLE"}, "END, NONE, START", id="truncate"),
        pytest.param({"output_dtype": "int8"}, "POST /v2/embed as embedding_types", id="voyages-word"),
        pytest.param({"embeding_types": ["int8"]}, "did you mean embedding_types?", id="misspelt"),
    ],
)
@pytest.mark.parametrize("path", BOTH)
def test_what_is_refused(client: httpx.Client, path: str, fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(client, path, **fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"input_type": ...}, "input_type is missing; send search_document", id="input-type"),
        pytest.param({"texts": ...}, "there must be one of texts and inputs", id="neither"),
        pytest.param({"inputs": [{"content": [TEXT]}]}, "there must be one of texts and inputs", id="both"),
        pytest.param(
            {"texts": ..., "inputs": [{"content": [TEXT]}, {"content": [IMAGE]}]},
            "inputs[1].content is of type 'image_url', and only texts are read here",
            id="image",
        ),
        pytest.param(
            {"texts": ..., "inputs": [{"content": [TEXT, IMAGE]}]}, "content has 2 parts", id="parts"
        ),
        pytest.param({"texts": ..., "inputs": []}, "inputs is an empty list", id="no-inputs"),
        pytest.param({"texts": ..., "inputs": ["a"]}, "`$.inputs[0]`", id="inputs-of-texts"),
        pytest.param(
            {"texts": ..., "inputs": [{"content": [TEXT]}, {"content": [TEXT | {"text": ""}]}]},
            "inputs[1] is empty",
            id="empty-input",
        ),
        pytest.param(
            {"texts": ..., "inputs": [{"content": [TEXT]}] * 4000}, "at least 4000 items", id="too-many"
        ),
    ],
)
def test_what_the_second_version_refuses(client: httpx.Client, fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(client, "/v2/embed", **fields)


@pytest.mark.parametrize("path", BOTH)
def test_an_unknown_model(client: httpx.Client, path: str) -> None:
    assert "is not served" in refusal(client, path, 404, model="embed-v4.0")


def test_a_prompt_of_ours_in_place_of_an_input_type(client: httpx.Client, small: Model) -> None:
    actual = answer(client, "/v2/embed", model=SMALL, input_type=..., prompt="about: ")

    expected = small.encode(TEXTS, prompt="about: ")
    assert np.array_equal(expected, np.array(actual["embeddings"]["float"], np.float32))


def test_long_texts_whole(client: httpx.Client) -> None:
    """A field of ours, which other wires have as well: nothing is cut, so that there is no warning."""
    actual = answer(client, "/v2/embed", texts=[LONG], long_texts="mean", embedding_types=["int8"])
    items = client.post(
        "/v1/embeddings",
        json={"input": LONG, "model": MINILM, "long_texts": "mean", "output_dtype": "int8"},
    ).json()["data"]

    assert [item["embedding"] for item in items] == actual["embeddings"]["int8"]
    assert "warnings" not in actual["meta"]
