"""llama.cpp on a GGUF file, by llama-cpp-python, which fills batches with the texts of a list by itself.

Attention is computed between all tokens of a batch, those of other texts masked out, so that larger batches
than these are slower; with texts sorted by length, fewer places stay empty.
"""

import lists
import numpy as np
import protocol
from llama_cpp import LLAMA_POOLING_TYPE_MEAN, Llama

BATCH_TOKENS = 256
"""As many as the longest text has; 512 took three times as long over mixed lengths."""


def load(folder: str, file: str, threads: int, max_tokens: int) -> protocol.Encode:
    """A GGUF file, its tokenizer inside; that of ``folder`` cuts long texts where other engines do."""
    words = lists.tokenizer(folder, max_tokens)
    model = Llama(
        file,
        embedding=True,
        pooling_type=LLAMA_POOLING_TYPE_MEAN,
        n_ctx=BATCH_TOKENS,
        n_batch=BATCH_TOKENS,
        n_ubatch=BATCH_TOKENS,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )

    def cut(text: str) -> str:
        if len(text) <= max_tokens:
            return text
        item = words.encode(text)
        return text[: item.offsets[-2][1]] if len(item.ids) == max_tokens else text

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        vectors = np.array(model.embed([cut(texts[place]) for place in order], normalize=True), np.float32)
        return vectors[np.argsort(order)]

    return encode


if __name__ == "__main__":
    protocol.serve(load, ["llama-cpp-python", "numpy"])
