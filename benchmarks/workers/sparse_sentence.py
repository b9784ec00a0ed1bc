"""sentence-transformers' ``SparseEncoder``: PyTorch in float32, or an int8 file of its ONNX backend."""

from typing import Any

import protocol
import torch
from sentence_transformers import SparseEncoder


def load(folder: str, threads: int, batch: int, file: str = "") -> protocol.Encode:
    """The checkpoint in ``folder``, or a ``file`` there, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    backend = "onnx" if file else "torch"
    model = SparseEncoder(
        folder, device="cpu", backend=backend, model_kwargs=_of_onnx(file, threads) if file else {}
    )

    def encode(texts: list[str]) -> Any:
        return _Rows(model.encode(texts, batch_size=batch, show_progress_bar=False))

    return encode


class _Rows:
    """A sparse tensor that becomes an array with all its zeros only where one is needed."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._rows.to_dense().numpy()


def _of_onnx(file: str, threads: int) -> dict[str, Any]:
    import onnxruntime  # of one of the environments

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {"provider": "CPUExecutionProvider", "file_name": file, "session_options": options}


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "transformers", "torch"])
