"""Answers that a healthy server never gives: while loading, from a broken model, and from a bug."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import onnx
import pytest
from harness import SMALL
from litestar import Litestar
from litestar.openapi.spec import OpenAPI
from onnx import numpy_helper

from embed_onnx.artifact import manifest
from embed_onnx.http.app import compose
from embed_onnx.models import registry
from embed_onnx.settings import Settings


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """Settings for a copy of the small model's artifact."""
    shutil.copytree(home / "artifacts" / SMALL, tmp_path / "artifacts" / SMALL)
    return Settings(models=tmp_path / "none", artifacts=tmp_path / "artifacts", threads=1)


def ask(app: Litestar, method: str, path: str, **body: Any) -> httpx.Response:
    """One request to an app whose lifespan does not run, so that nothing loads by itself."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.request(method, path, json=body or None)

    return asyncio.run(send())


def test_while_loading(settings: Settings) -> None:
    """Health is fine, ready says what is missing, embedding is a 503 with Retry-After."""
    service = compose(registry.entries_to_serve(settings), settings)
    app = service.app
    with service.registry:
        health, ready = ask(app, "GET", "/health"), ask(app, "GET", "/ready")
        embedding = ask(app, "POST", "/v1/embeddings", input="x")

    assert (200, 503, 503) == (health.status_code, ready.status_code, embedding.status_code)
    assert f"still loading {SMALL}; try again in a moment" == ready.json()["error"]["message"]
    assert ("server_error", None) == (ready.json()["error"]["type"], ready.json()["error"]["code"])
    assert "1" == embedding.headers["retry-after"]


def test_an_app_loads_no_package_that_only_litestar_has_a_plugin_for(settings: Settings) -> None:
    """They are installed here, and would be a fifth of the time to start."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from embed_onnx.http.app import compose\n"
        "from embed_onnx.models import registry\n"
        "from embed_onnx.settings import Settings\n"
        f"settings = Settings(models=Path('none'), artifacts=Path({str(settings.artifacts)!r}), threads=1)\n"
        "compose(registry.entries_to_serve(settings), settings).registry.close()\n"
        "print(sorted({'pydantic', 'attr', 'opentelemetry'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


def spoil(folder: Path) -> None:
    """Make the model's first layer normalisation give no numbers, and the hashes agree with it."""
    model = onnx.load(folder / "model.onnx")
    weights = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("norm.gamma"))
    spoilt = np.full_like(numpy_helper.to_array(weights), np.nan)
    weights.CopyFrom(numpy_helper.from_array(spoilt, weights.name))
    onnx.save(model, folder / "model.onnx")
    result = manifest.read(folder)
    hashes = result.sha256 | {"model.onnx": manifest.sha256(folder / "model.onnx")}
    manifest.write(msgspec.structs.replace(result, sha256=hashes), folder)


def test_a_vector_that_is_not_finite(settings: Settings) -> None:
    """NaN never leaves as an embedding: it is a 500 that says trying again cannot help."""
    spoil(settings.artifacts / SMALL)
    service = compose(registry.entries_to_serve(settings), settings)
    with service.registry as models:
        models.load()
        answer = ask(service.app, "POST", "/v1/embeddings", input="x")

    assert (500, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert "not finite" in answer.json()["error"]["message"]


def test_a_bug(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a number to ask about; the log has the frames under it, and no word of the error's."""
    service = compose(registry.entries_to_serve(settings), settings)
    app = service.app
    with service.registry:
        app.state.registry = None
        answer = ask(app, "GET", "/models")

    error = answer.json()["error"]
    assert (500, "server_error") == (answer.status_code, error["type"])
    assert answer.headers["x-request-id"] in error["message"]
    assert "AttributeError" not in answer.text
    assert answer.headers["x-request-id"] in caplog.text
    assert caplog.messages[-1].endswith("AttributeError")
    assert "list_models_simply" in caplog.text


def test_the_schema_is_made_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for it, and making it holds up the event loop."""
    service = compose(registry.entries_to_serve(settings), settings)
    app = service.app
    with service.registry:
        first = ask(app, "GET", "/openapi.json")
        monkeypatch.setattr(OpenAPI, "to_schema", None)
        second = ask(app, "GET", "/openapi.json")

    assert "/v1/embeddings" in first.json()["paths"]
    assert (200, first.content) == (second.status_code, second.content)
    assert "application/json" == second.headers["content-type"]


def test_whatever_can_be_read_answers_head(settings: Settings) -> None:
    """Every route that takes GET; load balancers and Ollama's command line ask with HEAD."""
    service = compose(registry.entries_to_serve(settings), settings)
    with service.registry:
        methods = {route.path: route.methods for route in service.app.routes}

    readable = {path for path, names in methods.items() if "GET" in names}
    assert {"/", "/docs", "/openapi.json", "/v1/models", "/api/tags", "/info", "/metrics"} <= readable
    assert readable == {path for path, names in methods.items() if "HEAD" in names}
