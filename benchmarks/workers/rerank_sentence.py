"""sentence-transformers' ``CrossEncoder``: PyTorch in float32, or an int8 file of another of its backends.

``predict`` sorts pairs by their lengths and cuts them into batches by itself.
"""

import json
import sys
from typing import Any

import protocol
import torch
from sentence_transformers import CrossEncoder

PACKAGES = {
    "torch": [],
    "onnx": ["optimum-onnx", "onnxruntime"],
    "openvino": ["optimum-intel", "openvino"],
}
"""Of each backend, beside those of all."""


def load(folder: str, threads: int, batch: int, backend: str, file: str = "") -> protocol.Encode:
    """The checkpoint in ``folder``, or a ``file`` there, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    options = {"torch": _of_torch, "onnx": _of_onnx, "openvino": _of_openvino}[backend](file, threads)
    model = CrossEncoder(folder, device="cpu", backend=backend, model_kwargs=options)

    def score(texts: list[str]) -> Any:
        query, *documents = texts
        pairs = [(query, document) for document in documents]
        return model.predict(pairs, batch_size=batch, show_progress_bar=False)

    return score


def _of_torch(*_: object) -> dict[str, Any]:
    return {}


def _of_onnx(file: str, threads: int) -> dict[str, Any]:
    import onnxruntime  # each environment has one backend

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {"provider": "CPUExecutionProvider", "file_name": file, "session_options": options}


def _of_openvino(file: str, threads: int) -> dict[str, Any]:
    return {"file_name": file, "ov_config": {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}}


if __name__ == "__main__":
    backend = json.loads(sys.argv[1])["backend"]
    protocol.serve(load, ["sentence-transformers", "transformers", "torch", *PACKAGES[backend]])
