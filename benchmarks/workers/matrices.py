"""Token vectors, and what becomes of them: of texts, or at random where only their number matters."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WIDTH = 128
QUERY_VECTORS = 32


class Matrices:
    """Matrices [vectors, width], joined only where an array is needed: after what is timed."""

    def __init__(self, matrices: Sequence[Any]) -> None:
        self._matrices = matrices

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate([np.asarray(matrix) for matrix in self._matrices]).astype(np.float32)


class Stored:
    """A query and documents at random, unit vectors, which ``prepare`` makes an engine's own.

    A document has a vector for each word of its text, a [CLS], a marker and a [SEP]. All of a list is made
    once.
    """

    def __init__(self, prepare: Callable[[np.ndarray, list[np.ndarray]], Any]) -> None:
        self._prepare = prepare
        self._key: tuple[int, str] | None = None
        self._ready: Any = None

    def of(self, texts: list[str]) -> Any:
        """What was prepared, of the first text as the query and the others as documents."""
        key = len(texts), texts[-1]
        if key != self._key:
            rng = np.random.default_rng(len(texts))
            query = _units(rng, QUERY_VECTORS)
            self._ready = self._prepare(query, [_units(rng, len(text.split()) + 3) for text in texts[1:]])
            self._key = key
        return self._ready


def _units(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, WIDTH), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
