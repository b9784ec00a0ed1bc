"""MaxSim of stored vectors by embed-onnx: random ones, as many as texts have words."""

import protocol
from matrices import Stored

from embed_onnx.engine import maxsim, native


def load(threads: int) -> protocol.Encode:
    """The first text stands for the query, the others for documents."""
    native.find().set_threads(threads)
    stored = Stored(lambda query, documents: (query, documents))
    return lambda texts: maxsim.scores(*stored.of(texts))


if __name__ == "__main__":
    protocol.serve(load, ["embed-onnx", "numpy"], kernels=native.find().summary)
