"""Sentence-Transformers as int8 ONNX on CPUs, served over the OpenAI embeddings API."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embed_onnx.models.model import Model

# ONNX Runtime's builds send usage data to their makers, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Model", "__version__"]


def __getattr__(name: str) -> object:
    """Import ``Model`` on first use, so that ``embed-onnx --help`` does not load onnxruntime."""
    if name == "Model":
        from embed_onnx.models.model import Model

        return Model
    raise AttributeError(f"module 'embed_onnx' has no attribute {name!r}")
