"""Sentence-Transformers as int8 ONNX on CPUs, served over the OpenAI embeddings API."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embed_onnx.model import Model

__version__ = "0.1.0"
__all__ = ["Model", "__version__"]


def __getattr__(name: str) -> object:
    """Import ``Model`` on first use, so that ``embed-onnx --help`` does not load onnxruntime."""
    if name == "Model":
        from embed_onnx.model import Model

        return Model
    raise AttributeError(f"module 'embed_onnx' has no attribute {name!r}")
