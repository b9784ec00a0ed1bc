"""What holds on the routes of other servers' clients as it does on ours: keys, limits, request ids, logs."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import kept
import numpy as np
import pytest
from harness import MINILM, START_SECONDS, Server, numbered

LONG = "many words of a long text " * 60
KEY = {"authorization": "Bearer secret"}
BRIDGES = [
    pytest.param("/embed", {"inputs": numbered(LONG, 8)}, {"error", "error_type"}, id="tei"),
    pytest.param("/api/embed", {"model": MINILM, "input": numbered(LONG, 8)}, {"error"}, id="ollama"),
]


@pytest.fixture(scope="module")
def guarded(home):
    """A server with a key."""
    with Server(["--api-keys", "secret", "--log-format", "json"], {}, home) as server:
        server.wait_ready()
        yield server
        log = server.stop()
    assert "Traceback" not in log


@pytest.mark.parametrize(("path", "body", "shape"), BRIDGES)
def test_a_full_queue(serve: Callable[..., Server], path: str, body: dict, shape: set[str]) -> None:
    """Overload is a 429 with Retry-After, in the shape of the route, and what was accepted is done."""
    server = serve("--queue-tokens", "5000", "--api-keys", "secret")

    async def flood() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=KEY) as client:
            return await asyncio.gather(*[client.post(path, json=body) for _ in range(30)])

    answers = asyncio.run(flood())

    refused = [answer for answer in answers if answer.status_code == 429]
    assert {200, 429} == {answer.status_code for answer in answers}
    assert all(shape == set(answer.json()) for answer in refused)
    assert {"Overloaded", None} >= {answer.json().get("error_type") for answer in refused}
    assert min(int(answer.headers["retry-after"]) for answer in refused) >= 1


@pytest.mark.parametrize(("path", "body", "shape"), BRIDGES)
def test_a_deadline(serve: Callable[..., Server], path: str, body: dict, shape: set[str]) -> None:
    """What takes longer than the server lets it is a 503."""
    server = serve("--request-timeout", "0.2")
    longer = {name: value * 250 if isinstance(value, list) else value for name, value in body.items()}

    answer = httpx.post(server.url + path, json=longer, timeout=START_SECONDS)

    assert shape == set(answer.json())
    assert (503, "Unhealthy") == (answer.status_code, answer.json().get("error_type", "Unhealthy"))


@pytest.mark.parametrize(
    ("path", "method", "shape"),
    [
        pytest.param("/", "POST", {"error", "error_type"}, id="tei-root"),
        pytest.param("/embed", "POST", {"error", "error_type"}, id="tei"),
        pytest.param("/info", "GET", {"error", "error_type"}, id="tei-info"),
        pytest.param("/api/embed", "POST", {"error"}, id="ollama"),
        pytest.param("/api/embeddings", "POST", {"error"}, id="ollama-older"),
        pytest.param("/api/tags", "GET", {"error"}, id="ollama-tags"),
        pytest.param("/api/version", "GET", {"error"}, id="ollama-version"),
    ],
)
def test_a_key_is_asked_for(guarded: Server, path: str, method: str, shape: set[str]) -> None:
    """Without one there is a 401 in the shape of the route; with one, an answer."""
    texts = "input" if path == "/api/embed" else "prompt" if path.startswith("/api/") else "inputs"
    body = {texts: "x", "model": MINILM} if method == "POST" else None
    with httpx.Client(base_url=guarded.url, timeout=START_SECONDS) as client:
        refused = client.request(method, path, json=body)
        taken = client.request(method, path, json=body, headers=KEY)

    assert (401, "Bearer") == (refused.status_code, refused.headers["www-authenticate"])
    assert shape == set(refused.json())
    assert 200 == taken.status_code


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/embed", {"inputs": "a secret text"}, id="tei"),
        pytest.param("/api/embed", {"model": MINILM, "input": "a secret text"}, id="ollama"),
        pytest.param("/api/embeddings", {"model": MINILM, "prompt": "a secret text"}, id="ollama-older"),
    ],
)
def test_logs_metrics_and_request_ids(serve: Callable[..., Server], path: str, body: dict) -> None:
    """A line with route, model, inputs and tokens, and no word of the text; the same in the metrics."""
    server = serve("--log-format", "json")
    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        answer = client.post(path, json=body, headers={"x-request-id": "mine-1"})
        page = client.get("/metrics").text
    log = server.stop()

    assert "mine-1" == answer.headers["x-request-id"]
    assert answer.headers["server-timing"].startswith("tokenize;dur=")
    assert f'embed_onnx_requests_total{{method="POST",route="{path}",status="200"}} 1.0' in page
    assert f'embed_onnx_inputs_total{{model="{MINILM}",task="embed"}} 1.0' in page
    (line,) = [line for line in log.splitlines() if "mine-1" in line]
    assert f'"route":"{path}"' in line.replace(": ", ":")
    assert '"tokens":5' in line.replace(": ", ":")
    assert "secret" not in log


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server of a model that does not end with Normalize."""
    with Server([], {}, kept.folder(model_without_normalize)) as server:
        server.wait_ready()
        yield server
        server.stop()


def model_without_normalize(folder: Path) -> None:
    import small_models

    small_models.save(folder / "checkpoint", normalize=False)
    kept.export(folder, "./checkpoint  name=plain  precision=float32\n")


def test_models_without_normalize(plain: Server) -> None:
    """TEI normalises unless a request says otherwise, and Ollama always; our own route does as the model."""

    def ask(path: str, **body: object) -> object:
        return httpx.post(plain.url + path, json=body, timeout=START_SECONDS).json()

    own = np.array(ask("/v1/embeddings", input="x")["data"][0]["embedding"])
    expected, cut = own / np.linalg.norm(own), own[:8] / np.linalg.norm(own[:8])
    assert not np.allclose(expected, own, atol=0.1)
    assert np.array_equal([own], ask("/embed", inputs="x", normalize=False))
    assert np.allclose(expected, ask("/embed", inputs="x"), atol=1e-6)
    assert np.allclose(cut, ask("/embed", inputs="x", dimensions=8), atol=1e-6)
    assert np.allclose(expected, ask("/api/embed", model="plain", input="x")["embeddings"], atol=1e-6)
    assert np.allclose(
        cut, ask("/api/embed", model="plain", input="x", dimensions=8)["embeddings"], atol=1e-6
    )
    assert np.allclose(expected, ask("/api/embeddings", model="plain", prompt="x")["embedding"], atol=1e-6)
