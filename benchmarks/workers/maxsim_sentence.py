"""MaxSim of stored vectors by sentence-transformers, in PyTorch: random ones, as many as texts have words."""

from typing import Any

import numpy as np
import protocol
import torch
from matrices import Stored
from sentence_transformers.util import maxsim


def load(threads: int) -> protocol.Encode:
    """The first text stands for the query, the others for documents."""
    torch.set_num_threads(threads)
    stored = Stored(_tensors)
    return lambda texts: maxsim(*stored.of(texts))[0]


def _tensors(query: np.ndarray, documents: list[np.ndarray]) -> tuple[Any, Any]:
    """A tensor a document; of documents of one length, one in all."""
    each = [torch.from_numpy(document) for document in documents]
    alike = len({len(document) for document in documents}) == 1
    return torch.from_numpy(query)[None], torch.stack(each) if alike else each


if __name__ == "__main__":
    protocol.serve(load, ["sentence-transformers", "torch"])
