"""Every route, field and error of the wire contract, over real sockets."""

import base64
import json
import socket
import struct
import subprocess
from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL, START_SECONDS, Server

from embed_onnx import Model
from embed_onnx.engine import native

ROUTES = ["/v1/embeddings", "/embeddings"]


def post(client: httpx.Client, path: str = "/v1/embeddings", **body: Any) -> httpx.Response:
    return client.post(path, json=body)


def error(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which must have all four keys and nothing else."""
    body = response.json()

    assert ["error"] == list(body)
    assert {"message", "type", "param", "code"} == set(body["error"])
    assert response.headers["x-request-id"]
    return body["error"]


@pytest.mark.parametrize("path", ROUTES)
def test_embeds_a_list_in_order(client: httpx.Client, path: str, minilm: Model) -> None:
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


def test_embeds_one_text(client: httpx.Client) -> None:
    """A string is one input; special tokens are counted."""
    body = post(client, input="hello").json()

    assert [3] == [item["num_tokens"] for item in body["data"]]


def test_base64_and_float_are_the_same_bits(client: httpx.Client) -> None:
    """base64 is little-endian float32, padded, in the standard alphabet."""
    floats = post(client, input="one two", encoding_format="float").json()["data"][0]["embedding"]
    encoded = post(client, input="one two", encoding_format="base64").json()["data"][0]["embedding"]

    raw = base64.b64decode(encoded, validate=True)
    assert struct.pack(f"<{len(floats)}f", *floats) == raw


def test_token_ids_are_taken_as_they_are(client: httpx.Client) -> None:
    """What /tokenize answers, sent back as ids, gives the text's own vector; so do ids in a list."""
    ids = client.post("/tokenize", json={"input": "salt and pepper"}).json()["data"][0]["ids"]
    text = post(client, input="salt and pepper").json()["data"][0]

    assert text == post(client, input=ids).json()["data"][0]
    assert text == post(client, input=[ids]).json()["data"][0]


def test_dimensions_cut_and_normalise(client: httpx.Client) -> None:
    """Fewer dimensions are the first ones, of length 1 again."""
    whole = np.array(post(client, input="a text").json()["data"][0]["embedding"])
    cut = np.array(post(client, input="a text", dimensions=64).json()["data"][0]["embedding"])

    assert 64 == len(cut)
    assert np.allclose(whole[:64] / np.linalg.norm(whole[:64]), cut, atol=1e-6)


def test_models_go_by_alias_repository_and_prompt(client: httpx.Client) -> None:
    """A model answers to its name, aliases and repository; without one the first answers."""
    names = [None, MINILM, "text-embedding-3-small", f"sentence-transformers/{MINILM}", f"{MINILM}:query"]

    answers = [post(client, input="x", model=name).json() for name in names]

    assert [MINILM] * len(names) == [answer["model"] for answer in answers]


def test_prompts(client: httpx.Client) -> None:
    """A literal prompt beats a named one, which beats the default; a suffix of the model names one."""

    def vector(text: str, **body: str) -> list[float]:
        return post(client, input=text, **{"model": SMALL, **body}).json()["data"][0]["embedding"]

    assert vector("a", prompt="search for: ") == vector("search for: a", prompt="")
    assert vector("a", prompt_name="query") == vector("a", prompt="search for: ")
    assert vector("a", model="team/tiny:query") == vector("a", prompt_name="query")
    assert vector("a") == vector("a", prompt_name="document")
    assert vector("a") != vector("a", prompt="")


def test_input_types(client: httpx.Client) -> None:
    """Cohere's words choose a prompt: that of queries, of documents, of their own name, or the default."""

    def item(**body: str) -> dict[str, Any]:
        return post(client, input="a", **{"model": SMALL, **body}).json()["data"][0]

    query, document = item(prompt="search for: "), item(prompt="text: ")
    assert query == item(input_type="search_query") == item(input_type="search_query", model="small:document")
    assert document == item(input_type="search_document")
    assert document == item(input_type="classification") == item(input_type="clustering") == item()
    assert query["num_tokens"] > document["num_tokens"] > item(prompt="")["num_tokens"]


def test_a_long_text_is_cut_and_says_so(client: httpx.Client) -> None:
    """A cut item carries truncated; others leave the key out."""
    data = post(client, input=["word " * 1000, "word"]).json()["data"]

    assert (256, True) == (data[0]["num_tokens"], data[0]["truncated"])
    assert "truncated" not in data[1]


def test_null_means_left_out(client: httpx.Client) -> None:
    """Clients that send null for what they do not set are understood, and extras are ignored."""
    fields = ["model", "encoding_format", "dimensions", "user", "prompt", "prompt_name", "input_type"]

    response = post(
        client, input="x", **dict.fromkeys(fields), truncate=None, service_tier="auto", extra={"id": 1}
    )

    assert 200 == response.status_code


def test_headers(client: httpx.Client) -> None:
    """A request id is echoed or made up, and the timings are told in milliseconds."""
    mine = client.post("/v1/embeddings", json={"input": "x"}, headers={"x-request-id": "mine-1"})
    other = client.get("/models", headers={"x-request-id": "bad\tid"})

    assert "mine-1" == mine.headers["x-request-id"]
    assert 36 == len(other.headers["x-request-id"])
    assert [
        "tokenize",
        "queue",
        "infer",
    ] == [part.split(";")[0] for part in mine.headers["server-timing"].split(", ")]


def test_model_lists(client: httpx.Client) -> None:
    """OpenAI's list, one model of it by any of its names, and the simple form."""
    cards = client.get("/v1/models").json()
    one = client.get(f"/v1/models/{SMALL}").json()
    simple = client.get("/models").json()

    assert [card["id"] for card in cards["data"]][:2] == [MINILM, SMALL]
    assert cards["data"][1] == one
    assert ("model", 384, 256, ["mean"], "int8") == tuple(
        cards["data"][0][key] for key in ("object", "dimensions", "max_tokens", "pooling", "precision")
    )
    assert ({"query": "search for: ", "document": "text: "}, "document", []) == tuple(
        one[key] for key in ("prompts", "default_prompt", "matryoshka")
    )
    assert [model["parity"]["cosine_mean"] > 0.99 for model in cards["data"][:2]] == [True, True]
    assert [model["runs_on"] for model in cards["data"][:2]] == [native.find().runs_on] * 2
    assert simple["data"]["models"] == {MINILM: {"dim": 384}, SMALL: {"dim": 32}}
    assert {"data", "generated", "id"} == set(simple)


def test_tokenize(client: httpx.Client) -> None:
    """Tokens as the model sees them, special tokens included."""
    body = client.post("/tokenize", json={"model": MINILM, "input": ["Hello there", "go"]}).json()

    assert body["model"] == MINILM
    assert {
        "index": 0,
        "tokens": ["[CLS]", "hello", "there", "[SEP]"],
        "ids": [101, 7592, 2045, 102],
        "num_tokens": 4,
    } == body["data"][0]


def test_health_ready_metrics(client: httpx.Client) -> None:
    """Probes answer, and the metrics count requests, tokens, cuts, the queue and memory."""
    post(client, input="count me " * 500)

    page = client.get("/metrics").text

    assert [200, 200] == [client.get(path).status_code for path in ("/health", "/ready")]
    for name in [
        'embed_onnx_requests_total{method="POST",route="/v1/embeddings",status="200"}',
        f'embed_onnx_tokens_total{{model="{MINILM}"}}',
        f'embed_onnx_truncated_inputs_total{{model="{MINILM}"}}',
        "embed_onnx_queue_tokens 0.0",
        "embed_onnx_queue_size 0.0",
        f'embed_onnx_request_tokenization_duration_seconds_count{{model="{MINILM}"}}',
        f'embed_onnx_request_queue_duration_seconds_count{{model="{MINILM}"}}',
        f'embed_onnx_request_inference_duration_seconds_count{{model="{MINILM}"}}',
        "process_resident_memory_bytes",
    ]:
        assert name in page


def test_docs_need_no_internet(client: httpx.Client) -> None:
    """The docs page and all it loads come from this server."""
    page = client.get("/docs").text
    loaded = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]

    assert 3 == len(loaded)
    assert "//" not in "".join(loaded)
    assert [200] * 3 == [client.get(path).status_code for path in loaded]
    schema = client.get("/openapi.json").json()
    assert {"/v1/embeddings", "/embeddings", "/tokenize", "/v1/models", "/models"} <= set(schema["paths"])


@pytest.mark.parametrize(
    "path",
    [
        *["/", "/page/page.js", "/docs", "/docs/", "/docs/files/swagger-ui.css", "/openapi.json", "/health"],
        *["/ready", "/v1/models", f"/v1/models/{SMALL}", "/models", "/info", "/api/tags", "/api/version"],
        *["/nowhere", "/v1/models/nope", "/v1/embeddings", "/api/nowhere"],
    ],
)
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    """Failures as well; what only takes POST takes neither."""
    head, get = client.head(path), client.get(path)
    differs = {"date", "x-request-id", "content-length"}

    assert get.status_code == head.status_code
    assert b"" == head.content
    assert [get.headers[name] for name in get.headers if name not in differs] == [
        head.headers[name] for name in head.headers if name not in differs
    ]


BAD_BODIES = [
    pytest.param(b'{"input": ', None, id="malformed-json"),
    pytest.param(b"", None, id="empty-body"),
    pytest.param(b'["a"]', None, id="not-an-object"),
    pytest.param(b'{"input": "\xff"}', None, id="invalid-utf-8"),
    pytest.param('{"input": "x"}'.encode("utf-16"), None, id="utf-16"),
    pytest.param(b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, id="deep-input"),
    pytest.param(b'{"input": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, id="deep-extra"),
    pytest.param(b"{}", "input", id="no-input"),
    pytest.param(b'{"input": 5}', "input", id="number"),
    pytest.param(b'{"input": ["a", null]}', "input", id="null-item"),
    pytest.param(b'{"input": ""}', "input", id="empty-text"),
    pytest.param(b'{"input": []}', "input", id="empty-list"),
    pytest.param(b'{"input": ["a", ""]}', "input", id="empty-item"),
    pytest.param(b'{"input": [[1], []]}', "input", id="empty-ids"),
    pytest.param(b'{"input": ["a", 1]}', "input", id="mixed"),
    pytest.param(b'{"input": [1, [2]]}', "input", id="mixed-ids"),
    pytest.param(b'{"input": [30522]}', "input", id="id-outside-vocabulary"),
    pytest.param(b'{"input": [-1]}', "input", id="negative-id"),
    pytest.param(b'{"input": [1%s]}' % (b"0" * 400), "input", id="huge-id"),
    pytest.param(json.dumps({"input": ["a"] * 2049}).encode(), "input", id="too-many"),
    pytest.param(b'{"input": "a", "model": 3}', "model", id="model-type"),
    pytest.param(b'{"input": "a", "encoding_format": "hex"}', "encoding_format", id="encoding-format"),
    pytest.param(b'{"input": "a", "dimensions": 0}', "dimensions", id="no-dimensions"),
    pytest.param(b'{"input": "a", "dimensions": 385}', "dimensions", id="too-many-dimensions"),
    pytest.param(b'{"input": "a", "dimensions": "12"}', "dimensions", id="dimensions-type"),
    pytest.param(b'{"input": "a", "truncate": "yes"}', "truncate", id="truncate-type"),
    pytest.param(b'{"input": "a", "prompt_name": "nope"}', "prompt_name", id="unknown-prompt"),
    pytest.param(b'{"input": "a", "prompt_name": "query", "prompt": "q"}', "prompt", id="two-prompts"),
    pytest.param(b'{"input": [101, 102], "prompt": "q"}', "prompt", id="prompt-before-ids"),
    pytest.param(json.dumps({"input": "a", "prompt": "q" * 1_000_001}).encode(), "prompt", id="long-prompt"),
    pytest.param(b'{"input": "a", "input_type": "image"}', "input_type", id="input-type"),
    pytest.param(
        b'{"input": "a", "input_type": "search_query", "prompt_name": "query"}',
        "prompt_name",
        id="input-type-and-prompt-name",
    ),
    pytest.param(
        b'{"input": "a", "input_type": "search_query", "prompt": "q"}', "prompt", id="input-type-and-prompt"
    ),
    pytest.param(b'{"input": [101], "input_type": "search_query"}', "input_type", id="input-type-before-ids"),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_bad_body_is_a_400_that_names_the_field(
    client: httpx.Client, body: bytes, param: str | None
) -> None:
    """Every bad body has its sentence, and the next request works."""
    response = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})

    found = error(response)
    assert (400, "invalid_request_error", param) == (response.status_code, found["type"], found["param"])
    assert 200 == post(client, input="still there").status_code


def test_ids_of_another_vocabulary_name_the_way_out(client: httpx.Client) -> None:
    """LangChain's default client sends ids of another vocabulary; the error says what to set."""
    found = error(post(client, input=[[100257]]))

    assert "check_embedding_ctx_length=False" in found["message"]
    assert "100257" in found["message"]
    assert "30521" in found["message"]


def test_unknown_model(client: httpx.Client) -> None:
    """The error lists what is served; so it does where one model is asked for."""
    response = post(client, input="a", model="gpt-9")

    found = error(response)
    assert (404, "model_not_found", "model") == (response.status_code, found["code"], found["param"])
    assert SMALL in found["message"]
    assert "model_not_found" == error(client.get("/v1/models/gpt-9"))["code"]


def test_too_long_and_not_to_be_cut(client: httpx.Client) -> None:
    """The error says which item, its tokens and the limit."""
    response = post(client, input=["short", "word " * 300], truncate=False)

    found = error(response)
    assert (400, "context_length_exceeded", "input") == (
        response.status_code,
        found["code"],
        found["param"],
    )
    assert (
        "input[1] has 302 tokens, and this model's maximum context length is 256 tokens" in found["message"]
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/v2/embeddings", 404, id="unknown-route"),
        pytest.param("PUT", "/", 405, id="root"),
        pytest.param("GET", "/v1/embeddings", 405, id="wrong-method"),
        pytest.param("DELETE", "/models", 405, id="wrong-method-on-models"),
        pytest.param("GET", "/docs/files/nope.js", 404, id="unknown-file"),
        pytest.param("GET", "/docs/files/%2e%2e/__init__.py", 404, id="outside-the-docs-folder"),
    ],
)
def test_unknown_routes_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)

    assert "invalid_request_error" == error(response)["type"]
    assert status == response.status_code


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        pytest.param(None, 200, id="nothing"),
        pytest.param("application/x-www-form-urlencoded", 200, id="curl"),
        pytest.param("Application/X-WWW-Form-Urlencoded; charset=UTF-8", 200, id="curl-in-capitals"),
        pytest.param("application/json; charset=utf-8", 200, id="json"),
        pytest.param("text/plain", 415, id="text"),
        pytest.param("multipart/form-data; boundary=x", 415, id="multipart"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize", "/embed", "/api/embed"])
def test_what_a_body_is_declared_as(server: Server, path: str, declared: str | None, status: int) -> None:
    """JSON without a declaration is read, but not from a web page, which may send that to any server."""
    body = json.dumps({"inputs" if path == "/embed" else "input": "a", "model": MINILM})
    headers = {} if declared is None else {"content-type": declared}
    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        alone = client.post(path, content=body, headers=headers)
        paged = client.post(path, content=body, headers=headers | {"origin": "https://evil.example"})

    assert status == alone.status_code
    assert (200 if "json" in str(declared) else 415) == paged.status_code


def test_curl_without_a_content_type(server: Server) -> None:
    """As people type it."""
    ask = ["curl", "--silent", f"{server.url}/api/embed", "-d", f'{{"model": "{MINILM}", "input": "a"}}']

    answer = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=START_SECONDS)

    assert 384 == len(json.loads(answer.stdout)["embeddings"][0])


def test_a_form(client: httpx.Client) -> None:
    response = client.post("/v1/embeddings", data={"input": "a"})

    assert "application/json" in error(response)["message"]
    assert 415 == response.status_code


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_over_the_limit_is_a_413(client: httpx.Client, chunked: bool) -> None:
    """The limit holds whether the length is declared or not."""
    body = json.dumps({"input": "x" * 17_000_000}).encode()

    response = client.post(
        "/v1/embeddings",
        content=iter([body]) if chunked else body,
        headers={"content-type": "application/json"},
    )

    assert "16777216" in error(response)["message"]
    assert 413 == response.status_code


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
def test_a_huge_string_is_cut(client: httpx.Client, text: str) -> None:
    """A million characters in one text are tokenized as far as the limit needs."""
    response = post(client, input=text, encoding_format="base64")

    assert 200 == response.status_code
    assert response.json()["usage"]["total_tokens"] <= 256


def test_what_a_pipelining_or_rude_client_leaves_behind(server: Server, client: httpx.Client) -> None:
    """Half a request, rubbish, and a client that leaves at once do no harm to the next."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"input": ["leave me " * 100] * 200}).encode()
    whole = (
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
    for sent in (whole, whole[:-50], b"\x00\xff rubbish\r\n\r\n"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)

    assert 200 == post(client, input="next").status_code


@pytest.mark.parametrize("host", ["x:abc", "x:99999", "http://x"])
def test_a_wrong_host_header(client: httpx.Client, host: str) -> None:
    """A Host header that is none does not keep errors from being JSON."""
    response = client.get("/nope", headers={"host": host})

    assert "invalid_request_error" == error(response)["type"]
    assert response.status_code in (400, 404)


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08 compressed", b"{}"])
def test_a_compressed_body(client: httpx.Client, body: bytes) -> None:
    """Bodies are taken as they are; the error names the encoding."""
    response = client.post(
        "/v1/embeddings",
        content=body,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )

    assert "gzip" in error(response)["message"]
    assert 415 == response.status_code


def test_an_empty_prompt_name_is_unknown(client: httpx.Client) -> None:
    """Neither the field nor the suffix of a model's name falls back to the default when it is empty.

    With a suffix that is no prompt, the name is that of no model.
    """
    field = post(client, input="x", model=SMALL, prompt_name="")
    suffix = post(client, input="x", model=f"{SMALL}:")

    assert [400, 404] == [field.status_code, suffix.status_code]
    assert (
        "prompt_name '' is unknown; this model has query, document; send one of them, or leave it out"
        == error(field)["message"]
    )
