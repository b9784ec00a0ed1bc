"""Cohere's dialect: its routes."""

from embed_onnx.http.cohere import embed, rerank
from embed_onnx.http.dialect import Dialect
from embed_onnx.http.errors import OPENAI

DIALECT = Dialect(
    handlers=(embed.embed, embed.embed_v2, rerank.rerank, rerank.rerank_v2),
    errors=OPENAI,
)
