"""report.json of a model that scores texts: the structs of its card."""

from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.outputs import Activation
from embed_onnx.artifact.parity import ScoreParity
from embed_onnx.artifact.schema import Record
from embed_onnx_export.report.card import Conditions, ModelFacts, Report, Way


class ScoreFacts(ModelFacts, frozen=True, kw_only=True):
    """What the model is; ``pairs`` says whether it takes them."""

    labels: list[str]
    activation: Activation
    pairs: bool


class Ranking(Record, frozen=True, kw_only=True):
    """What the first stage gives a reranker: an embedder's best ``candidates`` documents for each query.

    ``ndcg`` is that of its own order, and ``recall`` the share of the documents sought that are among them.
    """

    first_stage: str
    candidates: int
    ndcg: float
    recall: float


class ScoreRow(Way, frozen=True, kw_only=True):
    """One way to run the model, each figure None where there was nothing to measure it with.

    ``parity`` is to the original, and ``agreement`` the share of its items whose best label is the
    original's. Of the pairs, ``score_difference`` is the largest to a score of the original.
    """

    parity: ScoreParity
    agreement: float | None
    spearman: float | None
    average_precision: float | None
    score_difference: float | None
    ndcg: float | None


class ScoreCard(Report, frozen=True, kw_only=True):
    """The report card of a model that scores."""

    format: int = 1
    model: ScoreFacts
    measured: Conditions
    ranking: Ranking | None
    original: ScoreRow
    artifacts: dict[Precision, ScoreRow]
