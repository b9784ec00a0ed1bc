"""A weight for each of some entries of the vocabulary: of scores of them all, those above zero are kept."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.outputs import Sparse
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InferenceFailed

Head = Callable[[States, Sequence[TokenSequence]], Vector]
"""From the states of a pack to a number for each entry of each of its sequences, [sequences, entries]."""


class SparseVector(msgspec.Struct, frozen=True):
    """``indices`` of entries, int32 [n], ascending, and their ``weights``, float32 [n], all above zero."""

    indices: NDArray[np.int32]
    weights: Vector


NOTHING = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))
"""The vector without weights."""


class SparseFinish:
    """A ``Finish`` to sparse vectors; ``head`` gives what weights are made of."""

    def __init__(self, output: Sparse, head: Head) -> None:
        self._head = head
        self._logarithms = 0 if output.pooling == "sum" else 2 if output.activation == "log1p_relu" else 1

    def empty(self, count: int) -> list[SparseVector]:
        """Room for so many."""
        return [NOTHING] * count

    def __call__(self, states: States, pack: Sequence[TokenSequence]) -> list[SparseVector]:
        """The sparse vectors of a pack's sequences.

        Raises:
            InferenceFailed: A state or a weight is not finite.
        """
        rows = self._head(states, pack)
        # A maximum passes over what is not a number, so the states are looked at as well.
        if not (np.isfinite(states).all() and np.isfinite(rows).all()):
            longest = max(len(sequence) for sequence in pack)
            raise InferenceFailed(f"the model gave a weight that is not finite, for up to {longest} tokens")
        return [self._vector(row) for row in rows]

    def _vector(self, row: Vector) -> SparseVector:
        indices = np.flatnonzero(row > 0)
        weights = row[indices].astype(np.float64)  # as its logarithm does not depend on the build of numpy
        for _ in range(self._logarithms):
            weights = np.log1p(weights)
        return SparseVector(indices.astype(np.int32), weights.astype(np.float32))
