"""Lives of a server process: draining, overload, leaving clients, deadlines, and reloads."""

import asyncio
import http.client
import json
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest
from harness import MINILM, START_SECONDS, WEB, Server, embed, metrics, numbered, run, until, waiting

from embed_onnx.artifact import manifest

LONG = "a sentence of about nine words, again and again. " * 40


def test_sigterm_finishes_what_was_accepted(serve: Callable[..., Server]) -> None:
    """Requests that run when the server is asked to stop are answered; then it exits with 0."""
    server = serve("--drain-timeout", str(START_SECONDS))
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(embed, server.url, numbered(LONG, 60)) for _ in range(4)]
        until(lambda: waiting(server.url) > 180)
        log = server.stop()

    assert [200] * 4 == [answer.result().status_code for answer in answers]
    assert 0 == server.process.returncode
    assert "draining" in log


def test_sigterm_answers_what_waits_to_be_accepted(serve: Callable[..., Server]) -> None:
    """Requests that were sent to a server that was too busy to accept their connections."""
    server = serve()
    host, port = server.url.removeprefix("http://").split(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=START_SECONDS) for _ in range(60)]
    server.process.send_signal(signal.SIGSTOP)
    for connection in connections:
        connection.request("POST", "/v1/embeddings", b'{"input": "a"}', {"content-type": "application/json"})
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGCONT)

    statuses = [connection.getresponse().status for connection in connections]

    assert [200] * 60 == statuses
    for connection in connections:
        connection.close()
    server.finish()
    assert 0 == server.process.returncode


def test_what_is_not_done_in_time_is_refused(serve: Callable[..., Server]) -> None:
    """Past the drain's limit, the rest is answered with 503, in our shape, and the exit is clean."""
    server = serve("--drain-timeout", "0")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(embed, server.url, numbered(LONG, 400))
        until(lambda: waiting(server.url) > 300)
        server.stop()

    assert 503 == answer.result().status_code
    assert "server_error" == answer.result().json()["error"]["type"]
    assert answer.result().headers["retry-after"]
    assert 0 == server.process.returncode


def test_a_second_signal_ends_it_at_once(serve: Callable[..., Server]) -> None:
    server = serve()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(embed, server.url, numbered(LONG, 2000))
        until(lambda: waiting(server.url) > 1900)
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGTERM)
        server.finish()

    assert 1 == server.process.returncode


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_that_is_sent_twice_drains(serve: Callable[..., Server], workers: str) -> None:
    """As timeout does, to the process and to its group: no second one, which would end it at once."""
    server = serve("--workers", workers, "--threads", "2")
    server.wait_ready()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(embed, server.url, numbered(LONG, 100))
        until(lambda: waiting(server.url) > 0)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.02)  # or the system makes one of them
        server.process.send_signal(signal.SIGTERM)

        assert 200 == answer.result().status_code
    server.finish()
    assert 0 == server.process.returncode


def test_a_client_that_leaves_takes_its_work_along(serve: Callable[..., Server]) -> None:
    """What still waits of a request leaves the queue when its connection closes."""
    server = serve()
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"input": numbered(LONG, 2000)}).encode()
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: waiting(server.url) > 1000)

    until(lambda: waiting(server.url) == 0)
    assert 'status="499"' in metrics(server.url)


def test_a_full_queue_is_a_429_with_retry_after(serve: Callable[..., Server]) -> None:
    """Overload is answered at once, with a time to come back; what was accepted is done."""
    server = serve("--queue-tokens", "5000")

    async def flood() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=START_SECONDS) as client:
            calls = [client.post("/v1/embeddings", json={"input": numbered(LONG, 8)}) for _ in range(30)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(flood())

    refused = [answer for answer in answers if answer.status_code == 429]
    assert {200, 429} == {answer.status_code for answer in answers}
    assert {"server_overloaded"} == {answer.json()["error"]["code"] for answer in refused}
    assert {"rate_limit_error"} == {answer.json()["error"]["type"] for answer in refused}
    assert min(int(answer.headers["retry-after"]) for answer in refused) >= 1
    assert 200 == embed(server.url, "after").status_code


def test_bodies_together_are_bounded(serve: Callable[..., Server]) -> None:
    """While a large body is worked on, another is refused unread; small ones go on, large ones after it."""
    server = serve("--max-pending", "1000000")
    large = json.dumps({"input": numbered(LONG, 300)}).encode()
    assert 500_000 < len(large) < 1_000_000
    headers = {"content-type": "application/json"}

    def send(content: bytes) -> httpx.Response:
        return WEB.post(f"{server.url}/v1/embeddings", content=content, headers=headers)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, large)
        until(lambda: waiting(server.url) > 100)
        refused = send(large)
        small = send(b'{"input": "a text"}')
        assert not first.done()

    assert [200, 429, 200, 200] == [
        answer.status_code for answer in (first.result(), refused, small, send(large))
    ]
    assert "more exceed the limit of 1000000" in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) >= 1


def test_a_request_has_a_deadline(serve: Callable[..., Server]) -> None:
    """A request that takes longer than the server lets it is a 503, and its work is dropped."""
    server = serve("--request-timeout", "2")  # within which the whole body must have come

    answer = embed(server.url, numbered("a " * 256, 2000))

    assert (503, "timeout") == (answer.status_code, answer.json()["error"]["code"])
    until(lambda: waiting(server.url) == 0)


def test_limits_are_settings(serve: Callable[..., Server]) -> None:
    """Inputs a request, bytes a body and truncation are the server's to choose; so is CORS."""
    server = serve(
        "--max-inputs",
        "2",
        "--no-truncate",
        "--cors-origins",
        "https://app.invalid",
        EMBED_ONNX_MAX_BODY="99999",
    )

    def status(body: object) -> int:
        return WEB.post(f"{server.url}/v1/embeddings", json=body).status_code

    assert 400 == status({"input": ["a"] * 3})
    assert 413 == status({"input": "a" * 100_000})
    assert 400 == status({"input": LONG})
    assert 200 == status({"input": LONG, "truncate": True})
    allowed = WEB.get(f"{server.url}/models", headers={"origin": "https://app.invalid"})
    assert "https://app.invalid" == allowed.headers["access-control-allow-origin"]


def test_json_log_has_a_line_a_request_and_no_text(serve: Callable[..., Server]) -> None:
    """Lines are JSON with the request's id and timings; what users send is in none of them."""
    server = serve("--log-format", "json")
    body, headers = {"input": "secret words"}, {"x-request-id": "find-me"}
    WEB.post(f"{server.url}/v1/embeddings", json=body, headers=headers)
    embed(server.url, "secret words", model="secret")

    log = server.stop()

    lines = [json.loads(line) for line in log.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert "POST /v1/embeddings 200" == line["message"]
    assert line["timing"].startswith("tokenize;dur=")
    assert "secret" not in log


def test_without_kernels(serve: Callable[..., Server], artifacts: Path) -> None:
    """Models run on standard operators; the log and the list say so, and how accurate that is."""
    measured = manifest.read(artifacts / MINILM).parity
    server = serve("--kernels", "off")
    listed = WEB.get(f"{server.url}/v1/models").json()["data"]
    log = server.stop()

    assert {"standard operators (kernels are off)"} == {model["runs_on"] for model in listed}
    assert msgspec.to_builtins(measured) == listed[0]["parity"]
    assert measured.short is not None
    cosines, short = (
        f"{of.cosine_mean:.5f} on average, {of.cosine_min:.5f} at the least"
        for of in (measured, measured.short)
    )
    kernels = "standard operators (kernels are off), cosine to the original "
    kernels += f"{cosines}; of texts under 5 tokens {short}"
    assert 1 == log.count(f"loaded {MINILM}: int8, {kernels}")


def test_sighup_reloads(copied: Path, serve: Callable[..., Server]) -> None:
    """No request fails meanwhile; an error is reported and changes nothing."""
    import shutil

    flags = ["--models", str(copied / "models.txt"), "--artifacts", str(copied / "artifacts")]
    server = serve(*flags)
    texts = numbered("text", 50)
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        request = pool.submit(
            lambda: [client.post("/v1/embeddings", json={"input": texts}).status_code for _ in range(60)]
        )
        shutil.copytree(copied / "artifacts/small", copied / "artifacts/other")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "other" in WEB.get(f"{server.url}/models").text)
        (copied / "artifacts/other/manifest.json").write_text("{")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: any("not reloaded" in line for line in server.log))
        statuses = request.result()

    assert {200} == set(statuses)
    assert 200 == embed(server.url, texts, model="other").status_code


def test_an_admin_reloads_models_and_keys(copied: Path, serve: Callable[..., Server]) -> None:
    """Nobody else does; a key that was made meanwhile is taken from then on, and one that is gone is not."""
    file = ["--file", "keys.txt"]
    admin, user = (
        run("key", "new", *words, *file, cwd=copied).stdout.strip()
        for words in (["boss", "--admin"], ["user"])
    )
    server = serve(
        "--models",
        str(copied / "none"),
        "--artifacts",
        str(copied / "artifacts"),
        "--api-keys-file",
        str(copied / "keys.txt"),
    )

    def ask(route: str, key: str, body: object = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return WEB.post(f"{server.url}{route}", json=body, headers=headers)

    refused = [ask("/admin/reload", key).status_code for key in ("", "unknown", user)]
    new = run("key", "new", "new", *file, cwd=copied).stdout.strip()
    run("key", "remove", "user", *file, cwd=copied)
    before = [ask("/embeddings", key, {"input": "a"}).status_code for key in (user, new)]
    done = ask("/admin/reload", admin)
    after = [ask("/embeddings", key, {"input": "a"}).status_code for key in (user, new)]
    (copied / "artifacts/small/tokenizer.json").write_text("{}")
    (copied / "artifacts/small").rename(copied / "artifacts/other")
    failed = ask("/admin/reload", admin)

    assert [401, 401, 403] == refused
    assert [200, 401] == before
    assert (200, ["small"]) == (done.status_code, done.json()["models"])
    assert [401, 200] == after
    assert (500, "reload_failed") == (failed.status_code, failed.json()["error"]["code"])
    assert "what was served is still served" in failed.json()["error"]["message"]
    assert 200 == ask("/embeddings", new, {"input": "a"}).status_code


def test_an_idle_model_is_unloaded_and_comes_back(serve: Callable[..., Server]) -> None:
    server = serve("--idle-unload", "0.5")
    until(lambda: sum("unloaded" in line for line in server.log) == 2)

    answers = [WEB.get(f"{server.url}/ready"), embed(server.url, "a")]

    assert [200, 200] == [answer.status_code for answer in answers]
