"""The app on Ray Serve: ``serve run embed_onnx.ray.serve:app``.

Every replica is a whole server, with all models, and lanes and a queue of its own; Ray's proxies take the
place of uvicorn. Settings come from the variables of ``embed-onnx serve`` and those of ``RaySettings``.
"""

import contextlib
import os
from typing import Any

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from ray import serve

from embed_onnx import setting_words
from embed_onnx.errors import EmbedError, SetupError, Unavailable
from embed_onnx.http.app import compose
from embed_onnx.models import registry
from embed_onnx.observe import logs
from embed_onnx.ray import env, proxy
from embed_onnx.settings import RaySettings

# For proxies of a Ray that is started here; others have it from those who start them.
os.environ.setdefault(*proxy.CALLBACK)

ONGOING = 1000
"""Requests that Ray hands to a replica at a time. Many: the server bounds its queue itself, in tokens, and
lets short requests pass long ones."""
ONGOING_A_CORE = 2
"""Requests at a replica, for each of its cores, beyond which Ray starts another one."""


def app(words: dict[str, str]) -> serve.Application:
    """The application, from variables and from ``serve run``'s NAME=VALUE, which come first.

    Raises:
        SetupError: A setting is wrong.
    """
    configuration = setting_words.from_environment(RaySettings, **words)
    return serve.deployment(Replica, **options(configuration)).bind(configuration)


def options(configuration: RaySettings) -> dict[str, Any]:
    """What Ray takes as the options of a deployment.

    Raises:
        SetupError: There are to be fewer replicas at most than at the least.
    """
    cores = configuration.threads or 1
    fields = {
        "name": "embed-onnx",
        "ray_actor_options": {"num_cpus": cores},
        "max_ongoing_requests": ONGOING,
        "graceful_shutdown_timeout_s": configuration.drain_timeout,
        "logging_config": {"enable_access_log": False},  # the app writes a line a request itself
    }
    if not configuration.max_replicas:
        return fields | {"num_replicas": configuration.replicas}
    if configuration.max_replicas < configuration.replicas:
        raise SetupError(
            f"max_replicas is {configuration.max_replicas} and replicas {configuration.replicas}; give it as "
            "many, or 0"
        )
    scale = {
        "min_replicas": configuration.replicas,
        "max_replicas": configuration.max_replicas,
        "target_ongoing_requests": ONGOING_A_CORE * cores,
    }
    return fields | {"autoscaling_config": scale}


@serve.ingress()
class Replica:
    """One server. It is ready once its models are loaded, and healthy while it can embed."""

    def __init__(self, configuration: RaySettings) -> None:
        self._settings = msgspec.structs.replace(configuration, threads=configuration.threads or env.cores())
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(logs.to_stderr(configuration.log_format, configuration.log_level))
        self._sick = False
        entries = registry.entries_to_serve(self._settings)
        service = compose(entries, self._settings, on_sick=self._note_sick)
        self._registry, self._app = service.registry, service.app
        self._closing.callback(self._registry.close)
        self._registry.load()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The app, which Ray takes once the replica is made."""
        inner = _without_request_id(self._app)

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            await self._hold_asked()
            await inner(scope, receive, send)

        return outer

    async def _hold_asked(self) -> None:
        """Have requests that name the same model in Ray's header come here from now on, if it is served."""
        name = serve.get_multiplexed_model_id()
        with contextlib.suppress(EmbedError):  # the app says what is wrong; names of no model would pile up
            self._registry.served(name)
            await self._hold(name)

    @serve.multiplexed(max_num_models_per_replica=-1)  # type: ignore[untyped-decorator]
    async def _hold(self, name: str) -> None:
        """What Ray calls to load a model. They are loaded already, or will be when they are needed."""

    async def check_health(self) -> None:
        """Embed a token, unless something was embedded just now; Ray replaces a replica that cannot.

        Raises:
            Unavailable: It was not embedded, or lanes die again and again.
        """
        if self._sick:
            raise Unavailable("lanes died or hung again and again; the log may say why")
        await self._registry.check_alive()

    def __del__(self) -> None:
        self._closing.close()

    def _note_sick(self, _: str) -> None:
        self._sick = True


def _without_request_id(inner: ASGIApp) -> ASGIApp:
    """Leave out the request id of answers: Ray's proxy, which gave it to the request, adds it again."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
            await send(message)

        await inner(scope, receive, send_on)

    return outer
