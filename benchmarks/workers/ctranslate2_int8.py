"""CTranslate2 on int8 weights.

A list runs on a thread a core, each on batches of its own, and a single text on all of them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import ctranslate2
import lists
import numpy as np
import protocol


def load(folder: str, threads: int, max_tokens: int) -> protocol.Encode:
    """A folder with a tokenizer and, in ``ctranslate2``, the converted model."""
    words = lists.tokenizer(folder, max_tokens)
    alone = _run(f"{folder}/ctranslate2", replicas=1, threads=threads)
    laned = _run(f"{folder}/ctranslate2", replicas=threads, threads=1)
    pool = ThreadPoolExecutor(threads)

    def encode(texts: list[str]) -> np.ndarray:
        if len(texts) == 1:
            return lists.encode(texts, words, lambda batches: map(alone, batches), lanes=1)
        return lists.encode(texts, words, lambda batches: pool.map(laned, batches), lanes=threads)

    return encode


def _run(model: str, *, replicas: int, threads: int) -> Callable[[lists.Batch], np.ndarray]:
    """From a batch to its token states."""
    encoder = ctranslate2.Encoder(model, compute_type="int8", inter_threads=replicas, intra_threads=threads)

    def run(inputs: lists.Batch) -> np.ndarray:
        ids, lengths = (
            inputs["input_ids"].astype(np.int32),
            inputs["attention_mask"].sum(axis=1, dtype=np.int32),
        )
        view = ctranslate2.StorageView.from_array
        return np.array(encoder.forward_batch(view(ids), view(lengths)).last_hidden_state)

    return run


if __name__ == "__main__":
    protocol.serve(load, ["ctranslate2", "tokenizers", "numpy"])
