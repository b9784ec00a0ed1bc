"""The lists of models: OpenAI's, with an entry for every name, and the simple form.

``GET /models`` is the simple form and, for OpenAI's clients at a base URL without ``/v1``, theirs: both have
a field ``data``, of which one is a list and the other an object, so that no answer can be both.
"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.params import PathParameter

from embed_onnx.artifact.manifest import Activation, Dense, Parity, ScoreParity, Scores
from embed_onnx.engine.native import Kernels
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.request import read
from embed_onnx.models import tasks
from embed_onnx.models.catalog import Catalog, Match
from embed_onnx.models.registry import Registry
from embed_onnx.models.tasks import Task

CLIENT_HEADERS = ("x-stainless-lang", "user-agent")
"""By which OpenAI's clients are known: they all send the first but for the oldest ones and .NET's."""
CLIENT_NAME = "OpenAI/"
"""In the user agent of those that do not."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a served model, as OpenAI lists it, with what an embedder's user wants to know.

    ``root`` is the model's own name, the same as ``id`` unless that is one of its ``aliases``. ``parity`` is
    that of what it runs on here; null if it was never measured.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    root: str
    aliases: list[str]
    tasks: list[Task]
    """What it can do."""
    dimensions: int | None
    """Of its vectors; null of a model that scores."""
    labels: list[str] | None
    """Of its scores; null of a model of vectors."""
    activation: Activation | None
    """What makes scores of logits in its checkpoint."""
    max_tokens: int | None
    pooling: list[str]
    precision: str
    exporter: str | None
    """What wrote the graph; null if that was not recorded, as before format 5 of the manifest."""
    reference: str | None
    """What parity was measured against; null likewise."""
    runs_on: str
    parity: Parity | None
    score_parity: ScoreParity | None
    """In its place, of a model that scores."""
    prompts: dict[str, str]
    default_prompt: str | None
    matryoshka: tuple[int, ...]
    """Lengths that the model was trained to be cut to; others work as well."""


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Dim(msgspec.Struct, frozen=True):
    """The length of a model's vectors."""

    dim: int


class SimpleModels(msgspec.Struct, frozen=True):
    """The models by name."""

    models: dict[str, Dim]


class SimpleModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /models: the simple form."""

    data: SimpleModels
    generated: str
    id: str


@read("/v1/models", tags=["models"], responses=OPENAI.responses(401), summary="List the models")
async def list_models(state: State) -> ModelList:
    """Every name that a model is served under, with its dimensions, limits and prompts; aliases come last."""
    return _cards(state.registry)


@read(
    ["/v1/models/{model_id:path}", "/models/{model_id:path}"],
    tags=["models"],
    responses=OPENAI.responses(401, 404),
    summary="Describe a model",
)
async def describe_model(
    model_id: Annotated[str, PathParameter(description="A name or alias; may contain `/`.")], state: State
) -> ModelCard:
    """One entry of the list."""
    registry: Registry = state.registry
    catalog = registry.catalog
    return _card(catalog.find(str(model_id).removeprefix("/")), catalog, registry.kernels)


@read(
    "/models", tags=["models"], responses=OPENAI.responses(401), summary="List the models, in the simple form"
)
async def list_models_simply(request: Request[Any, Any, State], state: State) -> SimpleModelList | ModelList:
    """Every served model with the length of its vectors; to OpenAI's clients, the list of `/v1/models`.

    They are known by their `x-stainless-lang` header, or by `OpenAI/` in their user agent.
    """
    registry: Registry = state.registry
    request.scope["state"]["vary"] = ", ".join(CLIENT_HEADERS)
    language, agent = (request.headers.get(name, "") for name in CLIENT_HEADERS)
    if language or CLIENT_NAME in agent:
        return _cards(registry)
    dims = {
        name: Dim(manifest.output.dimensions)
        for name, manifest in registry.manifests.items()
        if isinstance(manifest.output, Dense)
    }
    return SimpleModelList(
        data=SimpleModels(dims), generated=datetime.now(UTC).isoformat(), id=str(uuid.uuid4())
    )


def _cards(registry: Registry) -> ModelList:
    catalog = registry.catalog
    return ModelList(data=[_card(match, catalog, registry.kernels) for match in catalog.entries()])


def _card(match: Match, catalog: Catalog, kernels: Kernels) -> ModelCard:
    manifest, output = match.model.manifest, match.model.manifest.output
    dense = output if isinstance(output, Dense) else None
    scores = output if isinstance(output, Scores) else None
    engine = kernels.of(manifest)
    return ModelCard(
        id=match.name,
        created=manifest.created,
        owned_by=manifest.source.repo.partition("/")[0] if "/" in manifest.source.repo else "local",
        root=match.served,
        aliases=catalog.aliases(match.served),
        tasks=tasks.of(output),
        dimensions=dense.dimensions if dense else None,
        labels=list(scores.labels) if scores else None,
        activation=scores.activation if scores else None,
        max_tokens=manifest.max_tokens,
        pooling=list(output.pooling),
        precision=manifest.precision,
        exporter=manifest.exporter,
        reference=manifest.reference,
        runs_on=engine.runs_on,
        parity=engine.parity if isinstance(engine.parity, Parity) else None,
        score_parity=engine.parity if isinstance(engine.parity, ScoreParity) else None,
        prompts=manifest.prompts,
        default_prompt=manifest.default_prompt,
        matryoshka=dense.matryoshka if dense else (),
    )
