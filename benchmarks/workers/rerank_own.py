"""embed-onnx in process as a reranker: ``Model.rank``."""

import numpy as np
import protocol

from embed_onnx import Model
from embed_onnx.engine import native


def load(artifact: str, threads: int) -> protocol.Encode:
    """An artifact folder, with a lane a core."""
    model = Model.load(artifact, threads=threads)

    def rank(texts: list[str]) -> np.ndarray:
        query, *documents = texts
        scores = np.empty(len(documents), np.float32)
        for result in model.rank(query, documents, raw_scores=True):
            scores[result.index] = result.score
        return scores

    return rank


if __name__ == "__main__":
    protocol.serve(load, ["embed-onnx", "onnxruntime", "numpy"], kernels=native.find().log_line)
