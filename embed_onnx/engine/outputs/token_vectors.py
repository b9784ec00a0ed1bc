"""A vector for each token of a text: its states go through the head, one text at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from embed_onnx.artifact.outputs import TokenVectors
from embed_onnx.engine.outputs import finish
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector, normalize
from embed_onnx.errors import InferenceFailed


class TokenVectorsFinish:
    """A ``Finish`` to the vectors of all tokens, float32 [tokens, dimensions] each.

    ``head`` is what comes after the states of one sequence, [tokens, width].
    """

    def __init__(self, output: TokenVectors, head: Callable[[States], Vector]) -> None:
        self._output = output
        self._head = head
        self._nothing: Vector = np.empty((0, output.dimensions), np.float32)

    def empty(self, count: int) -> list[Vector]:
        """Room for so many."""
        return [self._nothing] * count

    def __call__(self, states: States, pack: Sequence[TokenSequence]) -> list[Vector]:
        """The vectors of the tokens of a pack's sequences.

        Raises:
            InferenceFailed: A vector is not finite.
        """
        # One at a time: the last bits of the head's products could depend on how many rows there are.
        return [self._vectors(part) for part, _ in finish.parts(states, pack)]

    def _vectors(self, states: States) -> Vector:
        vectors = self._head(states)
        if not np.isfinite(vectors).all():
            raise InferenceFailed(f"the model gave a vector that is not finite, for {len(states)} tokens")
        return normalize(vectors) if self._output.normalize else vectors.copy()
