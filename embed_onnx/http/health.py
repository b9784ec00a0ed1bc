"""Whether the servers of this installation are healthy, wherever they listen and however that was set.

A server's process is known by its command line, and its listening sockets by /proc. So a health check needs
neither its flags nor its variables, and port 0 and Unix sockets are no exception.
"""

import contextlib
import http.client
import socket
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from embed_onnx.errors import SetupError

PROC = Path("/proc")
LISTENING = {"tcp": "0A", "tcp6": "0A", "unix": "00010000"}
"""What the kernel writes for the state of a socket that listens; of a Unix socket, for its flags."""
PROGRAMS = {"embed-onnx", "embed_onnx"}
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to reach a server that listens on every address."""


class Address(NamedTuple):
    """A host and a port; of a Unix socket, its path and no port."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return f"unix:{self.host}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def check(path: str, *, seconds: float) -> None:
    """Read a path of all servers.

    Raises:
        SetupError: There is none, or one is not healthy.
    """
    servers = addresses()
    if not servers:
        raise SetupError("no server listens here yet that this user may look at; start one, or wait for it")
    for server in servers:
        try:
            code = status(server, path, seconds=seconds)
        except (OSError, http.client.HTTPException) as err:
            raise SetupError(f"{server} does not answer: {err}") from None
        if code != HTTPStatus.OK:
            raise SetupError(f"{server} answers {path} with {code}; its log has why")


def addresses(proc: Path = PROC) -> list[Address]:
    """Where servers listen whose sockets this user may look at, each once."""
    servers: dict[Address, None] = {}
    for folder in proc.iterdir():
        if folder.name.isdecimal() and _is_server(folder):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                servers.update(dict.fromkeys(_listening(folder)))
    return list(servers)


def status(address: Address, path: str, *, seconds: float) -> int:
    """The status of a server's answer to GET.

    Raises:
        OSError: It does not answer.
        http.client.HTTPException: What answers is not a server of HTTP.
    """
    # Not urllib, which would go through a proxy where the environment names one.
    connection = _Connection(address, seconds)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._address = address

    def connect(self) -> None:
        """Connect to the address, whatever its kind."""
        host, port = self._address
        if port is not None:
            self.sock = socket.create_connection((WILDCARDS.get(host, host), port), self.timeout)
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(host)


def _is_server(folder: Path) -> bool:
    """Whether a process is ``embed-onnx serve``, or one of its workers, of this installation."""
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    if "serve" not in words or not _is_of_here(folder, Path(words[0])):
        return False
    return not PROGRAMS.isdisjoint(Path(word).name for word in words[: words.index("serve")])


def _is_of_here(folder: Path, program: Path) -> bool:
    """Whether a process's program lies beside this Python, or was looked for in PATH; it may be relative."""
    if program.parent == Path():
        return True
    try:
        return (folder / "cwd" / program).parent.samefile(Path(sys.executable).parent)
    except OSError:  # another user's, or in another file system
        return program.parent == Path(sys.executable).parent


def _listening(folder: Path) -> Iterator[Address]:
    own = {str(path.readlink()) for path in (folder / "fd").iterdir()}
    for table, state in LISTENING.items():
        path = folder / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            words = line.split(maxsplit=7 if table == "unix" else -1)  # a path may have blanks
            if table == "unix":
                if len(words) == 8 and words[3] == state and f"socket:[{words[6]}]" in own:
                    yield Address(words[7])
            elif words[3] == state and f"socket:[{words[9]}]" in own:
                yield _address(words[1])


def _address(word: str) -> Address:
    """Of an address in hexadecimal, in words of 32 bits of this machine's byte order, and a port."""
    host, _, port = word.partition(":")
    raw = b"".join(int(host[start : start + 8], 16).to_bytes(4, "little") for start in range(0, len(host), 8))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return Address(socket.inet_ntop(family, raw), int(port, 16))
