"""uvicorn around the app: signals, draining."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import SetupError
from embed_onnx.http import connection, listening, operations
from embed_onnx.http.app import compose
from embed_onnx.settings import UNIX, Settings
from embed_onnx.system import age
from embed_onnx.system.signals import Echoes

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than clients and load balancers keep an idle connection (5 to 60 s): the server must not
be the first to close it, or a request that is on its way just then is lost."""
ARRIVAL_SECONDS = 0.2
"""From the end of listening until requests are refused: those that clients have sent by then are read. A
connection that is closed with an unread request would be reset."""
GRACE_SECONDS = 5
"""Past the drain's limit, for the last answers to be written."""


def serve(
    entries: list[Entry],
    settings: Settings,
    socks: list[socket.socket],
    *,
    load_first: bool = False,
    on_reload: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted.

    With ``load_first`` no connection is taken until all models are loaded. ``on_reload`` is called after a
    reload over HTTP.

    Raises:
        SetupError: An artifact or the key file is wrong, or a model could not be loaded.
    """
    addresses = [listening.name(sock) for sock in socks]
    server = _Server(entries, settings, addresses, on_reload)
    with server.registry:
        if load_first:
            server.registry.load()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)  # from now on, and not only once the event loop runs
        _warn_of_root()
        server.run(sockets=socks)
    if server.failure is not None:
        raise server.failure


def _warn_of_root() -> None:
    if os.geteuid() == 0:
        log.warning("running as root; a user of its own, with no rights but to read, is safer")


class _Server(uvicorn.Server):
    def __init__(
        self,
        entries: list[Entry],
        settings: Settings,
        addresses: list[str],
        on_reload: Callable[[], None] | None,
    ) -> None:
        self._addresses = addresses
        self._ready_seconds: float | None = None
        """From the process's start until all models were loaded."""
        self.failure: SetupError | None = None
        self._stopping = False
        """Whether a signal came that ends it."""
        self._echoes = Echoes()
        self._drain_timeout = settings.drain_timeout
        service = compose(
            entries,
            settings,
            on_sick=self._give_up_lanes,
            on_failure=self._give_up,
            on_ready=self._note_ready,
            on_reload=on_reload,
        )
        self.registry, self._app = service.registry, service.app
        self._protocol = connection.limited(
            header_seconds=settings.header_timeout, answer_seconds=settings.request_timeout
        )
        super().__init__(
            uvicorn.Config(
                self._app,
                access_log=False,  # the app writes a line a request itself
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nothing depends on where a request comes from
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                http=self._protocol,
                ws="none",
                timeout_graceful_shutdown=int(settings.drain_timeout) + GRACE_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal drains; a second one ends the process at once.

        uvicorn would raise the signal again at the end; a drained server exits with 0 instead.
        """
        if self._echoes.is_echo(sig):
            return
        if self._stopping:
            os._exit(1)
        self._stopping = self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where; SIGHUP reloads from now on."""
        await super().startup(sockets)
        gc.freeze()  # these objects stay: to scan them would stop every request for about 50 ms
        gc.enable()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        for address in self._addresses:
            log.info("listening on %s", address)
        self._say_ready()

    def _note_ready(self) -> None:
        self._ready_seconds = age.seconds()
        self._say_ready()

    def _say_ready(self) -> None:
        """The last line of a start, which comes once it listens and has loaded, whichever is later."""
        if self.started and self._ready_seconds is not None:
            first = self._addresses[0]
            pages = "" if first.startswith(UNIX) else f" (try it), {first}/docs"
            log.info("ready in %.1f s: %s%s", self._ready_seconds, first, pages)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and let accepted requests finish; the registry fails those that take too long."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # no reload from now on
        log.info("draining: accepted requests have %g s to finish", self._drain_timeout)
        await self._take_arrived(sockets or [])
        draining = asyncio.create_task(asyncio.to_thread(self.registry.drain, self._drain_timeout))
        await super().shutdown(sockets)
        await draining

    async def _take_arrived(self, sockets: list[socket.socket]) -> None:
        """Stop listening, and read what clients have sent by now; each answer closes its connection.

        The kernel resets connections that wait to be accepted when their socket is closed, and under load the
        event loop accepts one at a time.
        """
        self._protocol.draining = True
        listening = [sock.dup() for sock in sockets]
        for server in self.servers:
            server.close()
        arrived = [accepted for sock in listening for accepted in _accept_all(sock)]
        for accepted in arrived:
            await self._connect(accepted)
        await asyncio.sleep(ARRIVAL_SECONDS)

    async def _connect(self, accepted: socket.socket) -> None:
        """Serve a connection, as uvicorn does those that the event loop accepts."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: self._protocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            ),
            accepted,
        )

    def _reload(self) -> None:
        """Serve what is listed and exported now, and log the result."""
        reloading = asyncio.create_task(operations.reload(self._app.state))
        reloading.add_done_callback(_log_reload)

    def _give_up_lanes(self, reason: str) -> None:
        self._give_up(SetupError(f"{reason}; the process ends, so that its supervisor starts it again"))

    def _give_up(self, err: SetupError) -> None:
        self.failure = err
        self.should_exit = True


def _accept_all(sock: socket.socket) -> list[socket.socket]:
    """The connections that wait at a listening socket, which is closed."""
    arrived = []
    with sock, contextlib.suppress(OSError):  # of an empty queue, or of too many open files
        sock.setblocking(False)
        while True:
            arrived.append(sock.accept()[0])
    return arrived


def _log_reload(reloading: asyncio.Task[list[str]]) -> None:
    """Log what is served after a reload, or why nothing has changed."""
    if reloading.cancelled():
        return
    err = reloading.exception()
    if err is None:
        log.info("reloaded; served are %s", ", ".join(reloading.result()))
    else:
        log.error("not reloaded, what was served is still served: %s", err)
