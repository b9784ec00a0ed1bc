"""Models without a transformer: a table of embeddings, and the mean of a text's rows.

input_ids int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]
"""

from pathlib import Path

import onnx
import safetensors.torch
import tokenizers
import torch
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from embed_onnx.artifact.manifest import TOKENIZER, Quantization
from embed_onnx.models.tokenizer import num_ids
from embed_onnx_export.checkpoint.tokenizer import write
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import quantize
from embed_onnx_export.graph.bert.functions import IR_VERSION, OPSET


def load(folder: Path) -> StaticEmbedding:
    """The module in a folder, with a table in float32.

    Raises:
        ExportError: The table is none, or does not have a row for each token.
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


def write_graph(module: StaticEmbedding, path: Path) -> None:
    """Write the look-up."""
    table = module.embedding.weight.detach().numpy()
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    shape = ["batch", "tokens", table.shape[1]]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)
    node = helper.make_node("Gather", ["embeddings", "input_ids"], ["last_hidden_state"])
    tensor = numpy_helper.from_array(table, "embeddings")
    graph = helper.make_graph([node], "static", [ids], [states], [tensor])
    opsets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)


def quantize_graph(path: Path, output: Path) -> Quantization:
    """Write the int8 form of a look-up; says how it was made."""
    return replace(
        quantize.quantize(path, output),
        weight_scales=None,
        activation_bits=None,
        activation_scales=None,
        no_kernel="it has no transformer",
    )


def write_tokenizer(module: StaticEmbedding, folder: Path) -> None:
    """Write the tokenizer without its template: special tokens are not added to texts."""
    tokenizer = tokenizers.Tokenizer.from_str(module.tokenizer.to_str())
    tokenizer.post_processor = None
    write(tokenizer, folder)
