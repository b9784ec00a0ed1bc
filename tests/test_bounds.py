"""What one request, and all of them together, may have a server work on and hold."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import SMALL
from litestar import Litestar

from embed_onnx import registry
from embed_onnx.app import create_app
from embed_onnx.registry import Registry
from embed_onnx.settings import Settings


@pytest.fixture
def make_app(home: Path, tmp_path: Path) -> Iterator[Callable[..., Litestar]]:
    """The app with settings of the test's own, its models loaded."""
    (tmp_path / "models.txt").write_text(f"{home}/checkpoint  name={SMALL}\n")
    made: list[Registry] = []

    def make(**words: Any) -> Litestar:
        settings = Settings(models=tmp_path / "models.txt", artifacts=home / "artifacts", threads=1, **words)
        models = Registry(registry.wanted(settings), settings)
        made.append(models)
        models.load()
        return create_app(models, settings)

    yield make
    for models in made:
        models.close()


def run(app: Litestar, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """What work with a client of an app comes to."""

    async def open_and_work() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await work(client)

    return asyncio.run(open_and_work())


def post(app: Litestar, path: str = "/v1/embeddings", **body: Any) -> httpx.Response:
    """The answer to one request."""
    return run(app, lambda client: client.post(path, json=body))


def error(answer: httpx.Response) -> dict[str, Any]:
    """The error of a refusal."""
    found: dict[str, Any] = answer.json()["error"]
    return found


def test_a_prompt_before_many_inputs_is_bounded(make_app: Callable[..., Litestar]) -> None:
    """It is put before each of them: what is tokenized can be far larger than the body."""
    app = make_app(max_body=10_000)

    refused = post(app, input=["a"] * 101, prompt=" " * 100)

    sentence = (
        "prompt has 100 characters, which are 10100 before 101 inputs, and at most 10000 are taken; "
        "shorten it, or send fewer inputs"
    )
    assert (400, sentence, "prompt") == (
        refused.status_code, error(refused)["message"], error(refused)["param"]
    )  # fmt: skip
    assert 200 == post(app, input=["a"] * 100, prompt=" " * 100).status_code


def test_tokens_that_are_shown_are_bounded(make_app: Callable[..., Litestar]) -> None:
    """As many as would fit an empty queue, over all inputs; each has 5 here, and 64 go at a time."""
    app = make_app(queue_tokens=900)

    refused = post(app, "/tokenize", input=["a"] * 200)

    sentence = (
        "input has at least 960 tokens and at most 900 are shown; send several requests, "
        "or raise the server's --queue-tokens"
    )
    assert (400, sentence, "input") == (
        refused.status_code, error(refused)["message"], error(refused)["param"]
    )  # fmt: skip
    assert 200 == post(app, "/tokenize", input=["a"] * 100).status_code
