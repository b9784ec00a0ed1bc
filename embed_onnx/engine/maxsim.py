"""How well documents answer a query, of their token vectors (Khattab and Zaharia, ColBERT, 2020).

    score = sum over the query's tokens i of the maximum over the document's tokens j of q_i . d_j

In numpy, one dimension after the other: every product and sum is of single numbers, in an order that is thus
defined, whatever documents are beside each other. The last bits of a matrix product depend on its library and
on the sizes of its matrices.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from embed_onnx.engine.vectors import Vector

NO_TOKENS = -1e9
"""The score of a document without vectors, below all others, as Sentence-Transformers has it."""
TOKENS_AT_ONCE = 1024
"""Of documents: of fewer, the calls of numpy cost more than what they do; more do not stay in its cache."""


def score(query: Vector, document: Vector) -> float:
    """A float32, of vectors [query tokens, dimensions] and [document tokens, dimensions]."""
    return float(scores(query, [document])[0])


def scores(query: Vector, documents: Sequence[Vector]) -> Vector:
    """The score of each document, float32 [documents], of vectors as ``score`` takes them."""
    if not len(query):
        return np.zeros(len(documents), np.float32)
    results = np.full(len(documents), NO_TOKENS, np.float32)
    for places in _together(documents):
        products = _products(query, np.concatenate([documents[place] for place in places]))
        lengths = [len(documents[place]) for place in places]
        maxima = np.maximum.reduceat(products, np.cumsum([0, *lengths[:-1]]), axis=1)
        results[places] = np.add.accumulate(maxima, axis=0, dtype=np.float64)[-1]
    return results


def _products(query: Vector, document: Vector) -> Vector:
    """[query tokens, document tokens]."""
    products = np.zeros((len(query), len(document)), np.float32)
    term = np.empty_like(products)
    columns, rows = np.ascontiguousarray(query.T)[:, :, None], np.ascontiguousarray(document.T)
    for column, row in zip(columns, rows, strict=True):
        np.multiply(column, row, out=term)
        np.add(products, term, out=products)
    return products


def _together(documents: Sequence[Vector]) -> Iterator[list[int]]:
    """Places of documents that have vectors, so many that they have ``TOKENS_AT_ONCE``, or one of more."""
    places: list[int] = []
    tokens = 0
    for place, document in enumerate(documents):
        if places and tokens + len(document) > TOKENS_AT_ONCE:
            yield places
            places, tokens = [], 0
        if len(document):
            places.append(place)
            tokens += len(document)
    if places:
        yield places
