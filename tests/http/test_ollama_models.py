"""What Ollama's own client hears of models, and what programs on top of it look for before they embed."""

from collections.abc import Iterator

import httpx
import ollama
import pytest
from harness import MINILM, SMALL, Server

NAMES = [MINILM, SMALL, "text-embedding-3-small", "team/tiny", f"sentence-transformers/{MINILM}"]


@pytest.fixture
def theirs(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(server.url) as opened:
        yield opened


def test_list(theirs: ollama.Client, client: httpx.Client) -> None:
    """An entry a name, complete; a name that is listed can be asked for."""
    listed = theirs.list().models

    assert [f"{name}:latest" for name in NAMES] == [model.model for model in listed]
    assert ["", "", f"{MINILM}:latest", f"{SMALL}:latest", f"{MINILM}:latest"] == [
        model.details.parent_model for model in listed
    ]
    first = listed[0]
    assert 20_000_000 < first.size < 30_000_000
    assert ("onnx", "int8", "22.6M") == (
        first.details.format,
        first.details.quantization_level,
        first.details.parameter_size,
    )
    assert [first.details.family] == list(first.details.families)
    assert 64 == len(first.digest)
    assert [384, 32, 384, 32, 384] == [len(theirs.embed(model.model, "x").embeddings[0]) for model in listed]
    raw = client.get("/api/tags").json()["models"]
    assert [model["model"] for model in raw] == [model["name"] for model in raw]
    for model in raw:
        assert None not in (model | model["details"]).values()


@pytest.mark.parametrize("name", [*NAMES, f"{SMALL}:latest"])
def test_programs_find_the_name_that_they_were_given(theirs: ollama.Client, name: str) -> None:
    """The tests that LangChain (``validate_model_on_init``) and mem0 make, word for word."""
    listed = [model["model"] for model in theirs.list()["models"]]
    tagged = name if ":" in name else f"{name}:latest"

    assert any(name == model or model.startswith(f"{name}:") for model in listed)
    assert tagged in listed


def test_show(theirs: ollama.Client) -> None:
    display = {name: theirs.show(name) for name in (SMALL, "team/tiny", f"{SMALL}:query")}

    for description in display.values():
        assert ["embedding"] == description.capabilities
        assert {"context_length": 48, "embedding_length": 32} == {
            name.rpartition(".")[2]: value
            for name, value in description.modelinfo.items()
            if name.endswith("_length")
        }
    assert ["", f"{SMALL}:latest", ""] == [item.details.parent_model for item in display.values()]
    with pytest.raises(ollama.ResponseError, match="not served here"):
        theirs.show("nope")


@pytest.mark.parametrize("path", ["/api/show", "/api/pull"])
@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param({"name": SMALL}, 200, None, id="older-name"),
        pytest.param({"model": None, "name": SMALL}, 200, None, id="null"),
        pytest.param({"name": "nope"}, 404, "the model 'nope' is not served here", id="older-name-unknown"),
        pytest.param({}, 400, "model is missing", id="nothing"),
        pytest.param({"model": ""}, 400, "model is missing", id="empty"),
        pytest.param({"model": 1}, 400, "got `int`", id="number"),
    ],
)
def test_model_or_name(
    client: httpx.Client, path: str, body: dict[str, object], status: int, sentence: str | None
) -> None:
    answer = client.post(path, json=body)

    assert status == answer.status_code
    if sentence is not None:
        assert {"error"} == set(answer.json())
        assert sentence in answer.json()["error"]


@pytest.mark.parametrize("name", [SMALL, f"{SMALL}:latest", "team/tiny", f"{SMALL}:query"])
def test_pulling_what_is_served(theirs: ollama.Client, client: httpx.Client, name: str) -> None:
    """At once, as one answer or as lines, which are the default as they are Ollama's."""
    lines = [progress.status for progress in theirs.pull(name, stream=True)]
    by_default = client.post("/api/pull", json={"model": name})

    assert "success" == theirs.pull(name).status
    assert ["pulling manifest", "success"] == lines
    assert "application/x-ndjson" == by_default.headers["content-type"]
    assert 2 == len(by_default.text.splitlines())


@pytest.mark.parametrize("stream", [False, True])
def test_pulling_anything_else_fails(theirs: ollama.Client, stream: bool) -> None:
    with pytest.raises(ollama.ResponseError, match="the model 'llama3' is not served here") as refused:
        list(theirs.pull("llama3", stream=stream))

    assert 404 == refused.value.status_code


def test_version(client: httpx.Client) -> None:
    assert {"version"} == set(client.get("/api/version").json())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", "/api/chat", 404, id="chat"),
        pytest.param("POST", "/api/generate", 404, id="generate"),
        pytest.param("DELETE", "/api/delete", 404, id="delete"),
        pytest.param("GET", "/api/nothing/at/all", 404, id="deep"),
        pytest.param("GET", "/api/", 404, id="nothing"),
        pytest.param("GET", "/api/embed", 405, id="method"),
        pytest.param("PUT", "/api/tags", 405, id="method-of-a-get"),
        pytest.param("HEAD", "/api/show", 405, id="head-of-a-post"),
    ],
)
def test_what_is_not_here_is_an_error_of_its_shape(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)

    assert status == answer.status_code
    if method != "HEAD":
        assert {"error"} == set(answer.json())
        assert path in answer.json()["error"]


@pytest.mark.parametrize("path", ["/apis", "/ap", "/v1/api/tags", "/api%2f"])
def test_other_paths_keep_the_shape_of_openai(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    expected = {"error"} if path == "/api%2f" else {"message", "type", "param", "code"}
    assert 404 == answer.status_code
    assert expected == set(answer.json() if path == "/api%2f" else answer.json()["error"])
