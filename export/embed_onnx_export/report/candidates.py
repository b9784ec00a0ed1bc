"""What a reranker ranks: the best documents of an embedder's artifact for each query of a retrieval task."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from embed_onnx.artifact import manifest
from embed_onnx.artifact.outputs import DOES, Dense
from embed_onnx.engine.vectors import normalize
from embed_onnx.models.inputs import Pair
from embed_onnx.models.model import Model
from embed_onnx_export.errors import ExportError
from embed_onnx_export.report import measure, scores, workload
from embed_onnx_export.report.datasets import Retrieval
from embed_onnx_export.report.score_card import Ranking
from embed_onnx_export.report.scores import Floats, Places
from embed_onnx_export.report.workload import Workload

CANDIDATES = 100
"""Documents a query."""
BEST = 10
"""Of these, how many are judged."""


class Candidates(msgspec.Struct, frozen=True):
    """The documents to rank, by their places, for each query; the best of the first stage come first."""

    task: Retrieval
    places: list[list[int]]

    @property
    def pairs(self) -> list[Pair]:
        """A query with each of its documents, one query after the other."""
        return [
            (query, self.task.documents[place])
            for query, places in zip(self.task.queries, self.places, strict=True)
            for place in places
        ]

    def ndcg(self, logits: Floats) -> float:
        """Of the documents ordered by the logits of ``pairs``, [pairs, 1]; of equal ones, the first."""
        ends = np.cumsum([len(places) for places in self.places])[:-1]
        ranked = []
        for places, row in zip(self.places, np.split(logits[:, 0], ends), strict=True):
            ranked.append([places[at] for at in np.argsort(-row, kind="stable")])
        return self._ndcg(ranked)

    def ranking(self, first_stage: str) -> Ranking:
        """The figures of the first stage alone."""
        return Ranking(
            first_stage=first_stage,
            candidates=CANDIDATES,
            ndcg=self._ndcg(self.places),
            recall=scores.recall(_table(self.places, CANDIDATES), self.task.gains),
        )

    def _ndcg(self, ranked: list[list[int]]) -> float:
        return scores.ndcg(_table(ranked, BEST), self.task.gains)


def find(task: Retrieval, folder: Path, advance: Callable[[int], None]) -> Candidates:
    """The candidates of the embedder in an artifact folder, which ranks by cosine.

    Raises:
        ArtifactError: The artifact is absent or damaged.
        ExportError: It is not an embedder.
    """
    output = manifest.read(folder).output
    if not isinstance(output, Dense):
        raise ExportError(
            f"--first-stage {folder.name} {DOES[type(output)]}; name the artifact of an embedder"
        )
    work = Workload({"query": task.queries, "document": task.documents}, "")
    with Model.load(folder) as model:
        vectors = workload.vectors(measure.of_artifact(model), work, advance, np.concatenate)
    queries, documents = (normalize(vectors[kind]) for kind in ("query", "document"))
    ranked = scores.nearest(queries, documents, task.same, CANDIDATES)
    return Candidates(
        task,
        [[int(at) for at in row if at != same] for row, same in zip(ranked, task.same, strict=True)],
    )


def _table(ranked: list[list[int]], at: int) -> Places:
    """The first places of each row, and -1, which stands for no document, where a row is shorter."""
    table = np.full((len(ranked), at), -1, np.intp)
    for row, places in zip(table, ranked, strict=True):
        row[: len(places)] = places[:at]
    return table
