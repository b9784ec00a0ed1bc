"""How well documents answer a query, of their token vectors (Khattab and Zaharia, ColBERT, 2020).

    score = sum over the query's tokens i of the maximum over the document's tokens j of q_i . d_j

A product is the sum of its terms in the order of the dimensions, each multiplied and added as single numbers:
so a score has the same bits whatever documents are beside each other, on every processor, by the native
kernel and without it. The last bits of a matrix product depend on its library and on the sizes of its
matrices. Numbers must be finite.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest

NO_TOKENS = -1e9
"""The score of a document without vectors, below all others, as Sentence-Transformers has it."""
TOKENS_AT_ONCE = 1024
"""Of documents, without the kernel: of fewer, the calls of numpy cost more than what they do; more do not
stay in its cache."""
DOCUMENT = np.dtype([("vectors", np.uintp), ("count", np.intc)], align=True)
"""What the kernel takes of each document: the address of its numbers, and how many vectors they are."""


def score(query: Vector, document: Vector) -> float:
    """A float32, of vectors [query tokens, dimensions] and [document tokens, dimensions]."""
    return float(scores(query, [document])[0])


def scores(query: Vector, documents: Sequence[Vector], kernels: Kernels | None = None) -> Vector:
    """The score of each document, float32 [documents], of vectors as ``score`` takes them.

    ``kernels`` are those of ``native.find()`` by default; the bits are the same without any. Releases the
    GIL, and helpers of the native kernels share the work where nothing else runs.

    Raises:
        InvalidRequest: The query is not a matrix, or a document's vectors have other dimensions.
        MemoryError: There is none for the kernel's copy of the query.
    """
    if query.ndim != 2:
        raise InvalidRequest(f"vectors of the query are {list(query.shape)}; give [query tokens, dimensions]")
    for place, document in enumerate(documents):
        if document.shape[1:] != query.shape[1:]:
            raise InvalidRequest(
                f"vectors of documents[{place}] are {list(document.shape)} and those of the query "
                f"{list(query.shape)}; give as many dimensions to both"
            )
    if not len(query):
        return np.zeros(len(documents), np.float32)
    results = np.full(len(documents), NO_TOKENS, np.float32)
    query, documents = _floats(query), [_floats(document) for document in documents]
    kernel = (kernels or native.find()).maxsim()
    if kernel is None:
        _score(query, documents, results)
        return results
    table = np.array([(document.ctypes.data, len(document)) for document in documents], DOCUMENT)
    if not kernel(query.ctypes.data, *query.shape, table.ctypes.data, len(table), results.ctypes.data):
        raise MemoryError(f"there is no memory to score {len(documents)} documents")
    return results


def _floats(vectors: Vector) -> Vector:
    return np.ascontiguousarray(vectors, np.float32)


def _score(query: Vector, documents: Sequence[Vector], results: Vector) -> None:
    """Write the score of each document that has vectors into ``results``, by numpy."""
    for places in _together(documents):
        products = _products(query, np.concatenate([documents[place] for place in places]))
        lengths = [len(documents[place]) for place in places]
        maxima = np.maximum.reduceat(products, np.cumsum([0, *lengths[:-1]]), axis=1)
        results[places] = np.add.accumulate(maxima, axis=0, dtype=np.float64)[-1]


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
