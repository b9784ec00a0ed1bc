"""Who may use a route: middleware that requires an API key, or an admin's.

Not Litestar's guards, for each of which it copies the route's handler at every request.
"""

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from embed_onnx.errors import Forbidden, InvalidApiKey
from embed_onnx.http.keys import Key, Keys
from embed_onnx.http.record import current_record


class RequireKey(ASGIMiddleware):
    """Refuses a request without one of the server's API keys, if it has any."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer a request.

        Raises:
            InvalidApiKey: The key is missing or unknown.
        """
        _find_key(scope)
        await next_app(scope, receive, send)


class RequireAdmin(ASGIMiddleware):
    """Refuses a request without an admin key; a server that has none refuses all."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer a request.

        Raises:
            InvalidApiKey: The key is missing or unknown.
            Forbidden: The key is not an admin's.
        """
        key = _find_key(scope)
        if not scope["litestar_app"].state.api_keys.has_admin:
            raise Forbidden(
                "this server has no admin key; make one with `embed-onnx key new NAME --admin --file FILE` "
                "and start the server with --api-keys-file FILE"
            )
        if key is None or not key.admin:
            raise Forbidden("this API key is not an admin's; ask the server's administrator for one that is")
        await next_app(scope, receive, send)


def _find_key(scope: Scope) -> Key | None:
    """The request's key, whose name enters its record; None where the server has no keys."""
    keys: Keys = scope["litestar_app"].state.api_keys
    if not keys:
        return None
    headers = Headers.from_scope(scope)
    scheme, _, word = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not word:
        word = headers.get("api-key", "")  # Azure's
    if not word:
        raise InvalidApiKey(
            "this server asks for an API key; send it as Authorization: Bearer KEY, or as api-key: KEY"
        )
    # Litestar reads headers as latin-1; clients and settings write keys in UTF-8.
    key = keys.find(word.strip().encode("latin-1").decode(errors="replace"))
    if key is None:
        raise InvalidApiKey("this API key is unknown here; ask the server's administrator for one")
    current_record(scope).key = key.name
    return key
