"""What the card of a model of token vectors is made of: MaxSim of queries and documents by every engine.

The vectors of all queries are kept, but those of documents only until they are scored: a document of 200
tokens has 100 KB of them. What is kept of an engine is a score for each query with each document.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
from sentence_transformers import MultiVectorEncoder

from embed_onnx.engine import maxsim
from embed_onnx.engine.vectors import Vector
from embed_onnx.models.model import Model
from embed_onnx_export import parity, score_parity, token_parity
from embed_onnx_export.report import scores, texts, workload
from embed_onnx_export.report.datasets import Datasets, Retrieval
from embed_onnx_export.report.scores import Floats
from embed_onnx_export.report.token_card import TokenScores, TokenType

Embed = Callable[[str, Sequence[str]], list[Vector]]
"""From a role and texts to the token vectors of each, float32 [vectors, dimensions]."""


class Task(msgspec.Struct, frozen=True):
    """Queries, and the documents to rank for them; ``judged`` is what people find of them, if they do."""

    queries: list[str]
    documents: list[str]
    neighbours: str
    leave_out: Sequence[int]
    judged: Retrieval | None = None

    @property
    def count(self) -> int:
        """Of all texts."""
        return len(self.queries) + len(self.documents)


class Tables(msgspec.Struct, frozen=True):
    """MaxSim by type of numbers, each [queries, documents]; the mean numbers of vectors of a text."""

    scores: Mapping[TokenType, Floats]
    query_vectors: float
    document_vectors: float


def task(data: Datasets) -> Task:
    """That of the dataset or, without one, questions and texts of our own."""
    judged = data.retrieval
    if judged is not None:
        neighbours = f"the documents of {judged.name}, for its queries"
        return Task(judged.queries, judged.documents, neighbours, judged.same, judged)
    pairs = score_parity.pairs()
    queries = list(dict.fromkeys(query for query, _ in pairs))
    answers = [*(answer for _, answer in pairs), *parity.sentences()]
    documents = list(dict.fromkeys([*answers, *texts.sentences(workload.OWN_SENTENCES)]))
    return Task(queries, documents, "texts made up, for questions made up", [-1] * len(queries))


def of_original(model: MultiVectorEncoder, batch: int) -> Embed:
    """PyTorch, as a user of sentence-transformers calls it."""
    ways = {"query": model.encode_query, "document": model.encode_document}

    def embed(role: str, inputs: Sequence[str]) -> list[Vector]:
        vectors = ways[role](list(inputs), batch_size=batch, convert_to_numpy=True, show_progress_bar=False)
        return [np.asarray(rows, np.float32) for rows in vectors]

    return embed


def of_artifact(model: Model) -> Embed:
    """An artifact, as it serves queries and documents."""
    return lambda role, inputs: model.encode_tokens(list(inputs), prompt_name=role)


def vectors(embed: Embed, cases: token_parity.Cases) -> list[Vector]:
    """The token vectors of each text of cases."""
    results: list[Vector] = []
    for role in dict.fromkeys(cases.roles):
        pairs = zip(cases.roles, cases.texts, strict=True)
        results += embed(role, [text for its_role, text in pairs if its_role == role])
    return results


def tables(
    embed: Embed,
    task: Task,
    types: Sequence[TokenType],
    advance: Callable[[int], None],
) -> Tables:
    """The scores of all documents for all queries, in each of the types.

    Where the model has the mean over a query's tokens in place of the sum, the order is the same.
    """
    queries: list[Vector] = [np.empty((0, 0), np.float32)] * len(task.queries)
    for places in workload.steps(task.queries, len, advance):
        for place, rows in zip(places, embed("query", [task.queries[at] for at in places]), strict=True):
            queries[place] = rows
    scores: dict[TokenType, Floats] = {
        name: np.empty((len(queries), len(task.documents)), np.float32) for name in types
    }
    stored_queries = {name: _stored(queries, name) for name in types}
    number = 0
    for places in workload.steps(task.documents, len, advance):
        documents = embed("document", [task.documents[at] for at in places])
        number += sum(map(len, documents))
        for name, table in scores.items():
            stored = _stored(documents, name)
            for row, query in zip(table, stored_queries[name], strict=True):
                row[places] = maxsim.scores(query, stored)
    return Tables(scores, sum(map(len, queries)) / len(queries), number / len(task.documents))


def score(table: Floats, expected: Floats, task: Task) -> TokenScores:
    """What a table of scores finds, beside the original's."""
    ranked, others = (scores.best(_blocks(each), task.leave_out) for each in (table, expected))
    judged = task.judged
    rows = zip(table, expected, strict=True)
    return TokenScores(
        neighbours=scores.overlap(others, ranked),
        spearman=None,
        ndcg=None if judged is None else scores.ndcg(ranked, judged.gains),
        recall=None if judged is None else scores.recall(ranked, judged.gains),
        agreement=float(np.mean(ranked[:, 0] == others[:, 0])),
        rank_correlation=float(np.mean([token_parity.agreement(*pair) for pair in rows])),
    )


def _blocks(table: Floats) -> Iterator[Floats]:
    """Copies of some rows at a time."""
    return (table[block].copy() for block in scores.query_blocks(len(table)))


def _stored(vectors: Sequence[Vector], name: TokenType) -> Sequence[Vector]:
    """Vectors whose numbers have been of a type."""
    if name == "float32":
        return vectors
    return [rows.astype(np.float16).astype(np.float32) for rows in vectors]
