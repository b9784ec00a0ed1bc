"""Models without a transformer: a table of embeddings, and the mean of a text's rows."""

from pathlib import Path

import numpy as np
import tokenizers

from embed_onnx.artifact.manifest import TOKENIZER
from embed_onnx.models.tokenizer import num_ids
from embed_onnx_export.checkpoint import tensors
from embed_onnx_export.checkpoint.description import First
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.int8 import Floats


def read(folder: Path) -> tuple[Floats, First]:
    """The table in a folder, float32 [tokens, width], and what is served of its tokenizer.

    Raises:
        ExportError: The file has no table, the table has not a row for each token, or the tokenizer cuts
            long texts at the left.
    """
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
    path = folder / tensors.SINGLE
    table = _table(path)
    if table.ndim != 2 or len(table) < num_ids(tokenizer):
        raise ExportError(
            f"{path} has a table of the shape {table.shape}, and the tokenizer ids up to "
            f"{num_ids(tokenizer) - 1}; save the two together again"
        )
    limit = _max_tokens(tokenizer)
    tokenizer.post_processor = None  # special tokens are not added to texts
    return table, First(text="StaticEmbedding", width=table.shape[1], max_tokens=limit, tokenizer=tokenizer)


def _table(path: Path) -> Floats:
    """A row a token. Tables of model2vec may have fewer, a row's number for each token, and weights."""
    arrays = tensors.read(path.parent)
    if "embedding.weight" in arrays:
        return arrays["embedding.weight"]
    if "embeddings" not in arrays:
        raise ExportError(
            f"{path} has {', '.join(arrays) or 'nothing'}, and neither embedding.weight nor embeddings; "
            "save the model again"
        )
    table: Floats = arrays["embeddings"]
    if "mapping" in arrays:
        table = table[arrays["mapping"].astype(np.int64)]
    if "weights" in arrays:
        table = table * arrays["weights"].astype(np.float32)[:, None]
    return table


def _max_tokens(tokenizer: tokenizers.Tokenizer) -> int | None:
    """The limit that the tokenizer has, if any; sentence-transformers leaves it on."""
    truncation = tokenizer.truncation
    if truncation is None:
        return None
    if truncation["direction"] != "right":
        raise ExportError(
            "the tokenizer cuts long texts at the left, which is not served; change tokenizer.json"
        )
    return int(truncation["max_length"])
