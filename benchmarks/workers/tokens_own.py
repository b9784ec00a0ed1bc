"""embed-onnx in process, a model of token vectors."""

import protocol
from matrices import Matrices

from embed_onnx import Model
from embed_onnx.engine import native


def load(artifact: str, threads: int, role: str) -> protocol.Encode:
    """An artifact folder, with a lane a core; ``role`` is that of the texts, query or document."""
    model = Model.load(artifact, threads=threads)
    return lambda texts: Matrices(model.encode_tokens(texts, prompt_name=role))


if __name__ == "__main__":
    protocol.serve(load, ["embed-onnx", "onnxruntime", "numpy"], kernels=native.find().log_line)
