"""What a server with API keys lets whom do."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from harness import MINILM, SMALL, START_SECONDS, Server
from litestar import Litestar, Request, get
from litestar.datastructures import State

from embed_onnx.http import keys, operations
from embed_onnx.http.access import RequireAdmin, RequireKey
from embed_onnx.http.app import compose
from embed_onnx.http.record import current_record
from embed_onnx.models import registry
from embed_onnx.settings import Settings

PLAIN = "plain-key-of-the-setting"
WRONG = keys.PREFIX + "w" * 43


@pytest.fixture
def key_by_name(key_file: Path) -> dict[str, str]:
    """A key of each kind, by name."""
    return {
        "alice": keys.add(key_file, "alice"),
        "boss": keys.add(key_file, "boss", admin=True),
        "key-1": PLAIN,
    }


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


GUARDED = [
    ("POST", "/v1/embeddings"),
    ("POST", "/embeddings"),
    ("POST", "/tokenize"),
    ("GET", "/v1/models"),
    ("GET", f"/v1/models/{SMALL}"),
    ("GET", "/models"),
]
OPEN = ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]


def test_a_server_with_keys(
    key_file: Path, key_by_name: dict[str, str], serve: Callable[..., Server]
) -> None:
    """Every route but probes, metrics and docs asks for a key. The log names it; nothing ever shows it."""
    server = serve("--api-keys-file", str(key_file), "--log-format", "json", EMBED_ONNX_API_KEYS=PLAIN)
    answers: list[httpx.Response] = []

    def status(method: str, route: str, headers: dict[Any, Any], content: bytes = b"") -> int:
        headers = headers | {"content-type": "application/json"}
        answers.append(client.request(method, route, content=content, headers=headers))
        return answers[-1].status_code

    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        strange = {"authorization": "Bearer \xe9".encode("latin-1")}
        for method, route in GUARDED:
            refused = [
                {},
                bearer(WRONG),
                {"authorization": "Bearer"},
                strange,
                {"authorization": f"Basic {key_by_name['alice']}"},
            ]
            body = b'{"input": "a"}' if method == "POST" else b""
            assert [401] * 5 == [status(method, route, headers, body) for headers in refused]
            assert [200] * 3 == [status(method, route, bearer(key), body) for key in key_by_name.values()]
        assert 401 == status("POST", "/v1/embeddings", bearer(WRONG), b"no JSON")
        assert 400 == status("POST", "/v1/embeddings", bearer(key_by_name["alice"]), b"no JSON")
        assert [200] * 5 == [status("GET", route, bearer(key_by_name["boss"])) for route in OPEN]
    lines = [json.loads(line) for line in server.stop().splitlines()]

    log = json.dumps(lines) + "".join(f"{answer.text}{answer.headers}" for answer in answers)
    assert not any(key in log for key in (*key_by_name.values(), WRONG))
    by_key = {name: [line for line in lines if line.get("key") == name] for name in key_by_name}
    assert [len(GUARDED) + 1, len(GUARDED), len(GUARDED)] == [len(actual) for actual in by_key.values()]
    assert {"invalid_api_key"} == {a.json()["error"]["code"] for a in answers if a.status_code == 401}
    assert {"Bearer"} == {a.headers["www-authenticate"] for a in answers if a.status_code == 401}


def test_the_openai_client_with_keys_of_a_file(
    key_file: Path, key_by_name: dict[str, str], serve: Callable[..., Server]
) -> None:
    """Keys of ours are keys to the official client; a wrong one is its AuthenticationError."""
    server = serve("--api-keys-file", str(key_file))

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key_by_name["alice"]) as client:
        taken = client.embeddings.create(model=MINILM, input="x")
        with pytest.raises(openai.AuthenticationError) as refused:
            client.with_options(api_key=PLAIN).embeddings.create(model=MINILM, input="x")

    assert 384 == len(taken.data[0].embedding)
    assert "invalid_api_key" == refused.value.code
    assert PLAIN not in str(refused.value)


@get("/guarded", middleware=[RequireAdmin()])
async def for_admins() -> operations.Status:
    """A route of administrators."""
    return operations.Status("done")


@get("/named", middleware=[RequireKey()])
async def name_of_key(request: Request[Any, Any, State]) -> str:
    """The name of the caller's key, as handlers see it."""
    return str(current_record(request.scope).key)


@pytest.fixture
def app_of(home: Path) -> Iterator[Callable[..., Litestar]]:
    """Apps with those two routes, of settings of the test's own; nothing is loaded."""
    with contextlib.ExitStack() as stack:

        def app(**fields: Any) -> Litestar:
            settings = Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1, **fields)
            service = compose(registry.entries_to_serve(settings), settings)
            stack.enter_context(service.registry)
            app = service.app
            for handler in (for_admins, name_of_key):
                app.register(handler)
            return app

        yield app


def ask(app: Litestar, route: str, key: str | None = None) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get(route, headers=bearer(key) if key else {})

    return asyncio.run(send())


def test_admin_routes_are_for_admin_keys(
    key_file: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    """401 without a key, 403 with one of a user, whatever file or setting it is from."""
    app = app_of(api_keys_file=key_file, api_keys=(PLAIN,))

    actual = {
        name: ask(app, "/guarded", key) for name, key in {**key_by_name, "wrong": WRONG, "no": None}.items()
    }

    assert {"alice": 403, "boss": 200, "key-1": 403, "wrong": 401, "no": 401} == {
        name: answer.status_code for name, answer in actual.items()
    }
    assert {
        "message": "this API key is not an admin's; ask the server's administrator for one that is",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    } == actual["alice"].json()["error"]


@pytest.mark.parametrize("plain", [(), (PLAIN,)], ids=["no-key", "plain-key"])
def test_without_an_admin_key_nobody_is_let_in(
    plain: tuple[str, ...], app_of: Callable[..., Litestar]
) -> None:
    """A server that asks nobody for a key has no open admin routes; the error says how to make a key."""
    answer = ask(app_of(api_keys=plain), "/guarded", PLAIN)

    assert 403 == answer.status_code
    assert "`embed-onnx key new NAME --admin --file FILE`" in answer.json()["error"]["message"]


def test_handlers_know_the_name_of_the_key(
    key_file: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    assert "boss" == ask(app_of(api_keys_file=key_file), "/named", key_by_name["boss"]).text
    assert "" == ask(app_of(), "/named").text


def test_keys_are_taken_up_while_serving(
    key_file: Path, key_by_name: dict[str, str], app_of: Callable[..., Litestar]
) -> None:
    """What ``keys.load`` gives takes the place of ``app.state.api_keys``, for the very next request."""
    settings = Settings(api_keys_file=key_file)
    app = app_of(api_keys_file=key_file)
    keys.remove(key_file, "alice")
    new = keys.add(key_file, "carol")
    before = [ask(app, "/named", key).status_code for key in (key_by_name["alice"], new)]

    app.state.api_keys = keys.load(settings)

    assert [200, 401] == before
    assert [401, 200] == [ask(app, "/named", key).status_code for key in (key_by_name["alice"], new)]
