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
from msgspec import Meta

from embed_onnx.artifact.outputs import Activation, Dense, Output, Scores, Similarity, Sparse, TokenVectors
from embed_onnx.artifact.parity import Parity, ScoreParity, SparseParity, TokenParity
from embed_onnx.engine.native import Kernels
from embed_onnx.http import answers
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.openai import clients
from embed_onnx.http.request import read
from embed_onnx.models import tasks
from embed_onnx.models.catalog import Catalog, Match
from embed_onnx.models.registry import Registry
from embed_onnx.models.tasks import Task


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a served model, as OpenAI lists it, with what an embedder's user wants to know.

    ``root`` is the model's own name, the same as ``id`` unless that is one of its ``aliases``. ``parity`` is
    that of what it runs on here; null if it was never measured.
    """

    id: Annotated[str, Meta(description="The name or alias.")]
    object: Annotated[Literal["model"], Meta(description="Always `model`.")] = "model"
    created: Annotated[int, Meta(description="When it was exported, as Unix time in seconds.")]
    owned_by: Annotated[
        str, Meta(description="Who owns the repository that it is from; `local` where it is none.")
    ]
    root: Annotated[str, Meta(description="The model's own name: another than `id` where that is an alias.")]
    aliases: Annotated[list[str], Meta(description="Its other names.")]
    tasks: Annotated[list[Task], Meta(description="What it can do.")]
    dimensions: Annotated[int | None, Meta(description="The length of its vectors; null of other models.")]
    entries: Annotated[
        int | None, Meta(description="Of the vocabulary that a sparse model weighs; null of others.")
    ]
    labels: Annotated[list[str] | None, Meta(description="What its scores are of; null of other models.")]
    activation: Annotated[
        Activation | None, Meta(description="What makes scores of logits in its checkpoint.")
    ]
    max_tokens: Annotated[
        int | None,
        Meta(description="The most tokens of a text, special ones included; null without a limit."),
    ]
    pooling: Annotated[list[str], Meta(description="How token states become a vector.")]
    precision: Annotated[str, Meta(description="`int8` or `float32`.")]
    bytes: Annotated[int, Meta(description="The size of the model's files on disk.")]
    exporter: Annotated[
        str | None,
        Meta(description="What wrote the graph; null before format 5 of the manifest."),
    ]
    reference: Annotated[str | None, Meta(description="What `parity` was measured against; null likewise.")]
    runs_on: Annotated[str, Meta(description="The kernels that run it here, or ONNX Runtime alone.")]
    parity: Annotated[
        Parity | None,
        Meta(
            description="How near its vectors are to the float32 original, for what runs it here; else null."
        ),
    ]
    score_parity: Annotated[ScoreParity | None, Meta(description="In its place, of a model that scores.")]
    sparse_parity: Annotated[SparseParity | None, Meta(description="In its place, of a sparse model.")]
    token_parity: Annotated[
        TokenParity | None, Meta(description="In its place, of a model of token vectors.")
    ]
    similarity: Annotated[
        Similarity | None,
        Meta(
            description="How a model of token vectors ranks: by `maxsim`, or `meanmaxsim`, which is divided "
            "by the number of the query's vectors; null of other models."
        ),
    ]
    prompts: Annotated[dict[str, str], Meta(description="Its stored prompts by name.")]
    default_prompt: Annotated[
        str | None, Meta(description="The one that is put before texts where none is named.")
    ]
    matryoshka: Annotated[
        tuple[int, ...], Meta(description="Lengths that it was trained to be cut to; others work as well.")
    ]


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    object: answers.ListObject = "list"
    data: Annotated[list[ModelCard], Meta(description="An entry a name; aliases come last.")]


class Dim(msgspec.Struct, frozen=True):
    """The length of a model's vectors."""

    dim: Annotated[int, Meta(description="The length of its vectors.")]


class SimpleModels(msgspec.Struct, frozen=True):
    """The models by name."""

    models: Annotated[dict[str, Dim], Meta(description="Every served model by its name.")]


class SimpleModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /models: the simple form."""

    data: Annotated[SimpleModels, Meta(description="The models.")]
    generated: Annotated[str, Meta(description="When the answer was made, in ISO 8601.")]
    id: answers.AnswerId


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
    request.scope["state"]["vary"] = ", ".join(clients.HEADERS)
    if clients.is_openai(request):
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
    sparse = output if isinstance(output, Sparse) else None
    engine = kernels.of(manifest)
    return ModelCard(
        id=match.name,
        created=manifest.created,
        owned_by=manifest.source.repo.partition("/")[0] if "/" in manifest.source.repo else "local",
        root=match.served,
        aliases=catalog.aliases(match.served),
        tasks=tasks.of(output),
        dimensions=output.dimensions if isinstance(output, Dense | TokenVectors) else None,
        entries=sparse.entries if sparse else None,
        labels=list(scores.labels) if scores else None,
        activation=scores.activation if scores else None,
        max_tokens=manifest.max_tokens,
        pooling=_pooling(output),
        precision=manifest.precision,
        bytes=match.model.files.file_bytes,
        exporter=manifest.exporter,
        reference=manifest.reference,
        runs_on=engine.runs_on,
        parity=engine.parity if isinstance(engine.parity, Parity) else None,
        score_parity=engine.parity if isinstance(engine.parity, ScoreParity) else None,
        sparse_parity=engine.parity if isinstance(engine.parity, SparseParity) else None,
        token_parity=engine.parity if isinstance(engine.parity, TokenParity) else None,
        similarity=output.similarity if isinstance(output, TokenVectors) else None,
        prompts=manifest.prompts,
        default_prompt=manifest.default_prompt,
        matryoshka=dense.matryoshka if dense else (),
    )


def _pooling(output: Output) -> list[str]:
    """How the states of a text's tokens become one; of token vectors, they do not."""
    if isinstance(output, TokenVectors):
        return []
    return [output.pooling] if isinstance(output, Sparse) else list(output.pooling)
