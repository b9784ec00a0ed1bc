"""The float32 graph, simplified by ONNX Runtime's optimizer for transformers.

Attention, skip-normalisation and bias-GELU fusions stay off: on CPUs the fused operators are slower than the
plain ones, or cannot be quantised as well; that of rotary positions would bring tables of 131,072 rows. What
is left is GELU, LayerNorm and the removal of what does nothing.
"""

from pathlib import Path

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
    model = optimize_model(str(path), "bert", opt_level=0, optimization_options=options)
    onnx_file.save(model.model, output)
