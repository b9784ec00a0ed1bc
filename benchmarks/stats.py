"""Medians, spreads and scores, by numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Numbers = Sequence[float] | np.ndarray


def quartiles(values: Numbers) -> list[float]:
    """First quartile, median, third quartile."""
    return [rounded(value) for value in np.percentile(values, [25, 50, 75])]


def latencies(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Percentiles in milliseconds over all rounds together; quartiles of the rounds' own p50 and p99."""
    together = np.concatenate(rounds) * 1e3
    each = [np.percentile(np.asarray(one) * 1e3, [50, 99]) for one in rounds]
    p50s, p99s = zip(*each, strict=True)
    found = {f"p{part}": rounded(np.percentile(together, part)) for part in (50, 95, 99)}
    return found | {"p50_rounds": quartiles(p50s), "p99_rounds": quartiles(p99s), "requests": len(together)}


def rounded(value: float) -> float:
    """Four digits: more is noise."""
    return float(f"{value:.4g}")


def spearman(left: Numbers, right: Numbers) -> float:
    """Rank correlation; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: Numbers) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def ndcg(scores: np.ndarray, relevance: np.ndarray, at: int = 10) -> float:
    """The mean over queries of nDCG, for scores and gains [queries, documents]; every query has some gain."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :at]
    discounts = 1 / np.log2(np.arange(2, best.shape[1] + 2))
    gained = (np.take_along_axis(relevance, best, axis=1) * discounts).sum(axis=1)
    ideal = (-np.sort(-relevance, axis=1)[:, :at] * discounts).sum(axis=1)
    return float((gained / ideal).mean())
