"""fastembed with the model as a custom one.

Its worker processes (``parallel``) load the model anew for every list, so they are left out.
"""

import numpy as np
import protocol
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType


def load(folder: str, file: str, threads: int, dimensions: int) -> protocol.Encode:
    """An ONNX file in a folder with its tokenizer."""
    TextEmbedding.add_custom_model(
        model="custom",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="not used"),
        dim=dimensions,
        model_file=file,
    )
    model = TextEmbedding("custom", specific_model_path=folder, threads=threads)
    return lambda texts: np.stack(list(model.embed(texts, batch_size=_batch(texts))))


def _batch(texts: list[str]) -> int:
    """Its default for like lengths; texts are padded in the order of arrival, so mixed ones go one by one."""
    return 256 if len({len(text.split()) for text in texts}) == 1 else 1


if __name__ == "__main__":
    protocol.serve(load, ["fastembed", "onnxruntime", "tokenizers", "numpy"])
