"""Where a server listens: every address of a host name, at one port, or a Unix socket."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed_onnx.errors import SetupError
from embed_onnx.settings import UNIX, Settings

SOCKET_MASK = 0o117
"""A Unix socket is for its owner and its group, such as a proxy's user: mode 0660."""
SOCKETS = Path("/proc/net/unix")
UNCONNECTED = "01"
"""What the kernel writes there for the state of a socket that is bound, whether or not it listens."""
PORTS_TRIED = 10
"""Free ports that are tried until one is free at all addresses."""


@contextlib.contextmanager
def bound(settings: Settings) -> Iterator[list[socket.socket]]:
    """Sockets that are bound and not listened on yet: connections are refused until a server does.

    At the end they are closed, and a Unix socket leaves the disk.

    Raises:
        SetupError: The port or path is busy, or the address is not this machine's.
    """
    if settings.host.startswith(UNIX):
        path = Path(settings.host.removeprefix(UNIX)).absolute()
        with _bind_path(path) as sock:
            own = path.stat().st_ino
            try:
                yield [sock]
            finally:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_ino == own:
                        path.unlink()
        return
    socks = _bind_port(settings.host, settings.port)
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()


def name(sock: socket.socket) -> str:
    """The address of a bound socket, as people write it."""
    address = sock.getsockname()
    if isinstance(address, str):
        return UNIX + address
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_port(host: str, port: int) -> list[socket.socket]:
    try:
        return _bind_all(_addresses(host, port), tries=1 if port else PORTS_TRIED)
    except UnicodeError:
        raise SetupError(f"--host {host} is not a name of a host; choose another --host") from None
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            sentence = f"{host} port {port} is in use; stop what listens there, or choose another --port"
        else:
            sentence = f"cannot listen on {host} port {port}: {err.strerror}; choose another --host or --port"
        raise SetupError(sentence) from None


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Families and addresses of a host, each once, IPv4's first."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = dict.fromkeys((int(family), address) for family, _, _, _, address in entries)
    return sorted(addresses, key=lambda entry: entry[0] != socket.AF_INET)


def _bind_all(addresses: list[tuple[int, Any]], *, tries: int) -> list[socket.socket]:
    """A socket an address, all at one port; a free one may be busy at another address, so it is tried again.

    Addresses that this machine lacks are skipped if there are others: localhost has one of IPv6 in
    containers without IPv6.
    """
    socks: list[socket.socket] = []
    absent: OSError | None = None
    for family, (host, port, *rest) in addresses:
        try:
            same = socks[0].getsockname()[1] if socks else port
            socks.append(_bind(family, (host, same, *rest), alone=len(addresses) == 1))
        except OSError as err:
            if err.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                absent = err
                continue
            for sock in socks:
                sock.close()
            if err.errno == errno.EADDRINUSE and tries > 1:
                return _bind_all(addresses, tries=tries - 1)
            raise
    if absent is not None and not socks:
        raise absent
    return socks


def _bind(family: int, address: Any, *, alone: bool) -> socket.socket:
    """A socket at an address. One of IPv6 that is alone takes IPv4 as well, if the machine is set so."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_path(path: Path) -> socket.socket:
    """A Unix socket, in place of one whose server was killed."""
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(SOCKET_MASK)
    try:
        sock.bind(str(path))
    except OSError as err:
        sock.close()
        raise SetupError(
            f"cannot listen on {path}: {err.strerror or err}; choose another --host {UNIX}PATH, in a folder "
            "that is there and that this user may write to"
        ) from None
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SetupError(f"{path} is there and is not a socket; choose another --host {UNIX}PATH")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        if not _is_bound(path):
            path.unlink(missing_ok=True)
            return
    except OSError:
        return  # nothing is there, or nothing that may be replaced: to bind says which
    raise SetupError(f"{path} is in use; stop the server there, or choose another --host {UNIX}PATH")


def _is_bound(path: Path) -> bool:
    """Whether a process has the socket that refuses connections: a server that exports or loads its models.

    Only Linux says so, and only of this container's processes.
    """
    try:
        lines = SOCKETS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    rows = [line.split(maxsplit=7) for line in lines]
    places = [row[7] for row in rows if len(row) == 8 and row[5] == UNCONNECTED]
    return any(os.path.realpath(place) == os.path.realpath(path) for place in places)
