"""Token ids in, vectors out. The only file that imports onnxruntime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from embed_onnx import pooling
from embed_onnx.errors import ArtifactError, InferenceFailed
from embed_onnx.manifest import Manifest

ort.set_default_logger_severity(3)  # warnings about graph details are of no use to a user


class Encoder:
    """An ONNX Runtime session and the pooling after it. Thread-safe; a call uses its caller's core.

    Each sequence runs by itself, without padding: the shape of a matrix product decides the order of
    its sums, so a text's last bits would depend on its neighbours otherwise.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ArtifactError(f"{path} cannot be loaded: {err}; export the model again") from None
        self._inputs = [argument.name for argument in self._session.get_inputs()]
        self._modes = manifest.pooling
        self._normalize = manifest.normalize
        self.dimensions = manifest.dimensions

    def encode(self, sequences: Sequence[Sequence[int]]) -> pooling.Vector:
        """The vectors of token id sequences, each of at least one id: float32 [n, dimensions].

        Raises:
            InferenceFailed: ONNX Runtime failed, or a vector is not finite.
        """
        vectors = np.stack([self._encode_one(np.array(ids, dtype=np.int64)) for ids in sequences])
        return pooling.normalize(vectors) if self._normalize else vectors

    def _encode_one(self, ids: np.ndarray) -> pooling.Vector:
        """[tokens] ids to [dimensions]."""
        given = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        try:
            (states,) = self._session.run(None, {name: given[name][None] for name in self._inputs})
        except Exception as err:
            raise InferenceFailed(f"the model failed on {len(ids)} tokens: {err}") from err
        vector = pooling.pool(states[0], self._modes)
        if not np.isfinite(vector).all():
            raise InferenceFailed(f"the model gave a vector that is not finite for {len(ids)} tokens")
        return vector
