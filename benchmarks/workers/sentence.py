"""sentence-transformers on PyTorch.

Lists are sorted by length and cut into batches by ``encode`` itself. PyTorch runs in float32: its
documentation gives bfloat16 for GPUs, and CPUs without AMX are slower with it.
"""

import protocol
import torch
from sentence_transformers import SentenceTransformer

BATCH = 8
"""For mixed lengths faster than the default of 32, which pads more; for equal lengths as fast."""


def load(folder: str, threads: int) -> protocol.Encode:
    """The checkpoint in ``folder``, with as many threads as there are cores."""
    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu")
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "transformers", "torch"])
