"""sentence-transformers on an ONNX file of its own making, in an environment that optimum-onnx can share."""

import onnxruntime
import protocol
import torch
from sentence_transformers import SentenceTransformer

BATCH = 8
"""As with PyTorch."""


def load(folder: str, threads: int, file: str) -> protocol.Encode:
    """The ONNX ``file`` of ``folder``, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options_by_name = {"provider": "CPUExecutionProvider", "file_name": file, "session_options": options}
    model = SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs=options_by_name)
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "transformers", "torch", "optimum-onnx", "onnxruntime"])
