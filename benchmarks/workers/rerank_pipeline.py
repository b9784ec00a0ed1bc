"""OpenVINO GenAI's text rerank pipeline, tokenizer included, on the int8 graph of NNCF.

The pipeline pads a list to its longest pair, so documents are sorted by length and cut into batches here.
"""

import numpy as np
import openvino_genai
import protocol


def load(folder: str, threads: int, batch: int) -> protocol.Encode:
    """A folder with ``openvino_model.xml`` and ``openvino_tokenizer.xml``."""
    config = openvino_genai.TextRerankPipeline.Config()
    config.top_n = batch  # all of a batch
    pipeline = openvino_genai.TextRerankPipeline(folder, "CPU", config, INFERENCE_NUM_THREADS=threads)

    def score(texts: list[str]) -> np.ndarray:
        query, *documents = texts
        order = sorted(range(len(documents)), key=lambda place: -len(documents[place]))
        scores = np.empty(len(documents), np.float32)
        for at in range(0, len(order), batch):
            places = order[at : at + batch]
            for index, value in pipeline.rerank(query, [documents[place] for place in places]):
                scores[places[index]] = value
        return scores

    return score


if __name__ == "__main__":
    protocol.serve(load, ["openvino-genai", "openvino", "openvino-tokenizers", "numpy"])
