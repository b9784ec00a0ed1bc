"""OpenVINO GenAI's text embedding pipeline, tokenizer and pooling included, on the int8 graph of NNCF.

The pipeline pads a list to its longest text, so lists are sorted by length and cut into batches here. One
pipeline of all cores was faster than one a core.
"""

import lists
import numpy as np
import openvino_genai
import protocol


def load(folder: str, threads: int, max_tokens: int) -> protocol.Encode:
    """A folder with ``openvino_model.xml`` and ``openvino_tokenizer.xml``."""
    config = openvino_genai.TextEmbeddingPipeline.Config()
    config.max_length = max_tokens
    config.pooling_type = openvino_genai.TextEmbeddingPipeline.PoolingType.MEAN
    config.normalize = True
    pipeline = openvino_genai.TextEmbeddingPipeline(folder, "CPU", config, INFERENCE_NUM_THREADS=threads)

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        equal = len({len(text.split()) for text in texts}) == 1
        size = lists.EQUAL_BATCH if equal else lists.MIXED_BATCH
        batches = [[texts[place] for place in order[at : at + size]] for at in range(0, len(order), size)]
        return np.concatenate([pipeline.embed_documents(batch) for batch in batches])[np.argsort(order)]

    return encode


if __name__ == "__main__":
    protocol.serve(load, ["openvino-genai", "openvino", "openvino-tokenizers", "numpy"])
