"""report.json of a sparse model: the structs of its card."""

from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.outputs import SparseActivation, SparsePooling
from embed_onnx.artifact.parity import SparseParity
from embed_onnx_export.report.card import Measured, ModelFacts, Ranks, Report, Way


class SparseFacts(ModelFacts, frozen=True, kw_only=True):
    """What the model is. ``query_table``: its queries take no inference."""

    entries: int
    pooling: SparsePooling
    activation: SparseActivation
    query_table: bool
    prompts: dict[str, str]
    default_prompt: str | None
    similarity: str


class SparseScores(Ranks, frozen=True, kw_only=True):
    """What sparse vectors find of which at most ``max_active_dims`` weights are kept; None keeps all.

    ``active_dims`` is the mean number of a text's weights, by what is embedded: "query" and "document" of a
    retrieval task, "text" of sentences. ``bytes`` is the mean of a document or, without any, of a text.
    """

    max_active_dims: int | None
    active_dims: dict[str, float]
    bytes: float


class SparseRow(Way, frozen=True, kw_only=True):
    """One way to run the model. ``cosines`` are to the original, a text of ``parity`` each.

    ``parity`` has the figures of those that are not short. ``scores`` begin with all weights.
    """

    cosines: list[float]
    parity: SparseParity
    scores: list[SparseScores]


class SparseCard(Report, frozen=True, kw_only=True):
    """The report card of a sparse model."""

    format: int = 1
    model: SparseFacts
    measured: Measured
    original: SparseRow
    artifacts: dict[Precision, SparseRow]
