"""Hostile texts, bodies and headers: an answer in its shape to each, nothing in the log, never a 5xx."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL, START_SECONDS, Server
from hypothesis import given
from hypothesis import strategies as st
from naughty import HALVES, NAUGHTY, NO_JSON
from raw_http import Connection, embed

ROUTES = ["/v1/embeddings", "/embeddings", "/tokenize"]
JSON_TYPE = {"content-type": "application/json"}
TEXTS = [text for text in NAUGHTY if text]


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as opened:
        yield opened


def check(response: httpx.Response) -> None:
    """A success, or a refusal in OpenAI's shape; a bug is neither."""
    assert response.headers["x-request-id"]
    assert response.status_code < 500, response.text
    if response.status_code == 200:
        assert response.json()["data"]
        return
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} == set(error)
    assert "invalid_request_error" == error["type"]
    assert error["message"]
    assert "Traceback" not in error["message"]


def items(web: httpx.Client, path: str, texts: str | list[str], model: str) -> list[dict[str, Any]]:
    """The items of an answer, which must be a success."""
    response = web.post(path, json={"input": texts, "model": model, "encoding_format": "base64"})
    assert 200 == response.status_code, response.text
    return response.json()["data"]


@pytest.mark.parametrize("model", [MINILM, SMALL])
@pytest.mark.parametrize("first", range(0, len(TEXTS), 30))
def test_naughty_texts(web: httpx.Client, model: str, first: int) -> None:
    """Each has a finite vector of length 1, and the same bits in a list as alone, on both routes."""
    texts = TEXTS[first : first + 30]

    together = items(web, "/v1/embeddings", texts, model)
    alone = [items(web, "/embeddings", text, model)[0] for text in texts]

    vectors = np.array([np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in together])
    assert np.isfinite(vectors).all()
    assert np.allclose(1, np.linalg.norm(vectors, axis=1), atol=1e-5)
    assert [item["embedding"] for item in together] == [item["embedding"] for item in alone]
    assert list(range(len(texts))) == [item["index"] for item in together]


@pytest.mark.parametrize("model", [MINILM, SMALL])
def test_naughty_texts_as_tokens(web: httpx.Client, model: str) -> None:
    """/tokenize tells what was embedded: its ids give the text's own vector."""
    for text in TEXTS:
        (tokens,) = items(web, "/tokenize", text, model)
        (embedded,) = items(web, "/v1/embeddings", text, model)
        by_ids = web.post(
            "/v1/embeddings", json={"input": tokens["ids"], "model": model, "encoding_format": "base64"}
        )
        assert embedded["num_tokens"] == tokens["num_tokens"] == len(tokens["ids"]) == len(tokens["tokens"])
        assert embedded["embedding"] == by_ids.json()["data"][0]["embedding"]


@pytest.mark.parametrize("field", ["model", "prompt", "prompt_name", "encoding_format", "user", "x"])
def test_naughty_texts_in_other_fields(web: httpx.Client, field: str) -> None:
    """Names that are none are refused by name; a prompt may be any text."""
    for text in TEXTS:
        response = web.post("/v1/embeddings", json={"input": "a", "model": SMALL, field: text})
        check(response)
        accepted = field in ("prompt", "user", "x")
        assert accepted == (response.status_code == 200)
        assert accepted or field == response.json()["error"]["param"]
        assert len(response.content) < 20_000 or accepted or len(text) > 1000


@pytest.mark.parametrize("path", ROUTES)
def test_halves_of_surrogate_pairs(web: httpx.Client, path: str) -> None:
    """Each is U+FFFD: the answer is that of a text with this in its place."""
    for half in HALVES:
        whole = json.loads(half).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        fields = json.dumps({"input": whole, "model": MINILM, "encoding_format": "base64"})
        sent = web.post(path, content=fields.replace(json.dumps(whole), half), headers=JSON_TYPE)
        expected = web.post(path, content=fields, headers=JSON_TYPE)
        assert 200 == sent.status_code
        assert expected.json()["data"] == sent.json()["data"]


@pytest.mark.parametrize("path", ROUTES)
def test_what_is_no_json(web: httpx.Client, path: str) -> None:
    """JavaScript is not JSON."""
    for input_value in NO_JSON:
        for body in (f'{{"input": {input_value}}}', f'{{"input": [{input_value}, "b"]}}', input_value):
            response = web.post(path, content=body.encode(), headers=JSON_TYPE)
            check(response)
            assert 400 == response.status_code, body


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=15,
)
INPUTS = (
    st.text(max_size=50)
    | st.lists(st.text(max_size=20), max_size=5)
    | st.lists(st.integers(-2, 40_000), max_size=9)
    | st.lists(st.lists(st.integers(-2, 40_000), max_size=5), max_size=4)
)
BODIES = st.fixed_dictionaries(
    {"input": INPUTS | VALUES},
    optional={
        "model": st.sampled_from([MINILM, SMALL, f"{SMALL}:query", "", ":"]) | VALUES,
        "encoding_format": st.sampled_from(["float", "base64"]) | VALUES,
        "dimensions": st.integers(-1, 400) | VALUES,
        "prompt_name": st.sampled_from(["query", "document"]) | VALUES,
        "prompt": st.text(max_size=20) | VALUES,
        "truncate": st.booleans() | VALUES,
        "user": VALUES,
        "stream": VALUES,
    },
)
FRAGMENTS = st.lists(
    st.sampled_from([b'{"input":', b'"a"', *(bytes([byte]) for byte in b'[]{},:1-e"\\')])
    | st.binary(max_size=3),
    max_size=15,
).map(b"".join)  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
@given(body=BODIES | VALUES)
def test_any_json(web: httpx.Client, path: str, body: Any) -> None:
    """Python's NaN and Infinity included, which are no JSON."""
    check(web.post(path, content=json.dumps(body).encode(), headers=JSON_TYPE))


@pytest.mark.parametrize("path", ROUTES)
@given(body=st.binary(max_size=200) | FRAGMENTS | FRAGMENTS.map(lambda part: b'{"input":' + part + b"}"))
def test_any_bytes(web: httpx.Client, path: str, body: bytes) -> None:
    check(web.post(path, content=body, headers=JSON_TYPE))


HEADER_NAMES = st.sampled_from(
    [
        *[b"content-type", b"content-encoding", b"authorization", b"x-request-id", b"accept"],
        *[b"accept-encoding"],
        *[b"cookie", b"host", b"origin", b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"range"],
        *[b"if-none-match", b"transfer-encoding", b"content-length", b"connection", b"expect", b"te"],
        *[b"upgrade"],
        *[b"x-http-method-override", b"access-control-request-method", b"keep-alive", b"trailer", b"via"],
    ]
) | st.binary(min_size=1, max_size=10)  # fmt: skip
HEADER_VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        *[b"application/json", b"application/json; charset=utf-16", b"text/html", b"*/*", b"chunked"],
        *[b"identity"],
        *[b"close", b"keep-alive", b"upgrade", b"100-continue", b"Bearer \xff\xfe", b"Basic !!!"],
        *[b"gzip", b"h2c"],
        *[b"application/json\tx", b";;;", b"=", b'"', b"0", b"1", b"-1", b"99999999999999999999"],
        *[b"127.0.0.1, \xff"],
    ]
)  # fmt: skip


@given(lines=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=5), path=st.sampled_from(ROUTES))
def test_any_headers(server: Server, lines: list[tuple[bytes, bytes]], path: str) -> None:
    """Bytes as they are, line feeds among them: every answer is whole, and none is a 5xx."""
    head, _, body = embed("a text").partition(b"\r\n\r\n")
    head = head.replace(b"/v1/embeddings", path.encode(), 1)
    with Connection(server) as connection:
        connection.send(b"\r\n".join([head, *[b": ".join(line) for line in lines], b"", body]))
        answer = connection.final_answer()

    assert answer.status < 500
    assert answer.status == 200 or answer.error["message"]


@given(sent=st.binary(max_size=300).filter(lambda sent: sent.strip(b"\r\n")))
def test_any_bytes_on_a_connection(server: Server, sent: bytes) -> None:
    with Connection(server) as connection:
        connection.send(sent, b"\r\n\r\n")
        answer = connection.answer()

    assert 400 == answer.status
    assert answer.error["message"]
