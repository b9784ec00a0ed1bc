"""sentence-transformers' ``MultiVectorEncoder`` on PyTorch in float32."""

import protocol
import torch
from matrices import Matrices
from sentence_transformers import MultiVectorEncoder


def load(folder: str, threads: int, batch: int, role: str) -> protocol.Encode:
    """The checkpoint in ``folder``, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    model = MultiVectorEncoder(folder, device="cpu")
    encode = model.encode_query if role == "query" else model.encode_document
    return lambda texts: Matrices(
        encode(texts, batch_size=batch, show_progress_bar=False, convert_to_numpy=True)
    )


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "transformers", "torch"])
