"""The dialect of text-embeddings-inference: all of its routes that are served."""

from embed_onnx.http.dialect import Dialect
from embed_onnx.http.tei import embed, info, scores
from embed_onnx.http.tei.errors import ERRORS

DIALECT = Dialect(
    handlers=(
        embed.embed,
        embed.similarity,
        embed.root_methods,
        embed.embed_at_root,
        info.info,
        scores.rerank,
        scores.predict,
    ),
    errors=ERRORS,
)
