"""Every other route, and what all of them have in common: headers, HEAD, declared bodies."""

import json
import subprocess

import httpx
import pytest
from harness import MINILM, SMALL, START_SECONDS, Server

from contract import error
from embed_onnx.engine import native


class RoutesContract:
    """What is not a vector."""

    def test_headers(self, client: httpx.Client) -> None:
        """A request id is echoed or made up, and the timings are in milliseconds."""
        mine = client.post("/v1/embeddings", json={"input": "x"}, headers={"x-request-id": "mine-1"})
        other = client.get("/models", headers={"x-request-id": "bad\tid"})

        assert "mine-1" == mine.headers["x-request-id"]
        assert 36 == len(other.headers["x-request-id"])
        assert [
            "tokenize",
            "queue",
            "infer",
        ] == [part.split(";")[0] for part in mine.headers["server-timing"].split(", ")]

    def test_model_lists(self, client: httpx.Client) -> None:
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
        assert 20_000_000 < cards["data"][0]["bytes"] < 30_000_000
        assert ["native"] * 2 == [model["exporter"] for model in cards["data"][:2]]
        assert all(model["reference"].startswith("sentence-transformers ") for model in cards["data"][:2])
        assert simple["data"]["models"] == {MINILM: {"dim": 384}, SMALL: {"dim": 32}}
        assert {"data", "generated", "id"} == set(simple)

    def test_tokenize(self, client: httpx.Client) -> None:
        """Tokens as the model sees them, special tokens included."""
        body = client.post("/tokenize", json={"model": MINILM, "input": ["Hello there", "go"]}).json()

        assert body["model"] == MINILM
        assert {
            "index": 0,
            "tokens": ["[CLS]", "hello", "there", "[SEP]"],
            "ids": [101, 7592, 2045, 102],
            "num_tokens": 4,
        } == body["data"][0]

    def test_docs_need_no_internet(self, client: httpx.Client) -> None:
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
            *[
                "/",
                "/page/page.js",
                "/docs",
                "/docs/",
                "/docs/files/swagger-ui.css",
                "/openapi.json",
                "/health",
            ],
            *["/ready", "/v1/models", f"/v1/models/{SMALL}", "/models", "/info", "/api/tags", "/api/version"],
            *["/nowhere", "/v1/models/nope", "/v1/embeddings", "/api/nowhere"],
        ],
    )
    def test_head_is_get_without_a_body(self, client: httpx.Client, path: str) -> None:
        """Failures as well; what only takes POST takes neither."""
        head, get = client.head(path), client.get(path)
        differs = {"date", "x-request-id", "content-length"}

        assert get.status_code == head.status_code
        assert b"" == head.content
        assert [get.headers[name] for name in get.headers if name not in differs] == [
            head.headers[name] for name in head.headers if name not in differs
        ]

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
    def test_what_a_body_is_declared_as(
        self, server: Server, path: str, declared: str | None, status: int
    ) -> None:
        """JSON without a declaration is read, but not from a web page, which may send that to any server."""
        body = json.dumps({"inputs" if path == "/embed" else "input": "a", "model": MINILM})
        headers = {} if declared is None else {"content-type": declared}
        with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
            alone = client.post(path, content=body, headers=headers)
            paged = client.post(path, content=body, headers=headers | {"origin": "https://evil.example"})

        assert status == alone.status_code
        assert (200 if "json" in str(declared) else 415) == paged.status_code

    def test_curl_without_a_content_type(self, server: Server) -> None:
        """As people type it."""
        ask = ["curl", "--silent", f"{server.url}/api/embed", "-d", f'{{"model": "{MINILM}", "input": "a"}}']

        answer = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=START_SECONDS)

        assert 384 == len(json.loads(answer.stdout)["embeddings"][0])

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            pytest.param("GET", "/v2/embeddings", 404, id="unknown-route"),
            pytest.param("POST", "/v1/decisions", 404, id="decisions"),
            pytest.param("PUT", "/", 405, id="root"),
            pytest.param("GET", "/v1/embeddings", 405, id="wrong-method"),
            pytest.param("DELETE", "/models", 405, id="wrong-method-on-models"),
            pytest.param("GET", "/docs/files/nope.js", 404, id="unknown-file"),
            pytest.param("GET", "/docs/files/%2e%2e/__init__.py", 404, id="outside-the-docs-folder"),
        ],
    )
    def test_unknown_routes_and_methods(
        self, client: httpx.Client, method: str, path: str, status: int
    ) -> None:
        response = client.request(method, path)

        assert "invalid_request_error" == error(response)["type"]
        assert status == response.status_code

    @pytest.mark.parametrize("host", ["x:abc", "x:99999", "http://x"])
    def test_a_wrong_host_header(self, client: httpx.Client, host: str) -> None:
        """A Host header that is none does not keep errors from being JSON."""
        response = client.get("/nope", headers={"host": host})

        assert "invalid_request_error" == error(response)["type"]
        assert response.status_code in (400, 404)
