"""The Dense of a checkpoint in PyTorch, which parity is measured against."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from sentence_transformers.base.modules import Dense

from embed_onnx_export.checkpoint.module_files import SENTENCE, DenseConfig, decode
from embed_onnx_export.checkpoint.sources import CONFIG


class Residual(torch.nn.Module):
    """A Dense with ``use_residual``, of sentence-transformers 6: activation(W x + b) + R x.

    R is the identity where it changes no dimensions, and a matrix of its own otherwise.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(config.in_features, config.out_features, bias=config.bias)
        self.activation_function = getattr(torch.nn, config.activation())()
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


def load_dense(folder: Path, path: str) -> torch.nn.Module:
    """The Dense in a checkpoint's folder: that of sentence-transformers, or ours where it has a residual."""
    config = decode(folder / path / CONFIG, DenseConfig)
    if not config.use_residual:
        loaded: torch.nn.Module = Dense.load(str(folder), subfolder=path, local_files_only=True)
        return loaded
    module = Residual(config)
    safetensors.torch.load_model(module, folder / path / "model.safetensors")
    return module
