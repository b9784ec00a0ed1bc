"""The lists of models: OpenAI's, with an entry for every name, and the simple form.

``GET /models`` is the simple form and, for OpenAI's clients at a base URL without ``/v1``, theirs: both have
a field ``data``, of which one is a list and the other an object, so that no answer can be both.
"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Router
from litestar.datastructures import State
from litestar.params import PathParameter

from embed_onnx.engine.native import Kernels
from embed_onnx.http import routes, wire
from embed_onnx.http.routes import read
from embed_onnx.models.catalog import Catalog, Match
from embed_onnx.models.registry import Registry

CLIENT_HEADERS = ("x-stainless-lang", "user-agent")
"""By which OpenAI's clients are known: they all send the first but for the oldest ones and .NET's."""
CLIENT_NAME = "OpenAI/"
"""In the user agent of those that do not."""


@read("/v1/models", tags=["models"], responses=routes.errors(401), summary="List the models")
async def list_models(state: State) -> wire.ModelList:
    """Every name that a model is served under, with its dimensions, limits and prompts; aliases come last."""
    return _cards(state.registry)


@read(
    ["/v1/models/{model_id:path}", "/models/{model_id:path}"],
    tags=["models"],
    responses=routes.errors(401, 404),
    summary="Describe a model",
)
async def describe_model(
    model_id: Annotated[str, PathParameter(description="A name or alias; may contain `/`.")], state: State
) -> wire.ModelCard:
    """One entry of the list."""
    registry: Registry = state.registry
    catalog = registry.catalog
    return _card(catalog.find(str(model_id).removeprefix("/")), catalog, registry.kernels)


@read("/models", tags=["models"], responses=routes.errors(401), summary="List the models, in the simple form")
async def list_models_simply(
    request: Request[Any, Any, State], state: State
) -> wire.SimpleModelList | wire.ModelList:
    """Every served model with the length of its vectors; to OpenAI's clients, the list of `/v1/models`.

    They are known by their `x-stainless-lang` header, or by `OpenAI/` in their user agent.
    """
    registry: Registry = state.registry
    request.scope["state"]["vary"] = ", ".join(CLIENT_HEADERS)
    language, agent = (request.headers.get(name, "") for name in CLIENT_HEADERS)
    if language or CLIENT_NAME in agent:
        return _cards(registry)
    dims = {name: wire.Dim(manifest.output.dimensions) for name, manifest in registry.manifests.items()}
    return wire.SimpleModelList(
        data=wire.SimpleModels(dims), generated=datetime.now(UTC).isoformat(), id=str(uuid.uuid4())
    )


def _cards(registry: Registry) -> wire.ModelList:
    catalog = registry.catalog
    return wire.ModelList(data=[_card(match, catalog, registry.kernels) for match in catalog.entries()])


def _card(match: Match, catalog: Catalog, kernels: Kernels) -> wire.ModelCard:
    manifest = match.model.manifest
    engine = kernels.of(manifest)
    return wire.ModelCard(
        id=match.name,
        created=manifest.created,
        owned_by=manifest.source.repo.partition("/")[0] if "/" in manifest.source.repo else "local",
        root=match.served,
        aliases=catalog.aliases(match.served),
        dimensions=manifest.output.dimensions,
        max_tokens=manifest.max_tokens,
        pooling=list(manifest.output.pooling),
        precision=manifest.precision,
        runs_on=engine.runs_on,
        parity=engine.parity,
        prompts=manifest.prompts,
        default_prompt=manifest.default_prompt,
        matryoshka=manifest.output.matryoshka,
    )


def router() -> Router:
    """The routes, which ask for a key where the server has any."""
    return Router(
        "/", route_handlers=[list_models, describe_model, list_models_simply], guards=[routes.require_key]
    )
