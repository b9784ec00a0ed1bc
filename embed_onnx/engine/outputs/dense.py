"""One vector a text: its states are pooled, go through the head, and are normalised and cut."""

from collections.abc import Callable, Sequence

import numpy as np

from embed_onnx.artifact.outputs import Dense
from embed_onnx.engine.outputs import finish, pooling
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector, normalize
from embed_onnx.errors import InferenceFailed


class DenseFinish:
    """A ``Finish`` to vectors, float32 [sequences, dimensions].

    ``head`` is what comes after the pooling, from one pooled vector to another. Without ``normalize``,
    vectors are those before the Normalize at the model's end, if there is one.
    """

    def __init__(self, output: Dense, head: Callable[[Vector], Vector], *, normalize: bool = True) -> None:
        self._output = output
        self._head = head
        self._normalize = normalize and output.normalize

    def empty(self, count: int) -> Vector:
        """Room for so many vectors."""
        return np.empty((count, self._output.dimensions), np.float32)

    def __call__(self, states: States, pack: Sequence[TokenSequence]) -> Vector:
        """The vectors of a pack's sequences, none of which is a prompt alone.

        Raises:
            InferenceFailed: A vector is not finite.
        """
        pooled = np.stack([self._pooled(*part) for part in finish.parts(states, pack)])
        if not np.isfinite(pooled).all():
            longest = max(len(sequence) for sequence in pack)
            raise InferenceFailed(f"the model gave a vector that is not finite, for up to {longest} tokens")
        vectors = normalize(pooled) if self._normalize else pooled
        return vectors[:, : self._output.dimensions]

    def _pooled(self, states: States, sequence: TokenSequence) -> Vector:
        # One at a time: in a batch, the last bits of a head's products would depend on their neighbours.
        return self._head(pooling.pool(states, self._output.pooling, skipped=sequence.prompt))
