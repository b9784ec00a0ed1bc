"""What it says of its model, which here is the first that is served."""

import msgspec
from litestar.datastructures import State

from embed_onnx import __version__
from embed_onnx.artifact.outputs import Dense, Output, Sparse, TokenVectors
from embed_onnx.http.request import read
from embed_onnx.http.tei.errors import ERRORS
from embed_onnx.models import tasks
from embed_onnx.models.registry import Registry
from embed_onnx.models.request_tokenizer import TOKENIZERS
from embed_onnx.settings import Settings

POOLING = {"lasttoken": "last_token"}
"""Where its names are others than ours."""

SPLADE, NONE = "splade", "none"
"""Of sparse vectors, as text-embeddings-inference has it; of token vectors, of which it says nothing."""


class Pooling(msgspec.Struct, frozen=True):
    """How token states become a vector; several modes are joined with ``+``."""

    pooling: str


class Labels(msgspec.Struct, frozen=True):
    """What scores are of, by place and by name."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model is for: one of these."""

    embedding: Pooling | None = None
    reranker: Labels | None = None
    classifier: Labels | None = None


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """GET /info."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None = None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None = None
    docker_label: str | None = None


@read(
    "/info",
    tags=["text-embeddings-inference"],
    responses=ERRORS.responses(401),
    summary="Describe the first model, as text-embeddings-inference does",
)
async def info(state: State) -> Info:
    """The first model that is served, and what a request may hold."""
    registry: Registry = state.registry
    settings: Settings = state.settings
    _, manifest = registry.served(None)
    return Info(
        model_id=manifest.source.repo,
        model_sha=manifest.source.revision,
        model_dtype=manifest.precision,
        served_model_name=manifest.name,
        model_type=_model_type(manifest.output),
        # Neither is limited but by the tokens that may wait; a request has one at least.
        max_concurrent_requests=settings.queue_tokens,
        max_batch_tokens=settings.queue_tokens,
        max_input_length=manifest.max_tokens or settings.queue_tokens,
        max_client_batch_size=settings.max_inputs,
        auto_truncate=settings.truncate,
        tokenization_workers=TOKENIZERS,
        version=__version__,
    )


def _model_type(output: Output) -> ModelType:
    if isinstance(output, Dense):
        return ModelType(embedding=Pooling("+".join(POOLING.get(mode, mode) for mode in output.pooling)))
    if isinstance(output, Sparse):
        return ModelType(embedding=Pooling(SPLADE))
    if isinstance(output, TokenVectors):
        return ModelType(embedding=Pooling(NONE))
    labels = Labels(
        {str(place): label for place, label in enumerate(output.labels)},
        {label: place for place, label in enumerate(output.labels)},
    )
    return ModelType(reranker=labels) if "rerank" in tasks.of(output) else ModelType(classifier=labels)
