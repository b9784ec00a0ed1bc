"""What it says of its model, which here is the first that is served."""

from typing import Annotated

import msgspec
from litestar.datastructures import State
from msgspec import Meta

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

    pooling: Annotated[
        str, Meta(description="Such as `mean`, `cls` or `splade`; several are joined with `+`.")
    ]


class Labels(msgspec.Struct, frozen=True):
    """What scores are of, by place and by name."""

    id2label: Annotated[dict[str, str], Meta(description="Labels by their place.")]
    label2id: Annotated[dict[str, int], Meta(description="Places by their label.")]


class ModelType(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model is for: one of these."""

    embedding: Annotated[Pooling | None, Meta(description="For vectors.")] = None
    reranker: Annotated[Labels | None, Meta(description="For ranks.")] = None
    classifier: Annotated[Labels | None, Meta(description="For labels.")] = None


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """GET /info."""

    model_id: Annotated[str, Meta(description="The repository or folder that it was exported from.")]
    model_sha: Annotated[str | None, Meta(description="Its revision; null if it has none.")]
    model_dtype: Annotated[str, Meta(description="`int8` or `float32`.")]
    served_model_name: Annotated[str, Meta(description="The name to request it by.")]
    model_type: ModelType
    max_concurrent_requests: Annotated[
        int, Meta(description="As many as tokens may wait, as requests are not counted.")
    ]
    max_input_length: Annotated[int, Meta(description="The most tokens of a text.")]
    max_batch_tokens: Annotated[int, Meta(description="The most tokens that may wait.")]
    max_batch_requests: Annotated[int | None, Meta(description="Always null: there is no limit.")] = None
    max_client_batch_size: Annotated[int, Meta(description="The most inputs of a request.")]
    auto_truncate: Annotated[bool, Meta(description="Whether texts that are too long are cut by default.")]
    tokenization_workers: Annotated[int, Meta(description="Threads that tokenize.")]
    version: Annotated[str, Meta(description="This server's version.")]
    sha: Annotated[str | None, Meta(description="Always null.")] = None
    docker_label: Annotated[str | None, Meta(description="Always null.")] = None


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
