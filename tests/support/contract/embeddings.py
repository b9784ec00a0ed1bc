"""Texts and token ids in, vectors out: every field of a request and of its answer."""

import base64
import struct
from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL

from contract import post
from embed_onnx import Model

ROUTES = ["/v1/embeddings", "/embeddings"]


class EmbeddingsContract:
    """What embeds."""

    @pytest.mark.parametrize("path", ROUTES)
    def test_embeds_a_list_in_order(self, client: httpx.Client, path: str, minilm: Model) -> None:
        """Vectors come in the order of the input, with token counts, in OpenAI's shape."""
        texts = ["a red kite", "the harbour at night, full of lights"]

        body = post(client, path, input=texts, model=MINILM).json()

        assert [0, 1] == [item["index"] for item in body["data"]]
        assert {"object", "index", "embedding", "num_tokens"} == set(body["data"][0])
        assert {"object", "data", "model", "usage", "id", "created"} == set(body)
        assert "list" == body["object"]
        assert body["model"] == MINILM
        total = sum(item["num_tokens"] for item in body["data"])
        assert {"prompt_tokens": total, "total_tokens": total} == body["usage"]
        expected = minilm.encode(texts)
        assert np.array_equal(expected, np.array([item["embedding"] for item in body["data"]], np.float32))

    def test_embeds_one_text(self, client: httpx.Client) -> None:
        """A string is one input; special tokens are counted."""
        body = post(client, input="hello").json()

        assert [3] == [item["num_tokens"] for item in body["data"]]

    def test_base64_and_float_are_the_same_bits(self, client: httpx.Client) -> None:
        """base64 is little-endian float32, padded, in the standard alphabet."""
        floats = post(client, input="one two", encoding_format="float").json()["data"][0]["embedding"]
        encoded = post(client, input="one two", encoding_format="base64").json()["data"][0]["embedding"]

        raw = base64.b64decode(encoded, validate=True)
        assert struct.pack(f"<{len(floats)}f", *floats) == raw

    def test_token_ids_are_taken_as_they_are(self, client: httpx.Client) -> None:
        """What /tokenize answers, sent back as ids, gives the text's own vector; so do ids in a list."""
        ids = client.post("/tokenize", json={"input": "salt and pepper"}).json()["data"][0]["ids"]
        text = post(client, input="salt and pepper").json()["data"][0]

        assert text == post(client, input=ids).json()["data"][0]
        assert text == post(client, input=[ids]).json()["data"][0]

    def test_dimensions_cut_and_normalise(self, client: httpx.Client) -> None:
        """Fewer dimensions are the first ones, of length 1 again."""
        whole = np.array(post(client, input="a text").json()["data"][0]["embedding"])
        cut = np.array(post(client, input="a text", dimensions=64).json()["data"][0]["embedding"])

        assert 64 == len(cut)
        assert np.allclose(whole[:64] / np.linalg.norm(whole[:64]), cut, atol=1e-6)

    def test_models_go_by_alias_repository_and_prompt(self, client: httpx.Client) -> None:
        """A model answers to its name, aliases and repository; without one the first answers."""
        names = [None, MINILM, "text-embedding-3-small", f"sentence-transformers/{MINILM}", f"{MINILM}:query"]

        answers = [post(client, input="x", model=name).json() for name in names]

        assert [MINILM] * len(names) == [answer["model"] for answer in answers]

    def test_prompts(self, client: httpx.Client) -> None:
        """A literal prompt beats a named one, which beats the default; a suffix of the model names one."""

        def vector(text: str, **body: str) -> list[float]:
            return post(client, input=text, **{"model": SMALL, **body}).json()["data"][0]["embedding"]

        assert vector("a", prompt="search for: ") == vector("search for: a", prompt="")
        assert vector("a", prompt_name="query") == vector("a", prompt="search for: ")
        assert vector("a", model="team/tiny:query") == vector("a", prompt_name="query")
        assert vector("a") == vector("a", prompt_name="document")
        assert vector("a") != vector("a", prompt="")

    def test_input_types(self, client: httpx.Client) -> None:
        """Cohere's words name a prompt: that of queries, of documents, their own, or the default."""

        def item(**body: str) -> dict[str, Any]:
            return post(client, input="a", **{"model": SMALL, **body}).json()["data"][0]

        query, document = item(prompt="search for: "), item(prompt="text: ")
        assert (
            query
            == item(input_type="search_query")
            == item(input_type="search_query", model="small:document")
        )
        assert document == item(input_type="search_document")
        assert document == item(input_type="classification") == item(input_type="clustering") == item()
        assert query["num_tokens"] > document["num_tokens"] > item(prompt="")["num_tokens"]

    def test_a_long_text_is_cut_and_says_so(self, client: httpx.Client) -> None:
        """A cut item carries truncated; others leave the key out."""
        data = post(client, input=["word " * 1000, "word"]).json()["data"]

        assert (256, True) == (data[0]["num_tokens"], data[0]["truncated"])
        assert "truncated" not in data[1]

    def test_null_means_left_out(self, client: httpx.Client) -> None:
        """Clients that send null for what they do not set are understood, and extras are ignored."""
        fields = ["model", "encoding_format", "dimensions", "user", "prompt", "prompt_name", "input_type"]

        response = post(
            client, input="x", **dict.fromkeys(fields), truncate=None, service_tier="auto", extra={"id": 1}
        )

        assert 200 == response.status_code

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("mind the gap " * 76_000, id="words"),
            pytest.param("x" * 1_000_000, id="one-word"),
            pytest.param("界" * 1_000_000, id="three-bytes-a-word"),
            pytest.param(" " * 999_999 + "x", id="spaces"),
            pytest.param("a\0b\0" * 1000, id="nul"),
        ],
    )
    def test_a_huge_string_is_cut(self, client: httpx.Client, text: str) -> None:
        """A million characters in one text are tokenized as far as the limit needs."""
        response = post(client, input=text, encoding_format="base64")

        assert 200 == response.status_code
        assert response.json()["usage"]["total_tokens"] <= 256
