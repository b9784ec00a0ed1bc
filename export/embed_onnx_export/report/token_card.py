"""report.json of a model of token vectors: the structs of its card."""

from typing import Literal

from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.outputs import Similarity
from embed_onnx.artifact.parity import TokenParity
from embed_onnx.artifact.schema import Record
from embed_onnx_export.report.card import Measured, ModelFacts, Ranks, Report, Way

TokenType = Literal["float32", "float16"]
"""The types of numbers that requests may ask for."""


class TokenFacts(ModelFacts, frozen=True, kw_only=True):
    """What the model is; ``query_tokens`` and ``document_tokens`` are the most of a text with its prompt.

    ``expanded_tokens`` is how long queries become by mask tokens, None where they do not.
    """

    dimensions: int
    similarity: Similarity
    query_tokens: int
    document_tokens: int
    expanded_tokens: int | None
    prompts: dict[str, str]


class TokenMeasured(Measured, frozen=True, kw_only=True):
    """With what the model was measured; the means of the vectors of a query and of a document."""

    query_vectors: float
    document_vectors: float


class TokenScores(Ranks, frozen=True, kw_only=True):
    """What MaxSim finds, and how far it agrees with the original's.

    ``agreement`` is the share of queries whose best document is the original's, and ``rank_correlation``
    Spearman's of all documents of a query, by their scores and by the original's, a mean over queries.
    """

    agreement: float
    rank_correlation: float


class TokenRow(Way, frozen=True, kw_only=True):
    """One way to run the model. ``cosines`` are the means of a text's token vectors, of ``parity`` texts."""

    cosines: list[float]
    parity: TokenParity
    scores: TokenScores


class SmallerTokens(Record, frozen=True, kw_only=True):
    """This artifact's vectors in a type of numbers; ``bytes`` are those of a document, a mean."""

    dtype: TokenType
    bytes: float
    scores: TokenScores


class TokenCard(Report, frozen=True, kw_only=True):
    """The report card of a model of token vectors; ``types`` begin with float32."""

    format: int = 1
    model: TokenFacts
    measured: TokenMeasured
    original: TokenRow
    artifacts: dict[Precision, TokenRow]
    types: list[SmallerTokens]
