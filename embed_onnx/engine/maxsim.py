"""How well a document answers a query, of their token vectors (Khattab and Zaharia, ColBERT, 2020).

    score = sum over the query's tokens i of the maximum over the document's tokens j of q_i . d_j

In numpy, one dimension after the other: every product and sum is of single numbers, in an order that is thus
defined. The last bits of a matrix product depend on its library and on the sizes of its matrices.
"""

import numpy as np

from embed_onnx.engine.vectors import Vector

NO_TOKENS = -1e9
"""The score of a document without vectors, below all others, as Sentence-Transformers has it."""


def score(query: Vector, document: Vector) -> float:
    """A float32, of vectors [query tokens, dimensions] and [document tokens, dimensions]."""
    if not len(query):
        return 0.0
    if not len(document):
        return NO_TOKENS
    products = np.zeros((len(query), len(document)), np.float32)
    term = np.empty_like(products)
    columns, rows = np.ascontiguousarray(query.T)[:, :, None], np.ascontiguousarray(document.T)
    for column, row in zip(columns, rows, strict=True):
        np.multiply(column, row, out=term)
        np.add(products, term, out=products)
    sums = np.add.accumulate(products.max(axis=1), dtype=np.float64)
    return float(np.float32(sums[-1]))
