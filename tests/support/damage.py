"""An artifact whose weights are no longer those of its checkpoint, and that does not show it."""

from pathlib import Path

import numpy as np
import onnx
from msgspec.structs import replace

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import MODEL


def spoil(folder: Path, share: float) -> None:
    """Move the weights of a float32 artifact by a share of their spread, and record the new sha256."""
    path, random = folder / MODEL, np.random.default_rng(3)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 2:
            moved = values + share * values.std() * random.normal(size=values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved.astype(np.float32), tensor.name))
    onnx.save(model, path)
    described = manifest.read(folder)
    manifest.write(replace(described, sha256={**described.sha256, MODEL: manifest.sha256(path)}), folder)
