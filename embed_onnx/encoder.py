"""Token ids in, vectors out. The only file that imports onnxruntime."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from embed_onnx import native, pooling
from embed_onnx.errors import ArtifactError, InferenceFailed
from embed_onnx.manifest import Manifest
from embed_onnx.native import Kernels

ort.set_default_logger_severity(4)  # errors come as exceptions; warnings are of no use to a user

PACK_TOKENS = 96
"""The most tokens of several sequences in one run; more are hardly faster, and others wait for it longer."""


class Encoder:
    """An ONNX Runtime session and the pooling after it. Thread-safe.

    A call uses its caller's core; the kernels use the idle ones as well if nobody else calls.

    With the kernels, sequences run together in one row, without padding. Without them, each runs by
    itself: the shape of a matrix product decides the order of its sums, so a text's last bits would
    depend on its neighbours otherwise.
    """

    def __init__(self, path: Path, manifest: Manifest, kernels: Kernels | None = None) -> None:
        kernels = native.find() if kernels is None else kernels
        self.kernels = kernels.of(manifest)
        """What runs the model."""
        self.pack_tokens = 0 if self.kernels.library is None else PACK_TOKENS
        """The most tokens of several sequences in one call; 0: one sequence a call."""
        self.dimensions = manifest.dimensions
        self._modes = manifest.pooling
        self._normalize = manifest.normalize
        try:
            self._session = self._open(path)
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ArtifactError(f"{path} cannot be loaded: {err}; export the model again") from None
        self._inputs = [argument.name for argument in self._session.get_inputs()]

    def encode(self, sequences: Sequence[Sequence[int]]) -> pooling.Vector:
        """The vectors of token id sequences, each of at least one id: float32 [n, dimensions].

        Raises:
            InferenceFailed: ONNX Runtime failed, or a vector is not finite.
        """
        packs = [sequences] if self.pack_tokens else [[ids] for ids in sequences]
        vectors = np.stack([vector for pack in packs for vector in self._pooled(pack)])
        if not np.isfinite(vectors).all():
            longest = max(len(ids) for ids in sequences)
            raise InferenceFailed(f"the model gave a vector that is not finite, for up to {longest} tokens")
        return pooling.normalize(vectors) if self._normalize else vectors

    def _open(self, path: Path) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena would keep what the longest text once needed; no difference in speed was seen.
        options.enable_cpu_mem_arena = False
        if self.kernels.library is not None:
            self.kernels.choose()
            options.register_custom_ops_library(str(self.kernels.library))
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def _pooled(self, pack: Sequence[Sequence[int]]) -> Iterator[pooling.Vector]:
        """A vector, [dimensions], for each sequence of a pack."""
        lengths = [len(ids) for ids in pack]
        states = self._states(
            np.concatenate([np.asarray(ids, np.int64) for ids in pack]),
            np.repeat(np.arange(1, len(pack) + 1), lengths),
        )
        ends = list(itertools.accumulate(lengths))
        for end, length in zip(ends, lengths, strict=True):
            yield pooling.pool(states[end - length : end], self._modes)

    def _states(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> pooling.States:
        """Ids and the number of the sequence that each is of, both [tokens], to states [tokens, width]."""
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            (states,) = self._session.run(None, {name: given[name][None] for name in self._inputs})
        except Exception as err:
            raise InferenceFailed(f"the model failed on {len(ids)} tokens: {err}") from err
        found: pooling.States = states[0]
        return found
