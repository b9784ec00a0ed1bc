"""The best graph of ONNX Runtime's own tools, without a framework around it.

Fused by its transformers optimizer, then quantised with a scale a channel. Lists run on one thread a core,
each on batches of its own; a single text runs on all cores at once.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import lists
import numpy as np
import onnxruntime
import protocol


def load(folder: str, file: str, threads: int, max_tokens: int, pairs: bool = False) -> protocol.Encode:
    """An ONNX file in a folder with its tokenizer; of a model that scores ``pairs`` or makes vectors."""
    words = lists.tokenizer(folder, max_tokens)
    results = lists.score if pairs else lists.encode
    alone, laned = (_session(f"{folder}/{file}", number) for number in (threads, 1))
    pool = ThreadPoolExecutor(threads)

    def encode(texts: list[str]) -> np.ndarray:
        if len(texts) == 1:
            return results(texts, words, lambda batches: map(alone, batches), lanes=1)
        return results(texts, words, lambda batches: pool.map(laned, batches), lanes=threads)

    return encode


def _session(path: str, threads: int) -> Callable[[lists.Batch], np.ndarray]:
    """From a batch to its output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]
    return lambda inputs: session.run(None, {name: inputs[name] for name in names})[0]


if __name__ == "__main__":
    protocol.serve(load, ["onnxruntime", "tokenizers", "numpy"])
