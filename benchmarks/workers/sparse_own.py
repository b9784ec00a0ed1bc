"""embed-onnx in process, a sparse model."""

from typing import Any

import numpy as np
import protocol

from embed_onnx import Model
from embed_onnx.engine import native
from embed_onnx.models.sparse import SparseRows


class Rows:
    """Sparse rows that become an array with all their zeros only where one is needed."""

    def __init__(self, rows: SparseRows) -> None:
        self._rows = rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """float32 [texts, entries]."""
        table = np.zeros(self._rows.shape, np.float32)
        for row, vector in zip(table, self._rows, strict=True):
            row[vector.indices] = vector.weights
        return table


def load(artifact: str, threads: int) -> protocol.Encode:
    """An artifact folder, with a lane a core."""
    model = Model.load(artifact, threads=threads)
    return lambda texts: Rows(model.encode_sparse(texts))


if __name__ == "__main__":
    protocol.serve(load, ["embed-onnx", "onnxruntime", "numpy"], kernels=native.find().log_line)
