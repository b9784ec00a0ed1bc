"""The same routes at the paths of Azure OpenAI and of OpenAI's oldest clients, which name the model.

A deployment's name is the model's. The body's ``model`` is ignored: clients of Azure may send any word there,
as Azure does not read it. None of these paths is in /openapi.json, whose path parameters cannot hold the
``/`` of a model's name.
"""

from typing import Annotated

import msgspec
from litestar import post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from embed_onnx.http.openai.embeddings import (
    EMBEDDING_BODY,
    EmbeddingRequest,
    EmbeddingResponse,
    create_embeddings,
)
from embed_onnx.http.openai.models import describe_model, list_models
from embed_onnx.http.request import ApiRequest, read

EMBEDDINGS = "/embeddings"
"""What follows the model's name in a path."""


@post(
    ["/openai/deployments/{target:path}", "/v1/engines/{target:path}", "/engines/{target:path}"],
    status_code=200,
    include_in_schema=False,
)
async def embed_with_deployment(
    data: Annotated[EmbeddingRequest, EMBEDDING_BODY], request: ApiRequest, target: FromPath[str]
) -> EmbeddingResponse:
    """Embed one input or many with the model that the path names.

    Raises:
        NotFoundException: The path names no model, or something else than embeddings.
    """
    name = str(target).removeprefix("/").removesuffix(EMBEDDINGS)
    if not name or not str(target).endswith(EMBEDDINGS):
        raise NotFoundException
    answer: EmbeddingResponse = await create_embeddings.fn(
        data=msgspec.structs.replace(data, model=name), request=request
    )
    return answer


HANDLERS = (
    embed_with_deployment,
    post("/openai/v1/embeddings", status_code=200, include_in_schema=False)(create_embeddings.fn),
    read(["/openai/models", "/openai/v1/models"], include_in_schema=False)(list_models.fn),
    read(["/openai/models/{model_id:path}", "/openai/v1/models/{model_id:path}"], include_in_schema=False)(
        describe_model.fn
    ),
)
