"""How near vectors are to one another."""

import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph.int8 import Floats


def cosines(rows: Floats, others: Floats) -> NDArray[np.float64]:
    """The cosine of each row to the same row of the other side, [texts]; 1 of two zero vectors, 0 of one."""
    squares, other_squares = _products(rows, rows), _products(others, others)
    lengths: NDArray[np.float64] = np.sqrt(squares * other_squares)
    results: NDArray[np.float64] = (squares == other_squares).astype(np.float64)
    np.divide(_products(rows, others), lengths, out=results, where=lengths != 0)
    return results


def _products(rows: Floats, others: Floats) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.einsum("td,td->t", rows, others, dtype=np.float64)
    return products
