"""/docs and /openapi.json: Swagger UI from the disk, and the schema that it shows.

Every address in them is relative, so that they work below any path of a proxy.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Server
from litestar.params import FromPath
from litestar.serialization import encode_json

from embed_onnx import __version__
from embed_onnx.http.examples import ANSWERS
from embed_onnx.http.request import read

SWAGGER_UI = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>embed-onnx API</title>
  <link rel="icon" href="{root}page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="{root}docs/files/swagger-ui.css">
  <style>
    .swagger-ui .response-col_links {{ display: none; }}  /* empty, and too wide for a phone */
  </style>
  <script src="{root}docs/files/swagger-ui-bundle.js"></script>
</head>
<body>
  <div id="swagger-container"></div>
  <script>
    SwaggerUIBundle({{
      url: "{root}openapi.json",
      dom_id: "#swagger-container",
      deepLinking: true,
      validatorUrl: null,  // its default sends the address of the schema to another host
    }});
  </script>
</body>
</html>
"""
_WORDS = re.compile(r"\W+")
HEADERS = {
    "x-request-id": {
        "description": "The request's own, or a new one; the log has the same.",
        "schema": {"type": "string"},
    },
    "retry-after": {
        "description": "Seconds after which to send the request again.",
        "schema": {"type": "integer"},
    },
    "allow": {"description": "The methods that the route takes.", "schema": {"type": "string"}},
}
HEADERS_OF = {"405": ["allow"], "429": ["retry-after"], "503": ["retry-after"]}
"""By status."""
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of the server; `/admin/reload` asks for an admin's.",
    },
    "api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "api-key",
        "description": "The same key, as clients of Azure send it.",
    },
}


@read("/docs", include_in_schema=False, media_type=MediaType.HTML)
async def show_docs(request: Request[Any, Any, State]) -> str:
    """Swagger UI; its files lie above ``/docs/`` as they do beside ``/docs``."""
    # The path as it came: Litestar takes the last slash away.
    return PAGE.format(root="../" if request.scope.get("raw_path", b"").endswith(b"/") else "")


@read("/docs/files/{name:str}", include_in_schema=False, sync_to_thread=True)
def docs_file(name: FromPath[str]) -> Response[bytes]:
    """One of Swagger UI's files, from the installed package ``fastapi-swagger``: no internet is needed.

    Raises:
        NotFoundException: It is none of those that the page loads.
    """
    if name not in SWAGGER_UI:
        raise NotFoundException
    return Response(swagger_file(name).read_bytes(), media_type=SWAGGER_UI[name])


def swagger_file(name: str) -> Path:
    """Where one of ``SWAGGER_UI`` lies."""
    package = importlib.util.find_spec("fastapi_swagger")
    assert package is not None  # noqa: S101 - a dependency
    assert package.origin is not None  # noqa: S101
    return Path(package.origin).parent / "resources" / name


@read("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """The OpenAPI schema, where tools look for it; built once, as that takes 20 ms."""
    if state.openapi_json is None:
        state.openapi_json = schema(request.app, with_keys=bool(state.api_keys))
    return Response(state.openapi_json, media_type=MediaType.JSON)


def schema(app: Litestar, *, with_keys: bool) -> bytes:
    """The OpenAPI schema of the app in JSON; ``with_keys``, as a server says it that has API keys.

    Operations are named by method and path, such as ``post_v1_embeddings``: what a generated client calls
    them does not depend on the code.
    """
    described = app.openapi_schema.to_schema()
    _drop_head(described)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _WORDS.sub("_", f"{method}{path}").strip("_")
            _add_headers(operation["responses"])
            for content in operation["responses"]["200"]["content"].values():
                content["examples"] = {"answer": {"value": ANSWERS[path]}}
    if with_keys:
        _ask_for_keys(described)
    return encode_json(described)


def _drop_head(schema: dict[str, Any]) -> None:
    """Every GET is also a HEAD; twice as many operations would say no more."""
    for operations in schema["paths"].values():
        operations.pop("head", None)


def _add_headers(responses: dict[str, Any]) -> None:
    """Those that every answer has, and those of a status."""
    for status, response in responses.items():
        names = ["x-request-id", *HEADERS_OF.get(status, ())]
        response["headers"] = {name: HEADERS[name] for name in names}


def _ask_for_keys(schema: dict[str, Any]) -> None:
    """Say which operations need a key: those that may answer with 401."""
    schema["components"]["securitySchemes"] = SECURITY_SCHEMES
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "401" in operation["responses"]:
                operation["security"] = [{name: []} for name in SECURITY_SCHEMES]


class _NoPages(Router):
    """Takes none of Litestar's own pages, which load from absolute paths and do not answer HEAD."""

    def register(self, value: Any) -> list[Any]:  # noqa: ARG002 - the signature is Litestar's
        return []


def config() -> OpenAPIConfig:
    """What Litestar makes the schema from."""
    return OpenAPIConfig(
        title="embed-onnx",
        version=__version__,
        description="Sentence embeddings on CPUs, over OpenAI's embeddings API.",
        servers=[Server(url="./")],
        openapi_router=_NoPages("/docs", route_handlers=[]),
        use_handler_docstrings=True,
    )
