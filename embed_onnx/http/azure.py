"""The same routes where Azure OpenAI has them, and OpenAI's oldest clients: the path names the model.

A deployment's name is the model's, whatever ``model`` the body has: clients of Azure may send any word
there, as Azure does not read it. None of these paths is in /openapi.json, whose path parameters cannot hold
the ``/`` of a model's name.
"""

from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from embed_onnx.http import model_list, routes, wire
from embed_onnx.http.routes import EMBEDDING_BODY, ApiRequest, read

EMBEDDINGS = "/embeddings"
"""What follows the model's name in a path."""


@post(
    ["/openai/deployments/{target:path}", "/v1/engines/{target:path}", "/engines/{target:path}"],
    status_code=200,
    include_in_schema=False,
)
async def embed_with_deployment(
    data: Annotated[wire.EmbeddingRequest, EMBEDDING_BODY], request: ApiRequest, target: FromPath[str]
) -> Response[wire.EmbeddingResponse]:
    """Embed one input or many with the model that the path names.

    Raises:
        NotFoundException: The path names no model, or something else than embeddings.
    """
    name = str(target).removeprefix("/").removesuffix(EMBEDDINGS)
    if not name or not str(target).endswith(EMBEDDINGS):
        raise NotFoundException
    answer: Response[wire.EmbeddingResponse] = await routes.create_embeddings.fn(
        data=msgspec.structs.replace(data, model=name), request=request
    )
    return answer


embed = post("/openai/v1/embeddings", status_code=200, include_in_schema=False)(routes.create_embeddings.fn)
list_models = read(["/openai/models", "/openai/v1/models"], include_in_schema=False)(
    model_list.list_models.fn
)
describe_model = read(
    ["/openai/models/{model_id:path}", "/openai/v1/models/{model_id:path}"], include_in_schema=False
)(model_list.describe_model.fn)


def router() -> Router:
    """The routes, which ask for a key where the server has any."""
    return Router(
        "/",
        route_handlers=[embed_with_deployment, embed, list_models, describe_model],
        guards=[routes.require_key],
        request_class=ApiRequest,
    )
