"""Scores of rankings: Spearman, neighbours that are shared, nDCG, recall."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float32]
"""Vectors [texts, dimensions]."""
Places = NDArray[np.intp]
"""Places of documents, [queries, at], the best first."""
Gains = Sequence[Mapping[int, float]]
"""Of each query, the documents that answer it, by place, and how well: above 0, at least one each."""

QUERIES_A_BLOCK = 256
"""Ranked in one go, so that memory does not grow with queries times documents."""


def spearman(values: Sequence[float] | NDArray[Any], others: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1, by scipy: equal values share the mean of their ranks."""
    return float(stats.spearmanr(values, others).statistic)


def average_precision(values: NDArray[np.float32], labels: Sequence[float]) -> float | None:
    """The precision down to each pair that fits, 0 to 1, a mean over these; None unless labels are 0 and 1.

    Equal values stand at one rank, the last of theirs, as in scikit-learn's ``average_precision_score``.
    """
    if set(labels) != {0.0, 1.0}:
        return None
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=np.nan))
    hits = np.cumsum(np.array(labels)[order])[ends]
    return float(np.diff(hits, prepend=0) @ (hits / (ends + 1)) / hits[-1])


def nearest(queries: Floats, documents: Floats, leave_out: Sequence[int], at: int = 10) -> Places:
    """The ``at`` documents with the largest products with each query, as ``best`` has them."""
    products = (queries[block] @ documents.T for block in query_blocks(len(queries)))
    return best(products, leave_out, at)


def best(blocks: Iterable[Floats], leave_out: Sequence[int], at: int = 10) -> Places:
    """The ``at`` documents with the largest scores for each query; of equal ones, the first.

    ``blocks`` are scores [queries, documents] of some queries, which are written to, one block after the
    other. ``leave_out`` has a document for each query that is not ranked, or -1.
    """
    remaining = iter(leave_out)
    ranked = []
    for block in blocks:
        for row in block:
            document = next(remaining)
            if document >= 0:
                row[document] = -np.inf
        ranked.append(np.argsort(-block, axis=1, kind="stable")[:, :at])
    return np.concatenate(ranked)


def query_blocks(count: int) -> Iterator[slice]:
    """The slices of so many queries that are ranked in one go."""
    return (slice(first, first + QUERIES_A_BLOCK) for first in range(0, count, QUERIES_A_BLOCK))


def overlap(one: Places, other: Places) -> float:
    """The share of one ranking's places that the other has, in whatever order; a mean over queries."""
    return float(
        np.mean([len(np.intersect1d(*pair)) / one.shape[1] for pair in zip(one, other, strict=True)])
    )


def ndcg(ranked: Places, gains: Gains) -> float:
    """Normalised discounted cumulative gain of the ranked places; a mean over queries.

    Gains count as they are, over log2(1 + rank): Järvelin and Kekäläinen, "Cumulated gain-based evaluation of
    IR techniques", 2002, in the form of trec_eval's ``ndcg_cut``, which BEIR reports.
    """
    discounts = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    results = []
    for row, gain in zip(ranked, gains, strict=True):
        ideal = np.array(sorted(gain.values(), reverse=True)[: len(row)])
        gained = np.array([gain.get(int(place), 0) for place in row])
        results.append((gained @ discounts) / (ideal @ discounts[: len(ideal)]))
    return float(np.mean(results))


def recall(ranked: Places, gains: Gains) -> float:
    """The share of a query's documents that are among the ranked places; a mean over queries."""
    shares = [
        len(gain.keys() & set(row.tolist())) / len(gain) for row, gain in zip(ranked, gains, strict=True)
    ]
    return float(np.mean(shares))
