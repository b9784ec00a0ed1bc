"""fastembed's class for ColBERT; it has no custom models of that kind, so one is put on its list.

It pads a batch in the order of arrival, so documents of mixed lengths go one by one.
"""

import protocol
from fastembed import LateInteractionTextEmbedding
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.late_interaction import colbert
from matrices import WIDTH, Matrices


def load(folder: str, file: str, threads: int, batch: int, role: str) -> protocol.Encode:
    """An ONNX file in a folder with its tokenizer; it gives unit vectors."""
    colbert.supported_colbert_models.append(
        DenseModelDescription(
            model="custom",
            dim=WIDTH,
            description="",
            license="",
            size_in_GB=0,
            sources=ModelSource(url="not used"),
            model_file=file,
        )
    )
    model = LateInteractionTextEmbedding("custom", specific_model_path=folder, threads=threads)
    if role == "query":
        return lambda texts: Matrices(list(model.query_embed(texts)))
    return lambda texts: Matrices(list(model.embed(texts, batch_size=batch)))


if __name__ == "__main__":
    protocol.serve(load, ["fastembed", "onnxruntime", "tokenizers", "numpy"])
