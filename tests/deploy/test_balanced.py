"""deploy/nginx-balanced.conf in a real nginx: several servers, of which some are full, leave or die."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nginx
import numpy as np
import openai
import pytest
from harness import MINILM, START_SECONDS, Server, figure, free_port, metrics, until, waiting
from nginx import DEPLOY, Nginx

from embed_onnx import Model

ADDRESSES = [f"10.0.0.{number}:8000" for number in (1, 2, 3)]
REQUEST = {"input": "Hello"}
HELD = {"input": "hold this one"}


class Upstream(ThreadingHTTPServer):
    """A server of three lines: it always answers with one status, once it is released."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.asked = 0
        self.holding = threading.Event()
        self.release = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        if b"hold" in body:
            self.server.holding.set()
            self.server.release.wait(START_SECONDS)
        self.send_response(self.server.status)
        self.send_header("retry-after", "7")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def balance() -> Iterator[Callable[..., Nginx]]:
    """Start nginx before three servers."""
    with contextlib.ExitStack() as stack:

        def start(*servers: str) -> Nginx:
            return stack.enter_context(
                nginx.running("nginx-balanced.conf", dict(zip(ADDRESSES, servers, strict=True)))
            )

        yield start


@pytest.fixture
def upstreams() -> Iterator[Callable[..., list[Upstream]]]:
    """Servers that answer with these statuses."""
    with contextlib.ExitStack() as stack:

        def start(*statuses: int) -> list[Upstream]:
            started = [Upstream(status) for status in statuses]
            for upstream in started:
                stack.callback(upstream.stop)
            return started

        yield start


def directives(name: str) -> set[str]:
    lines = (line.strip() for line in (DEPLOY / name).read_text().splitlines())
    return {" ".join(line.split()) for line in lines if line and not line.startswith("#")}


def test_it_is_the_site_of_one_server_but_for_the_balance() -> None:
    """TLS, limits, timeouts and errors are those of nginx.conf, to the letter."""
    one, several = directives("nginx.conf"), directives("nginx-balanced.conf")

    assert {
        "server 127.0.0.1:8000 max_fails=0;",
        "proxy_next_upstream error non_idempotent;",
        "proxy_connect_timeout 5s;",
    } == one - several
    assert {
        "zone embed_onnx 64k;",
        "least_conn;",
        *(f"server {address} max_fails=0;" for address in ADDRESSES),
        "proxy_next_upstream error timeout http_429 http_503 non_idempotent;",
        "proxy_next_upstream_timeout 30s;",
        "proxy_connect_timeout 1s;",
    } == several - one


def test_who_is_full_or_leaving_or_gone_is_passed_by(
    balance: Callable[..., Nginx], upstreams: Callable[..., list[Upstream]]
) -> None:
    """One server answers 429, then 503, and one is not there: the third has every request."""
    full, able = upstreams(429, 200)
    with balance(full.address, f"127.0.0.1:{free_port()}", able.address).client() as https:
        statuses = [https.post("/v1/embeddings", json=REQUEST).status_code for _ in range(6)]
        full.status = 503
        statuses += [https.post("/v1/embeddings", json=REQUEST).status_code for _ in range(6)]

    assert [200] * 12 == statuses
    assert 12 == able.asked
    assert full.asked > 1


def test_if_all_are_full_the_client_hears_when_to_come_back(
    balance: Callable[..., Nginx], upstreams: Callable[..., list[Upstream]]
) -> None:
    """Each is asked once, and the last answer is passed on with its Retry-After, again and again."""
    full = upstreams(429, 429, 429)
    with balance(*(upstream.address for upstream in full)).client() as https:
        answers = [https.post("/v1/embeddings", json=REQUEST) for _ in range(3)]

    assert [(429, "7")] * 3 == [(answer.status_code, answer.headers["retry-after"]) for answer in answers]
    assert [3, 3, 3] == [upstream.asked for upstream in full]


def test_what_fails_everywhere_is_not_tried_everywhere(
    balance: Callable[..., Nginx], upstreams: Callable[..., list[Upstream]]
) -> None:
    """A 500 is the answer: it would be the same on the next server."""
    broken = upstreams(500, 500, 500)
    with balance(*(upstream.address for upstream in broken)).client() as https:
        answer = https.post("/v1/embeddings", json=REQUEST)

    assert 500 == answer.status_code
    assert 1 == sum(upstream.asked for upstream in broken)


def test_who_is_busy_gets_nothing_while_others_are_idle(
    balance: Callable[..., Nginx], upstreams: Callable[..., list[Upstream]]
) -> None:
    """The next request is for a server with the fewest open ones."""
    servers = upstreams(200, 200, 200)
    site = balance(*(upstream.address for upstream in servers))
    with site.client() as https, site.client() as other:
        holder = threading.Thread(target=other.post, args=("/v1/embeddings",), kwargs={"json": HELD})
        holder.start()
        until(lambda: any(upstream.holding.is_set() for upstream in servers))
        (busy,) = (upstream for upstream in servers if upstream.holding.is_set())
        before = busy.asked
        for _ in range(6):
            https.post("/v1/embeddings", json=REQUEST)
        after = busy.asked
        busy.release.set()
        holder.join(START_SECONDS)

    assert (1, 1) == (before, after)
    assert [1, 3, 3] == sorted(upstream.asked for upstream in servers)


class Load:
    """Clients with their defaults, in threads, until they are stopped; they keep what they see."""

    def __init__(self, site: Nginx, lists: list[list[str]], expected: list[np.ndarray]) -> None:
        self.errors: list[Exception] = []
        self._answers = 0
        self._site = site
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(texts, vectors), daemon=True)
            for texts, vectors in zip(lists, expected, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, texts: list[str], expected: np.ndarray) -> None:
        """Ask again and again; a vector that is another than expected is an error, too."""
        url = f"https://localhost:{self._site.port}/v1"
        http = openai.DefaultHttpxClient(verify=self._site.tls)
        try:
            with openai.OpenAI(base_url=url, api_key="unused", http_client=http) as client:
                while not self._stop.is_set():
                    response = client.embeddings.create(model=MINILM, input=texts)
                    vectors = np.array([item.embedding for item in response.data], np.float32)
                    np.testing.assert_array_equal(expected, vectors)
                    with self._lock:
                        self._answers += 1
        except Exception as err:
            self.errors.append(err)

    def go_on(self) -> None:
        """Wait until each client has had about three more answers."""
        goal = self._answers + 3 * len(self._threads)
        until(lambda: self.errors or self._answers >= goal)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(START_SECONDS)


def inputs(server: Server) -> float:
    """How many it has embedded."""
    return figure(metrics(server.url), "embed_onnx_inputs_total")


def test_one_drains_and_one_is_killed_and_no_client_sees_it(
    balance: Callable[..., Nginx], serve: Callable[..., Server], minilm: Model
) -> None:
    """Under load, one server gets SIGTERM and then another SIGKILL, with requests in its queue."""
    servers = [serve("--threads", "1") for _ in range(3)]
    site = balance(*(server.url.removeprefix("http://") for server in servers))
    lists = [[f"{name} {number} " * (5 + number) for number in range(8)] for name in ("one", "two", "three")]
    lists += [["one text"], ["another text"]]
    load = Load(site, lists, [minilm.encode(texts) for texts in lists])
    try:
        until(lambda: load.errors or all(inputs(server) for server in servers))
        servers[0].process.terminate()
        drained = servers[0].process.wait(START_SECONDS)
        load.go_on()
        until(lambda: load.errors or waiting(servers[1].url) > 0)
        servers[1].process.kill()
        load.go_on()
    finally:
        load.stop()

    assert [] == load.errors
    assert 0 == drained
    assert any("while reading response header" in line for line in site.warnings())
    assert {"200"} == {line.split('" ')[1][:3] for line in site.answers()}
