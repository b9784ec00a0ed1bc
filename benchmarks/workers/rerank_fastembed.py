"""fastembed's cross-encoder class with the model as a custom one.

It pads a batch in the order of arrival, so documents of mixed lengths go one by one.
"""

import numpy as np
import protocol
from fastembed.common.model_description import ModelSource
from fastembed.rerank.cross_encoder import TextCrossEncoder


def load(folder: str, file: str, threads: int, batch: int) -> protocol.Encode:
    """An ONNX file in a folder with its tokenizer."""
    TextCrossEncoder.add_custom_model(model="custom", sources=ModelSource(url="not used"), model_file=file)
    model = TextCrossEncoder("custom", specific_model_path=folder, threads=threads)
    return lambda texts: np.array(list(model.rerank(texts[0], texts[1:], batch_size=batch)))


if __name__ == "__main__":
    protocol.serve(load, ["fastembed", "onnxruntime", "tokenizers", "numpy"])
