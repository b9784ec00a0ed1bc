"""uvicorn around the app: binding, signals, draining."""

import asyncio
import errno
import logging
import os
import socket
from types import FrameType

import uvicorn

from embed_onnx import protocol
from embed_onnx.app import create_app
from embed_onnx.errors import SetupError
from embed_onnx.registry import Registry
from embed_onnx.settings import Settings

log = logging.getLogger(__name__)

GRACE_SECONDS = 5
"""Past the drain's limit, for the last answers to be written."""


def bind(settings: Settings) -> socket.socket:
    """Take the port; connections are refused until the server listens on it.

    Raises:
        SetupError: It is busy, or the address is not this machine's.
    """
    where = f"{settings.host} port {settings.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            raise SetupError(
                f"{where} is in use; stop what listens there, or choose another --port"
            ) from None
        raise SetupError(
            f"cannot listen on {where}: {err.strerror}; choose another --host or --port"
        ) from None
    return sock


def serve(registry: Registry, settings: Settings, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted.

    Raises:
        SetupError: A model could not be loaded.
    """
    server = _Server(registry, settings)
    server.run(sockets=[sock])
    if server.failure is not None:
        raise server.failure


class _Server(uvicorn.Server):
    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.failure: SetupError | None = None
        self._registry = registry
        self._drain_timeout = settings.drain_timeout
        super().__init__(
            uvicorn.Config(
                create_app(registry, settings, on_failure=self._give_up),
                access_log=False,  # the app writes a line a request itself
                log_config=None,
                server_header=False,
                http=protocol.limited(
                    header_seconds=settings.header_timeout, answer_seconds=settings.request_timeout
                ),
                ws="none",
                timeout_graceful_shutdown=int(settings.drain_timeout) + GRACE_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal drains; a second one ends the process at once.

        uvicorn would raise the signal again at the end; a drained server exits with 0 instead.
        """
        if self.should_exit:
            os._exit(1)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        for sock in sockets or []:
            host, port = sock.getsockname()[:2]
            log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and let accepted requests finish; the registry fails those that are late."""
        log.info("draining: accepted requests have %g s to finish", self._drain_timeout)
        draining = asyncio.create_task(asyncio.to_thread(self._registry.drain, self._drain_timeout))
        await super().shutdown(sockets)
        await draining

    def _give_up(self, err: SetupError) -> None:
        self.failure = err
        self.should_exit = True
