"""Models without a transformer: a table of embeddings, and the mean of a text's rows."""

from pathlib import Path

import safetensors.torch
import tokenizers
import torch
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from embed_onnx.artifact.manifest import TOKENIZER
from embed_onnx.models.tokenizer import num_ids
from embed_onnx_export.checkpoint.tokenizer import write
from embed_onnx_export.errors import ExportError


def load(folder: Path) -> StaticEmbedding:
    """The module in a folder, with a table in float32.

    Raises:
        ExportError: The file has no table, or the table has not a row for each token.
    """
    path = folder / "model.safetensors"
    table = _table(path)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
    if table.ndim != 2 or len(table) < num_ids(tokenizer):
        raise ExportError(
            f"{path} has a table of the shape {tuple(table.shape)}, and the tokenizer ids up to "
            f"{num_ids(tokenizer) - 1}; save the two together again"
        )
    return StaticEmbedding(tokenizer, embedding_weights=table)


def _table(path: Path) -> torch.Tensor:
    """A row a token. Tables of model2vec may have fewer, a row's number for each token, and weights."""
    tensors = safetensors.torch.load_file(path)
    if "embedding.weight" in tensors:
        return tensors["embedding.weight"].float()
    if "embeddings" not in tensors:
        raise ExportError(
            f"{path} has {', '.join(tensors) or 'nothing'}, and neither embedding.weight nor embeddings; "
            "save the model again"
        )
    table = tensors["embeddings"].float()
    if "mapping" in tensors:
        table = table[tensors["mapping"].long()]
    if "weights" in tensors:
        table = table * tensors["weights"].float()[:, None]
    return table


def max_tokens(module: StaticEmbedding) -> int | None:
    """The limit that its tokenizer has, if any.

    Raises:
        ExportError: It cuts long texts at the left.
    """
    truncation = module.tokenizer.truncation
    if truncation is None:
        return None
    if truncation["direction"] != "right":
        raise ExportError(
            "the tokenizer cuts long texts at the left, which is not served; change tokenizer.json"
        )
    return int(truncation["max_length"])


def write_tokenizer(module: StaticEmbedding, folder: Path) -> None:
    """Write the tokenizer without its template: special tokens are not added to texts."""
    tokenizer = tokenizers.Tokenizer.from_str(module.tokenizer.to_str())
    tokenizer.post_processor = None
    write(tokenizer, folder)
