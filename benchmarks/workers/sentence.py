"""sentence-transformers, on PyTorch or on an ONNX file of its own making.

Lists are sorted by length and cut into batches by ``encode`` itself. PyTorch runs in float32: its
documentation gives bfloat16 for GPUs, and CPUs without AMX are slower with it.
"""

import onnxruntime
import protocol
import torch
from sentence_transformers import SentenceTransformer

BATCH = 8
"""For mixed lengths faster than the default of 32, which pads more; for equal lengths as fast."""


def load(folder: str, threads: int, file: str | None = None) -> protocol.Encode:
    """The checkpoint in ``folder``, or its ONNX ``file``, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu") if file is None else _onnx(folder, threads, file)
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


def _onnx(folder: str, threads: int, file: str) -> SentenceTransformer:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options_by_name = {"provider": "CPUExecutionProvider", "file_name": file, "session_options": options}
    return SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs=options_by_name)


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "transformers", "torch", "optimum-onnx", "onnxruntime"])
