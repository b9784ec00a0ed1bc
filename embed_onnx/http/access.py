"""Who may use a route: guards that require an API key, or an admin's."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from embed_onnx.errors import Forbidden, InvalidApiKey
from embed_onnx.http.keys import Key, Keys
from embed_onnx.http.record import current_record


async def require_key(connection: ASGIConnection[Any, Any, Any, State], _handler: BaseRouteHandler) -> None:
    """Refuse a request without one of the server's API keys, if it has any.

    Async, though it waits for nothing: Litestar would run a plain function in a thread.

    Raises:
        InvalidApiKey: The key is missing or unknown.
    """
    _find_key(connection)


async def require_admin(connection: ASGIConnection[Any, Any, Any, State], _handler: BaseRouteHandler) -> None:
    """Refuse a request without an admin key; a server that has none refuses all.

    Raises:
        InvalidApiKey: The key is missing or unknown.
        Forbidden: The key is not an admin's.
    """
    key = _find_key(connection)
    if not connection.app.state.api_keys.has_admin:
        raise Forbidden(
            "this server has no admin key; make one with `embed-onnx key new NAME --admin --file FILE` and "
            "start the server with --api-keys-file FILE"
        )
    if key is None or not key.admin:
        raise Forbidden("this API key is not an admin's; ask the server's administrator for one that is")


def _find_key(connection: ASGIConnection[Any, Any, Any, State]) -> Key | None:
    """The request's key, whose name enters its record; None where the server has no keys."""
    keys: Keys = connection.app.state.api_keys
    if not keys:
        return None
    scheme, _, word = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not word:
        word = connection.headers.get("api-key", "")  # Azure's
    if not word:
        raise InvalidApiKey(
            "this server asks for an API key; send it as Authorization: Bearer KEY, or as api-key: KEY"
        )
    # Litestar reads headers as latin-1; clients and settings write keys in UTF-8.
    key = keys.find(word.strip().encode("latin-1").decode(errors="replace"))
    if key is None:
        raise InvalidApiKey("this API key is unknown here; ask the server's administrator for one")
    current_record(connection.scope).key = key.name
    return key
