"""embed-onnx in process; EMBED_ONNX_KERNELS in the environment chooses its kernels."""

import protocol

from embed_onnx import Model
from embed_onnx.engine import native


def load(artifact: str, threads: int) -> protocol.Encode:
    """An artifact folder, with a lane a core."""
    return Model.load(artifact, threads=threads).encode


if __name__ == "__main__":
    protocol.serve(load, ["embed-onnx", "onnxruntime", "numpy"], kernels=native.find().log_line)
