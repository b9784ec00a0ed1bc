"""head.onnx: what comes after the pooling, as one small float32 graph.

pooled float32 [1, width] -> vector float32 [1, dimensions]
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from sentence_transformers.base.modules import Dense

from embed_onnx_export.checkpoint.modules import SENTENCE, DenseConfig, decode
from embed_onnx_export.checkpoint.sources import CONFIG
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.bert.functions import OPSET


class Residual(torch.nn.Module):
    """A Dense with ``use_residual``, of sentence-transformers 6: activation(W x + b) + R x.

    R is the identity where it changes no dimensions, and a matrix of its own otherwise.
    """

    def __init__(self, config: DenseConfig, activation: Callable[[], torch.nn.Module]) -> None:
        super().__init__()
        self.in_features, self.out_features = config.in_features, config.out_features
        self.linear = torch.nn.Linear(config.in_features, config.out_features, bias=config.bias)
        self.activation_function = activation()
        if config.in_features != config.out_features:
            self.residual: torch.nn.Module = torch.nn.Linear(
                config.in_features, config.out_features, bias=False
            )
        else:
            self.residual = torch.nn.Identity()

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Replace the sentence's embedding [texts, in_features] by another, [texts, out_features]."""
        x = features[SENTENCE]
        return {**features, SENTENCE: self.activation_function(self.linear(x)) + self.residual(x)}

    def get_embedding_dimension(self) -> int:
        """The dimensions it gives, by the name that sentence-transformers knows."""
        return self.out_features


class _Head(torch.nn.Module):
    """Modules of sentence-transformers as a function of one tensor."""

    def __init__(self, modules: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.chain = torch.nn.ModuleList(modules)

    def forward(self, pooled: torch.Tensor) -> Any:
        features = {SENTENCE: pooled}
        for module in self.chain:
            features = module(features)
        return features[SENTENCE]


def load_dense(folder: Path, path: str) -> torch.nn.Module:
    """The Dense in a checkpoint's folder: that of sentence-transformers, or ours where it has a residual."""
    config = decode(folder / path / CONFIG, DenseConfig)
    activation = config.activation()
    if activation is None or not config.use_residual:
        loaded: torch.nn.Module = Dense.load(str(folder), subfolder=path, local_files_only=True)
        return loaded
    module = Residual(config, activation)
    safetensors.torch.load_model(module, folder / path / "model.safetensors")
    return module


def dimensions(modules: Sequence[torch.nn.Module], width: int) -> int:
    """What becomes of vectors of ``width`` numbers, as found by running one."""
    with torch.inference_mode():
        return int(_Head(modules).eval()(torch.zeros(1, width)).shape[-1])


def write(modules: Sequence[torch.nn.Module], width: int, path: Path) -> None:
    """Write modules that take vectors of ``width`` numbers.

    Raises:
        ExportError: One of their activations cannot be written as ONNX.
    """
    try:
        # The tracing exporter: it has every activation of torch, and takes no seconds to start.
        torch.onnx.export(
            _Head(modules).eval(),
            (torch.zeros(1, width),),
            path,
            opset_version=OPSET,
            dynamo=False,
            input_names=["pooled"],
            output_names=["vector"],
        )
    except torch.onnx.errors.OnnxExporterError as err:
        raise ExportError(
            f"what comes after the pooling cannot be exported: {err}; use another activation"
        ) from err
