"""Every error: its status, its sentence, the field it names, and a server that goes on."""

import json
import socket

import httpx
import pytest
from harness import SMALL, Server, numbered

from contract import error, post

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


class RefusalsContract:
    """What is refused."""

    @pytest.mark.parametrize(("body", "param"), BAD_BODIES)
    def test_a_bad_body_is_a_400_that_names_the_field(
        self, client: httpx.Client, body: bytes, param: str | None
    ) -> None:
        """Every bad body has its sentence, and the next request works."""
        response = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})

        actual = error(response)
        assert (400, "invalid_request_error", param) == (
            response.status_code,
            actual["type"],
            actual["param"],
        )
        assert 200 == post(client, input="still there").status_code

    def test_ids_of_another_vocabulary_name_the_way_out(self, client: httpx.Client) -> None:
        """LangChain's default client sends ids of another vocabulary; the error says what to set."""
        actual = error(post(client, input=[[100257]]))

        assert "check_embedding_ctx_length=False" in actual["message"]
        assert "100257" in actual["message"]
        assert "30521" in actual["message"]

    def test_unknown_model(self, client: httpx.Client) -> None:
        """The error lists what is served; so it does where one model is asked for."""
        response = post(client, input="a", model="gpt-9")

        actual = error(response)
        assert (404, "model_not_found", "model") == (response.status_code, actual["code"], actual["param"])
        assert SMALL in actual["message"]
        assert "model_not_found" == error(client.get("/v1/models/gpt-9"))["code"]

    def test_too_long_and_not_to_be_cut(self, client: httpx.Client) -> None:
        """The error says which item, its tokens and the limit."""
        response = post(client, input=["short", "word " * 300], truncate=False)

        actual = error(response)
        assert (400, "context_length_exceeded", "input") == (
            response.status_code,
            actual["code"],
            actual["param"],
        )
        assert (
            "input[1] has 302 tokens, and this model's maximum context length is 256 tokens"
            in actual["message"]
        )

    def test_an_empty_prompt_name_is_unknown(self, client: httpx.Client) -> None:
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

    def test_a_form(self, client: httpx.Client) -> None:
        response = client.post("/v1/embeddings", data={"input": "a"})

        assert "application/json" in error(response)["message"]
        assert 415 == response.status_code

    @pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
    def test_a_body_over_the_limit_is_a_413(self, client: httpx.Client, chunked: bool) -> None:
        """The limit holds whether the length is declared or not."""
        body = json.dumps({"input": "x" * 17_000_000}).encode()

        response = client.post(
            "/v1/embeddings",
            content=iter([body]) if chunked else body,
            headers={"content-type": "application/json"},
        )

        assert "16777216" in error(response)["message"]
        assert 413 == response.status_code

    @pytest.mark.parametrize("body", [b"\x1f\x8b\x08 compressed", b"{}"])
    def test_a_compressed_body(self, client: httpx.Client, body: bytes) -> None:
        """Bodies are taken as they are; the error names the encoding."""
        response = client.post(
            "/v1/embeddings",
            content=body,
            headers={"content-type": "application/json", "content-encoding": "gzip"},
        )

        assert "gzip" in error(response)["message"]
        assert 415 == response.status_code

    def test_what_a_pipelining_or_rude_client_leaves_behind(
        self, server: Server, client: httpx.Client
    ) -> None:
        """Half a request, rubbish, and a client that leaves at once do no harm to the next."""
        host, port = server.url.removeprefix("http://").split(":")
        body = json.dumps({"input": numbered("leave me " * 100, 200)}).encode()
        whole = (
            b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        for sent in (whole, whole[:-50], b"\x00\xff rubbish\r\n\r\n"):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(sent)

        assert 200 == post(client, input="next").status_code
