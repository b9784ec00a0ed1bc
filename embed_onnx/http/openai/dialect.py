"""OpenAI's dialect: its routes, in every place where its clients and Azure's look for them."""

from embed_onnx.http.dialect import Dialect
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.openai import azure, embeddings, models, sparse, token_vectors, tokenize

DIALECT = Dialect(
    errors=OPENAI,
    handlers=(
        embeddings.create_embeddings,
        sparse.create_sparse_embeddings,
        token_vectors.create_token_embeddings,
        tokenize.tokenize,
        models.list_models,
        models.describe_model,
        models.list_models_simply,
        *azure.HANDLERS,
    ),
)
