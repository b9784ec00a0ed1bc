"""Where a server listens: IPv6, names with several addresses, and Unix sockets."""

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from harness import PROGRAM, START_SECONDS, Server, clean_environment, numbered, run, until

from embed_onnx.errors import SetupError
from embed_onnx.http import listening
from embed_onnx.settings import Settings


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


class Local:
    """A server on a Unix socket, which does not outlive its context."""

    def __init__(self, home: Path, path: Path, *flags: str) -> None:
        self.path = path
        command = [*PROGRAM, "serve", "--host", f"unix:{path}", *flags]
        self.process = subprocess.Popen(
            command, cwd=home, env=clean_environment(), stderr=subprocess.PIPE, text=True
        )
        self.client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://local", timeout=START_SECONDS
        )

    def __enter__(self) -> Self:
        until(self.is_ready)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[1]
        return connects(self.path) and self.client.get("/ready").status_code == 200

    def stop(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=START_SECONDS)[1]


@pytest.fixture(params=[1, 2], ids=["one-process", "workers"])
def local(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Local]:
    with Local(home, tmp_path / "api.sock", "--workers", str(request.param), "--threads", "2") as server:
        yield server


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6(serve: Callable[..., Server], host: str) -> None:
    server = serve("--host", host)

    assert server.url.startswith("http://[::1]:")
    assert 200 == httpx.get(f"{server.url}/health").status_code


@needs_ipv6
def test_all_addresses_of_a_name_have_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """As localhost has one of each family on most machines; clients may try either first."""
    entries = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_words: entries)

    with listening.bound(Settings(host="both.invalid", port=0)) as socks:
        names = [listening.name(sock) for sock in socks]

    port = names[0].rpartition(":")[2]
    assert [f"http://127.0.0.1:{port}", f"http://[::1]:{port}"] == names


def test_an_address_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is another: in containers without IPv6, localhost may still have its address."""
    entries: list[Any] = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_words: entries)

    with listening.bound(Settings(host="both.invalid", port=0)) as socks:
        assert ["http://127.0.0.1"] == [listening.name(sock).rpartition(":")[0] for sock in socks]

    del entries[1]
    with (
        pytest.raises(SetupError, match=r"cannot listen on both\.invalid port 0"),
        listening.bound(Settings(host="both.invalid", port=0)),
    ):
        pass


@needs_ipv6
def test_a_port_that_is_busy_at_one_of_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        entries = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_words: entries)

        with (
            pytest.raises(SetupError, match=f"both.invalid port {port} is in use"),
            listening.bound(Settings(host="both.invalid", port=port)),
        ):
            pass


def test_a_unix_socket_serves_its_owner_and_group(local: Local) -> None:
    """And leaves the disk with the server."""
    answer = local.client.post("/v1/embeddings", json={"input": "a text"})
    mode = stat.S_IMODE(local.path.stat().st_mode)
    log = local.stop()

    assert 200 == answer.status_code
    assert 0o660 == mode
    assert f"listening on unix:{local.path}" in log
    assert 0 == local.process.returncode
    assert not local.path.exists()


def test_a_unix_socket_drains(local: Local) -> None:
    """What was accepted is answered, while others are refused at once."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            local.client.post, "/v1/embeddings", json={"input": numbered("some words " * 100, 100)}
        )
        until(lambda: working(local.path))
        local.process.terminate()
        until(lambda: not connects(local.path))

        assert 200 == answer.result().status_code
    assert 0 == local.process.wait(START_SECONDS)


def working(path: Path) -> bool:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://local") as client:
        page = client.get("/metrics", timeout=START_SECONDS).text
    return any(
        line.startswith("embed_onnx_queue_size") and float(line.split()[-1]) > 0 for line in page.splitlines()
    )


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def test_a_socket_that_a_killed_server_left_is_replaced(home: Path, tmp_path: Path) -> None:
    """One that is in use is not, and what is not a socket stays as it is."""
    path = tmp_path / "api.sock"
    with Local(home, path) as server:
        busy = run("serve", "--host", f"unix:{path}", cwd=home)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(START_SECONDS)
        assert path.exists()
    with Local(home, path) as server:
        server.stop()
    path.write_text("precious")
    other = run("serve", "--host", f"unix:{path}", cwd=home)

    assert (1, f"embed-onnx: {path} is in use") == (busy.returncode, busy.stderr.split(";")[0])
    assert (1, f"embed-onnx: {path} is there and is not a socket") == (
        other.returncode,
        other.stderr.split(";")[0],
    )
    assert "precious" == path.read_text()


def test_a_socket_of_a_server_that_does_not_listen_yet_is_in_use(tmp_path: Path) -> None:
    """It refuses connections while it exports, as one does that nobody has any more."""
    (tmp_path / "link").symlink_to(tmp_path)
    with listening.bound(Settings(host=f"unix:{tmp_path}/a b.sock")):
        for other in (f"{tmp_path}/a b.sock", f"{tmp_path}/link/a b.sock"):
            with (
                pytest.raises(SetupError, match="is in use"),
                listening.bound(Settings(host=f"unix:{other}")),
            ):
                pass
        assert (tmp_path / "a b.sock").exists()


@pytest.mark.parametrize("host", ["a..b", "." + "x" * 70, "-"])
def test_a_host_that_cannot_be_one(host: str) -> None:
    with pytest.raises(SetupError, match="choose another --host"), listening.bound(Settings(host=host)):
        pass


@pytest.mark.parametrize("name", ["no/folder/a.sock", "x" * 120])
def test_a_socket_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(SetupError, match=r"cannot listen on .*; choose another --host unix:PATH"),
        listening.bound(Settings(host=f"unix:{tmp_path}/{name}")),
    ):
        pass


def test_the_mask_of_the_process_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with listening.bound(Settings(host=f"unix:{tmp_path}/a.sock")):
            assert 0o022 == os.umask(0o022)
    finally:
        os.umask(before)
