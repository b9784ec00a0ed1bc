"""The dialect of text-embeddings-inference: all of its routes that are served."""

from embed_onnx.http.dialect import Dialect
from embed_onnx.http.tei import embed, info, scores, sparse, token_vectors
from embed_onnx.http.tei.errors import ERRORS

DIALECT = Dialect(
    handlers=(
        embed.embed,
        embed.similarity,
        embed.root_methods,
        embed.embed_at_root,
        sparse.embed_sparse,
        token_vectors.embed_all,
        info.info,
        scores.rerank,
        scores.predict,
    ),
    errors=ERRORS,
)
