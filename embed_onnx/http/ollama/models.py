"""Ollama's routes about models: which are served, what they are, which are in memory, and pulling one.

Every model that is served is on disk already: to pull it succeeds at once, and to pull any other fails.
"""

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.enums import RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, Operation
from litestar.params import Body
from msgspec import Meta

from embed_onnx import __version__
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.outputs import Dense
from embed_onnx.errors import InvalidRequest
from embed_onnx.http.ollama.errors import ERRORS
from embed_onnx.http.request import read
from embed_onnx.models.catalog import LATEST, Catalog, Match
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings

FAMILY = "sentence-transformers"
FLOAT32_BYTES = 4
UNITS = (("B", 1e9), ("M", 1e6), ("K", 1e3))
"""Of numbers of parameters."""
NEVER = datetime(2300, 1, 1, tzinfo=UTC)
"""When a model leaves memory that is to stay there; Ollama's clients expect a time."""
NDJSON = "application/x-ndjson"
MODEL_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"model": "all-MiniLM-L6-v2"})]
)

Name = Annotated[str | None, Meta(description="A name or alias; `:latest` behind it changes nothing.")]


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What its clients show of a model; ``parent_model`` is the model behind an alias."""

    parent_model: Annotated[str, Meta(description="The model behind an alias; empty if the name is its own.")]
    format: Annotated[str, Meta(description="Always `onnx`.")] = "onnx"
    family: Annotated[str, Meta(description="Always `sentence-transformers`.")] = FAMILY
    families: Annotated[tuple[str, ...], Meta(description="The same in a list.")] = (FAMILY,)
    parameter_size: Annotated[str, Meta(description="The number of parameters, such as `22.6M`.")]
    quantization_level: Annotated[str, Meta(description="`int8` or `float32`.")]
    context_length: Annotated[
        int | None, Meta(description="The most tokens of a text; null if there is no limit.")
    ]
    embedding_length: Annotated[
        int | None, Meta(description="Dimensions; null if the model makes no vectors.")
    ]


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A name of a served model; ``size`` in bytes, ``digest`` the sha256 of its ``model.onnx``."""

    name: Annotated[str, Meta(description="The name, with a tag.")]
    model: Annotated[str, Meta(description="The same.")]
    modified_at: Annotated[datetime, Meta(description="When it was exported.")]
    size: Annotated[int, Meta(description="Bytes of its files.")]
    digest: Annotated[str, Meta(description="The sha256 of its `model.onnx`.")]
    details: Details


class Tags(msgspec.Struct, frozen=True):
    """GET /api/tags: an entry a name."""

    models: Annotated[list[Tag], Meta(description="An entry for each name.")]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory, and when it leaves it if no request uses it."""

    name: Annotated[str, Meta(description="The name, with a tag.")]
    model: Annotated[str, Meta(description="The same.")]
    size: Annotated[int, Meta(description="Bytes of its files.")]
    digest: Annotated[str, Meta(description="The sha256 of its `model.onnx`.")]
    details: Details
    expires_at: Annotated[
        datetime, Meta(description="When it leaves memory if no request uses it; the year 2300 if it stays.")
    ]
    size_vram: Annotated[int, Meta(description="Always 0: it uses no GPU.")] = 0
    context_length: Annotated[
        int | None, Meta(description="The most tokens of a text; null if there is no limit.")
    ]


class LoadedModels(msgspec.Struct, frozen=True):
    """GET /api/ps: an entry a model."""

    models: Annotated[list[Loaded], Meta(description="An entry for each model in memory.")]


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/show; ``name`` is what older clients call ``model``."""

    model: Name = None
    name: Name = None


class PullRequest(ModelRequest, frozen=True, kw_only=True):
    """POST /api/pull."""

    stream: Annotated[bool | None, Meta(description="Lines of JSON, as by default, or one object.")] = None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/show; ``model_info`` has the names that its clients look for."""

    details: Details
    model_info: Annotated[dict[str, str | int], Meta(description="Facts by the names that clients look for.")]
    capabilities: Annotated[tuple[str, ...], Meta(description="Always `embedding`.")] = ("embedding",)
    modified_at: Annotated[datetime, Meta(description="When it was exported.")]
    license: Annotated[str, Meta(description="As its checkpoint says.")]
    modelfile: Annotated[str, Meta(description="Always empty.")] = ""
    parameters: Annotated[str, Meta(description="Always empty.")] = ""
    template: Annotated[str, Meta(description="Always empty.")] = ""


class Progress(msgspec.Struct, frozen=True):
    """POST /api/pull: a line, or the whole answer."""

    status: Annotated[str, Meta(description="`success` at the end.")]


class Version(msgspec.Struct, frozen=True):
    """GET /api/version: this server's own."""

    version: Annotated[str, Meta(description="This server's own.")]


@read(
    "/api/tags",
    tags=["Ollama"],
    responses=ERRORS.responses(401),
    summary="List the models, as Ollama does",
)
async def list_tags(state: State) -> Tags:
    """Every name of a served model; aliases come last."""
    registry: Registry = state.registry
    return Tags([_tag(match, registry.catalog) for match in registry.catalog.entries()])


@read(
    "/api/ps",
    tags=["Ollama"],
    responses=ERRORS.responses(401),
    summary="List the models in memory, as Ollama does",
)
async def list_loaded(state: State) -> LoadedModels:
    """Every model that is in memory."""
    registry: Registry = state.registry
    settings: Settings = state.settings
    catalog = registry.catalog
    models = [match for match in catalog.entries() if match.name == match.served and match.model.files.loaded]
    return LoadedModels([_loaded(_tag(match, catalog), match, settings.idle_unload) for match in models])


@post(
    "/api/show",
    status_code=200,
    tags=["Ollama"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    summary="Describe a model, as Ollama does",
)
async def show_model(data: Annotated[ModelRequest, MODEL_BODY], state: State) -> Description:
    """One name of a served model."""
    registry: Registry = state.registry
    match = registry.catalog.find(_name(data))
    tag, facts = _tag(match, registry.catalog), match.model.manifest
    info: dict[str, str | int | None] = {
        "general.architecture": FAMILY,
        "general.basename": match.served,
        "general.parameter_count": _parameters(facts),
        f"{FAMILY}.context_length": facts.max_tokens,
        f"{FAMILY}.embedding_length": _width(facts),
    }
    return Description(
        details=tag.details,
        model_info={name: value for name, value in info.items() if value is not None},
        modified_at=tag.modified_at,
        license=facts.source.license or "",
    )


@dataclasses.dataclass
class PullOperation(Operation):
    """Its entry in /openapi.json: Litestar documents one media type a status, and this has two."""

    def __post_init__(self) -> None:
        responses: Any = self.responses
        content = responses["200"].content
        content[NDJSON] = content["application/json"]


@post(
    "/api/pull",
    status_code=200,
    operation_class=PullOperation,
    tags=["Ollama"],
    responses={
        200: ResponseSpec(Progress, description="The model is served.", generate_examples=False),
        **ERRORS.responses(401, 404, 413, 415, 503),
    },
    summary="Make sure that a model is served, as clients of Ollama do before they use it",
)
async def pull_model(data: Annotated[PullRequest, MODEL_BODY], state: State) -> Response[Progress | bytes]:
    """Succeeds for what is served; nothing is downloaded. With `stream`, one JSON object a line."""
    registry: Registry = state.registry
    registry.catalog.find(_name(data))
    if data.stream is False:
        return Response(Progress("success"))
    lines = [msgspec.json.encode(Progress(status)) for status in ("pulling manifest", "success")]
    return Response(b"\n".join([*lines, b""]), media_type=NDJSON)


@read(
    "/api/version",
    tags=["Ollama"],
    responses=ERRORS.responses(401),
    summary="The version of this server, where Ollama has its own",
)
async def show_version() -> Version:
    """The version of embed-onnx."""
    return Version(__version__)


def _name(data: ModelRequest) -> str:
    name = data.model or data.name
    if not name:
        raise InvalidRequest("model is missing; send the name of a model", param="model")
    return name


def _tag(match: Match, catalog: Catalog) -> Tag:
    facts = match.model.manifest
    name = _tagged(match.name, catalog)
    return Tag(
        name=name,
        model=name,
        modified_at=datetime.fromtimestamp(facts.created, UTC),
        size=match.model.files.file_bytes,
        digest=facts.sha256[manifest.MODEL],
        details=Details(
            parent_model="" if match.name == match.served else _tagged(match.served, catalog),
            parameter_size=_in_units(_parameters(facts)),
            quantization_level=facts.precision,
            context_length=facts.max_tokens,
            embedding_length=_width(facts),
        ),
    )


def _tagged(name: str, catalog: Catalog) -> str:
    """A name with a tag, as Ollama lists it; without one where ``:latest`` would mean something else."""
    if ":" in name:
        return name
    match = catalog.find(name + LATEST)
    return name + LATEST if (match.name, match.prompt_name) == (name, None) else name


def _loaded(tag: Tag, match: Match, idle_unload: float) -> Loaded:
    remaining = timedelta(seconds=match.model.files.last_used + idle_unload - time.monotonic())
    return Loaded(
        name=tag.name,
        model=tag.model,
        size=tag.size,
        digest=tag.digest,
        details=tag.details,
        expires_at=datetime.now(UTC) + remaining if idle_unload else NEVER,
        context_length=tag.details.context_length,
    )


def _width(facts: Manifest) -> int | None:
    """The length of a model's vectors, if it makes any."""
    return facts.output.dimensions if isinstance(facts.output, Dense) else None


def _parameters(facts: Manifest) -> int:
    """The number of parameters, nearly: the original's file holds little else."""
    return facts.float32_bytes // FLOAT32_BYTES


def _in_units(count: int) -> str:
    """A number of parameters as Ollama writes it: 22.7M."""
    unit, size = next((item for item in UNITS if count >= item[1]), ("", 1.0))
    return f"{count / size:.3g}{unit}"
