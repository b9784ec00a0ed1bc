"""What one request, and all of them together, may have a server work on and hold."""

import asyncio
import contextlib
import json
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import uvicorn
from harness import SMALL, START_SECONDS, Server
from litestar import Litestar
from raw_http import request

from embed_onnx.http import connection
from embed_onnx.http.app import compose
from embed_onnx.http.connection import Protocol
from embed_onnx.models import registry
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings


@pytest.fixture
def make_app(home: Path, tmp_path: Path) -> Iterator[Callable[..., Litestar]]:
    """The app with settings of the test's own, its models loaded."""
    (tmp_path / "models.txt").write_text(f"{home}/checkpoint  name={SMALL}\n")
    result: list[Registry] = []

    def make(**words: Any) -> Litestar:
        settings = Settings(models=tmp_path / "models.txt", artifacts=home / "artifacts", threads=1, **words)
        service = compose(registry.entries_to_serve(settings), settings)
        result.append(service.registry)
        service.registry.load()
        return service.app

    yield make
    for models in result:
        models.close()


def run(app: Litestar, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """What work with a client of an app comes to."""

    async def open_and_work() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await asyncio.wait_for(work(client), START_SECONDS)

    return asyncio.run(open_and_work())


def post(app: Litestar, path: str = "/v1/embeddings", **body: Any) -> httpx.Response:
    """The answer to one request."""
    return run(app, lambda client: client.post(path, json=body))


def error(answer: httpx.Response) -> dict[str, Any]:
    """The error of a refusal."""
    result: dict[str, Any] = answer.json()["error"]
    return result


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Its status, and what its error says and of which field."""
    return answer.status_code, error(answer)["message"], error(answer)["param"]


def test_a_prompt_before_many_inputs_is_bounded(make_app: Callable[..., Litestar]) -> None:
    """It is put before each of them: what is tokenized can be far larger than the body."""
    app = make_app(max_body=10_000)

    refused = post(app, input=["a"] * 101, prompt=" " * 100)

    sentence = (
        "prompt has 100 characters, which are 10100 before 101 inputs, and at most 10000 are taken; "
        "shorten it, or send fewer inputs"
    )
    assert (400, sentence, "prompt") == refusal(refused)
    assert 200 == post(app, input=["a"] * 100, prompt=" " * 100).status_code


def test_tokens_that_are_shown_are_bounded(make_app: Callable[..., Litestar]) -> None:
    """As many as would fit an empty queue, over all inputs; each has 5 here, and 64 go at a time."""
    app = make_app(queue_tokens=900)

    refused = post(app, "/tokenize", input=["a"] * 200)

    sentence = (
        "input has at least 960 tokens and at most 900 are shown; send several requests, "
        "or raise the server's --queue-tokens"
    )
    assert (400, sentence, "input") == refusal(refused)
    assert 200 == post(app, "/tokenize", input=["a"] * 100).status_code


BODY = {"input": "a text", "user": "x" * 1000}


@contextlib.asynccontextmanager
async def uploads(client: httpx.AsyncClient, count: int, first: bytes, **headers: str) -> AsyncIterator[None]:
    """Requests whose bodies stop after their first bytes."""
    read = asyncio.Semaphore(0)

    async def body() -> AsyncIterator[bytes]:
        yield first
        read.release()
        await asyncio.Event().wait()

    posts = [
        asyncio.create_task(client.post("/v1/embeddings", content=body(), headers=headers))
        for _ in range(count)
    ]
    for _ in posts:
        await read.acquire()
    yield
    for upload in posts:
        upload.cancel()
    await asyncio.wait(posts)


@pytest.mark.parametrize("declared", [{}, {"content-length": "9000"}], ids=["chunked", "declared"])
def test_bodies_that_do_not_come_hold_no_room(
    make_app: Callable[..., Litestar], declared: dict[str, str]
) -> None:
    """What a request declares, or could send, keeps nobody else out; what has arrived does."""
    app = make_app(max_pending=10_000, max_body=9_000)

    async def work(client: httpx.AsyncClient) -> list[int]:
        async with uploads(client, 8, b" ", **declared):
            beside_little = await client.post("/v1/embeddings", json=BODY)
        async with uploads(client, 3, b" " * 3_200):
            beside_much = await client.post("/v1/embeddings", json=BODY)
        after = await client.post("/v1/embeddings", json=BODY)
        return [answer.status_code for answer in (beside_little, beside_much, after)]

    assert [200, 429, 200] == run(app, work)


def test_a_body_is_refused_where_it_grows_too_large_beside_others(make_app: Callable[..., Litestar]) -> None:
    """It did not say how long it would be."""
    app = make_app(max_pending=10_000)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1_000

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        async with uploads(client, 1, b" " * 2_000):
            return [
                await client.post("/v1/embeddings", content=body()),
                await client.post("/v1/embeddings", json=BODY),
            ]

    refused, small = run(app, work)

    sentence = (
        "2000 bytes of requests are being worked on, and 9000 more exceed the limit of 10000; try later"
    )
    assert (429, "server_overloaded", sentence) == (
        refused.status_code, error(refused)["code"], error(refused)["message"]
    )  # fmt: skip
    assert "1" == refused.headers["retry-after"]
    assert 200 == small.status_code


def test_the_bodies_of_one_key_leave_room_for_those_of_another(make_app: Callable[..., Litestar]) -> None:
    app = make_app(max_pending=10_000, api_keys=("one", "other"))
    one, other, unknown = ({"authorization": f"Bearer {key}"} for key in ("one", "other", "unknown"))

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        async with uploads(client, 2, b" " * 2_500, **one):
            return [
                await client.post("/v1/embeddings", json=BODY, headers=headers)
                for headers in (one, other, unknown)
            ]

    answers = run(app, work)

    assert [429, 200, 401] == [answer.status_code for answer in answers]
    assert (
        "5000 bytes of requests are being worked on, 5000 of them yours, and " in error(answers[0])["message"]
    )


def test_an_idle_connection_does_not_hold_its_last_request(serve: Callable[..., Server]) -> None:
    """Of what a request was and became, nothing stays with a connection that a client keeps open."""
    server = serve()
    body = json.dumps({"input": "a text", "user": "x" * 10_000_000}).encode()
    before = resident_bytes(server)
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            client = stack.enter_context(httpx.Client(base_url=server.url, timeout=START_SECONDS))
            answer = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
            assert 200 == answer.status_code
        grown = resident_bytes(server) - before

    assert grown < 150_000_000


def resident_bytes(server: Server) -> int:
    """The memory that a server has."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


ANSWER = bytes(32_000_000)


async def answer_much(_scope: Any, _receive: Any, send: Any) -> None:
    """An app whose every answer is larger than what sockets hold."""
    headers = [(b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def fetch(slow: socket.socket) -> bytes:
    """The body of an answer, as far as it comes."""
    reader, writer = await asyncio.open_connection(sock=slow)
    with contextlib.suppress(ConnectionResetError):
        await reader.readuntil(b"\r\n\r\n")
    try:
        return await reader.readexactly(len(ANSWER))
    except asyncio.IncompleteReadError as err:
        return err.partial
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_answers_that_are_not_fetched_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has waited longest is given up for a new one; the others are there to be fetched."""
    monkeypatch.setattr(connection, "UNFETCHED_BYTES", 70_000_000)
    config = uvicorn.Config(answer_much, lifespan="off", log_config=None)
    state = uvicorn.server.ServerState()
    paused = asyncio.Semaphore(0)

    class Noted(Protocol):
        header_seconds = answer_seconds = START_SECONDS
        unfetched: ClassVar[dict[Protocol, None]] = {}

        def pause_writing(self) -> None:
            paused.release()
            super().pause_writing()

    async def work() -> list[int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Noted(config, state, {}), "127.0.0.1", 0)
        slow = []
        async with server:
            for _ in range(3):
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                one.setblocking(False)
                await loop.sock_connect(one, server.sockets[0].getsockname())
                await loop.sock_sendall(one, request("/"))
                slow.append(one)
                await paused.acquire()
            return [len(await fetch(one)) for one in slow]

    first, second, third = asyncio.run(asyncio.wait_for(work(), START_SECONDS))

    assert first < len(ANSWER)
    assert (len(ANSWER), len(ANSWER)) == (second, third)
