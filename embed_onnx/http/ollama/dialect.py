"""Ollama's dialect: embeddings, and what its clients read about models."""

from embed_onnx.http.dialect import Dialect
from embed_onnx.http.ollama import embed, models
from embed_onnx.http.ollama.errors import ERRORS

DIALECT = Dialect(
    errors=ERRORS,
    handlers=(
        embed.embed,
        embed.embed_prompt,
        models.list_tags,
        models.list_loaded,
        models.show_model,
        models.pull_model,
        models.show_version,
    ),
    prefix="/api/",
)
