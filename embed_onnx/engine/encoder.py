"""Token ids in, vectors out. The only file that imports onnxruntime."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import HEAD, Manifest
from embed_onnx.engine import native, pooling
from embed_onnx.engine.native import Kernels
from embed_onnx.errors import ArtifactError, InferenceFailed
from embed_onnx.system import stop

ort.set_default_logger_severity(4)  # errors come as exceptions; warnings are of no use to a user

PACK_TOKENS = 96
"""The most tokens of several sequences in one run; more are hardly faster, and others wait for it longer."""
PACK_TOKENS_STATIC = 1024
"""The same for a table of embeddings, where that many take less than a millisecond."""


class Encoder:
    """An ONNX Runtime session, the pooling after it, and the modules after that. Thread-safe.

    A call uses its caller's core; the kernels use the idle ones as well if nobody else calls.

    With the kernels, sequences run together in one row, without padding. Without them, each runs by
    itself: the shape of a matrix product decides the order of its sums, so a text's last bits would
    depend on its neighbours otherwise. Looking up embeddings has no sums, and heads always run alone.

    ``path`` is that of model.onnx, beside which its head lies if it has one.
    """

    def __init__(self, path: Path, manifest: Manifest, kernels: Kernels | None = None) -> None:
        kernels = native.find() if kernels is None else kernels
        self.kernels = kernels.of(manifest)
        """What runs the model."""
        packed = PACK_TOKENS if self.kernels.library is not None else 0
        self.pack_tokens = PACK_TOKENS_STATIC if manifest.static else packed
        """The most tokens of several sequences in one call; 0: one sequence a call."""
        self.dimensions = manifest.output.dimensions
        self._modes = manifest.output.pooling
        self._normalize = manifest.output.normalize
        self._session = self._open(path)
        self._inputs = [argument.name for argument in self._session.get_inputs()]
        self._head = self._open(path.with_name(HEAD)) if manifest.head else None
        self._views: WeakValueDictionary[tuple[int, bool], _View] = WeakValueDictionary()
        """For as long as requests hold them; each holds this encoder, which must not hold itself."""

    def view(self, *, skipped: int, normalize: bool) -> "Encoder | _View":
        """This encoder as a request needs it.

        The first ``skipped`` tokens of each sequence are not pooled; without ``normalize``, the Normalize at
        the model's end, if there is one, is left out.
        """
        if not skipped and (normalize or not self._normalize):
            return self
        return self._views.setdefault((skipped, normalize), _View(self, skipped, normalize))

    def encode(
        self, sequences: Sequence[Sequence[int]], *, skipped: int = 0, normalize: bool = True
    ) -> pooling.Vector:
        """The vectors of token id sequences, each of more than ``skipped`` ids: float32 [n, dimensions].

        Without ``normalize``, those before the Normalize at the model's end, if there is one.

        Raises:
            InferenceFailed: ONNX Runtime failed, or a vector is not finite.
        """
        packs = [sequences] if self.pack_tokens else [[ids] for ids in sequences]
        vectors = np.stack([vector for pack in packs for vector in self._pooled(pack, skipped)])
        if not np.isfinite(vectors).all():
            longest = max(len(ids) for ids in sequences)
            raise InferenceFailed(f"the model gave a vector that is not finite, for up to {longest} tokens")
        if self._normalize and normalize:
            vectors = pooling.normalize(vectors)
        return pooling.cut(vectors, self.dimensions, renormalize=False)

    def _open(self, path: Path) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena would keep what the longest text once needed; no difference in speed was seen.
        options.enable_cpu_mem_arena = False
        if self.kernels.library is not None:
            self.kernels.choose()
            options.register_custom_ops_library(str(self.kernels.library))
        try:
            return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ArtifactError(f"{path} cannot be loaded: {err}; export the model again") from None

    def _pooled(self, pack: Sequence[Sequence[int]], skipped: int) -> Iterator[pooling.Vector]:
        """A vector, [width], for each sequence of a pack."""
        lengths = [len(ids) for ids in pack]
        states = self._states(
            np.concatenate([np.asarray(ids, np.int64) for ids in pack]),
            np.repeat(np.arange(1, len(pack) + 1), lengths),
        )
        ends = list(itertools.accumulate(lengths))
        for end, length in zip(ends, lengths, strict=True):
            yield self._after_pooling(pooling.pool(states[end - length : end], self._modes, skipped=skipped))

    def _states(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> pooling.States:
        """Ids and the number of the sequence that each is of, both [tokens], to states [tokens, width]."""
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            states = _run(self._session, {name: given[name][None] for name in self._inputs})
        except Exception as err:
            raise InferenceFailed(f"the model failed on {len(ids)} tokens: {err}") from err
        found: pooling.States = states[0]
        return found

    def _after_pooling(self, pooled: pooling.Vector) -> pooling.Vector:
        """One pooled vector through the head; in a batch, its last bits would depend on its neighbours."""
        if self._head is None:
            return pooled
        try:
            vectors = _run(self._head, {"pooled": pooled[None]})
        except Exception as err:
            raise InferenceFailed(f"the head failed on a vector of {len(pooled)} numbers: {err}") from err
        found: pooling.Vector = vectors[0]
        return found


def _run(session: ort.InferenceSession, given: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The one output of a session; ends after the node that it is at if the thread is asked to stop."""
    options = ort.RunOptions()

    def end() -> None:
        options.terminate = True

    with stop.ended_by(end):
        (output,) = session.run(None, given, options)
    found: NDArray[np.float32] = output
    return found


class _View:
    """An encoder as some requests need it: their prompt not pooled, or vectors from before Normalize."""

    def __init__(self, encoder: Encoder, skipped: int, normalize: bool) -> None:
        self.dimensions = encoder.dimensions
        self.pack_tokens = encoder.pack_tokens
        self._encoder = encoder
        self._skipped = skipped
        self._normalize = normalize

    def encode(self, sequences: Sequence[Sequence[int]]) -> pooling.Vector:
        """As ``Encoder.encode``."""
        return self._encoder.encode(sequences, skipped=self._skipped, normalize=self._normalize)
