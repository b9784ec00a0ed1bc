"""fastembed's class for SPLADE; it has no custom models of that kind, so one is put on its list.

It pads a batch in the order of arrival, so documents of mixed lengths go one by one.
"""

from typing import Any

import numpy as np
import protocol
from fastembed import SparseTextEmbedding
from fastembed.common.model_description import ModelSource, SparseModelDescription
from fastembed.sparse import splade_pp

ENTRIES = 30_522


class _Rows:
    """Its vectors, which become an array with all their zeros only where one is needed."""

    def __init__(self, vectors: list[Any]) -> None:
        self._vectors = vectors

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        table = np.zeros((len(self._vectors), ENTRIES), np.float32)
        for row, vector in zip(table, self._vectors, strict=True):
            row[vector.indices] = vector.values
        return table


def load(folder: str, file: str, threads: int, batch: int) -> protocol.Encode:
    """An ONNX file in a folder with its tokenizer."""
    splade_pp.supported_splade_models.append(
        SparseModelDescription(
            model="custom",
            vocab_size=ENTRIES,
            description="",
            license="",
            size_in_GB=0,
            sources=ModelSource(url="not used"),
            model_file=file,
        )
    )
    model = SparseTextEmbedding("custom", specific_model_path=folder, threads=threads)
    return lambda texts: _Rows(list(model.embed(texts, batch_size=batch)))


if __name__ == "__main__":
    protocol.serve(load, ["fastembed", "onnxruntime", "tokenizers", "numpy"])
