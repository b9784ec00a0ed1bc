"""The float32 graph, simplified by ONNX Runtime's optimizer for transformers.

Attention, skip-normalisation and bias-GELU fusions stay off: on CPUs the fused operators are slower than the
plain ones, or cannot be quantised as well; that of rotary positions would bring tables of 131,072 rows. What
is left is GELU, LayerNorm and the removal of what does nothing. Weights that layers share, as ALBERT's do,
and that an exporter has transposed once for each, are one again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx
from onnx import numpy_helper
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from embed_onnx_export.graph import onnx_file


def optimize(path: Path, output: Path) -> None:
    """Write the simplified graph; it computes the same."""
    options = FusionOptions("bert")
    options.enable_attention = False
    options.enable_skip_layer_norm = False
    options.enable_bias_skip_layer_norm = False
    options.enable_embed_layer_norm = False
    options.enable_bias_gelu = False
    options.enable_rotary_embeddings = False
    model = optimize_model(str(path), "bert", opt_level=0, optimization_options=options).model
    _share(model.graph)
    onnx_file.save(model, output)


def _share(graph: onnx.GraphProto) -> None:
    """Keep the first of initializers that are equal to the last bit."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names = {}
    for tensor in graph.initializer:
        content = hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
        names[tensor.name] = first.setdefault((tensor.data_type, tuple(tensor.dims), content), tensor.name)
    _rename(graph.node, names)
    kept = [tensor for tensor in graph.initializer if names[tensor.name] == tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _rename(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    """Change the names of what nodes read, in the branches of an If too."""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            _rename(attribute.g.node, names)
