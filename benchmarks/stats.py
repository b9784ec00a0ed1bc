"""Medians and spreads, by numpy."""

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
    percentiles = {f"p{part}": rounded(np.percentile(together, part)) for part in (50, 95, 99)}
    return percentiles | {
        "p50_rounds": quartiles(p50s),
        "p99_rounds": quartiles(p99s),
        "requests": len(together),
    }


def rounded(value: float) -> float:
    """Four digits: more is noise."""
    return float(f"{value:.4g}")
