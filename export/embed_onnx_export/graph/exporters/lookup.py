"""The graph of a model without a transformer: a look-up in a table of embeddings.

input_ids int64 [batch, tokens] -> last_hidden_state float32 [batch, tokens, width]
"""

from pathlib import Path

import onnx
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.graph import quantize
from embed_onnx_export.graph.bert.functions import IR_VERSION, OPSET
from embed_onnx_export.graph.int8 import Floats


def write(table: Floats, path: Path) -> None:
    """Write the look-up in a table [tokens, width]."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    shape = ["batch", "tokens", table.shape[1]]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)
    node = helper.make_node("Gather", ["embeddings", "input_ids"], ["last_hidden_state"])
    tensor = numpy_helper.from_array(table, "embeddings")
    graph = helper.make_graph([node], "static", [ids], [states], [tensor])
    opsets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)


def quantize_table(path: Path, output: Path) -> Quantization:
    """Write the int8 form of a look-up; returns how it was made."""
    return replace(
        quantize.quantize(path, output), weight_scales=None, activation_bits=None, activation_scales=None
    )
