"""Logits of a pair of texts, or of one: its states are pooled and go through the head, the classifier."""

from collections.abc import Callable, Sequence

import numpy as np

from embed_onnx.artifact.outputs import Activation, Scores
from embed_onnx.engine.outputs import finish, pooling
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InferenceFailed


class ScoresFinish:
    """A ``Finish`` to logits, float32 [sequences, labels]. ``head`` makes those of one pooled vector."""

    def __init__(self, output: Scores, head: Callable[[Vector], Vector]) -> None:
        self._output = output
        self._head = head

    def empty(self, count: int) -> Vector:
        """Room for the logits of so many sequences."""
        return np.empty((count, len(self._output.labels)), np.float32)

    def __call__(self, states: States, pack: Sequence[TokenSequence]) -> Vector:
        """The logits of a pack's sequences.

        Raises:
            InferenceFailed: A logit is not finite.
        """
        # One at a time: in a batch, the last bits of a head's products would depend on their neighbours.
        logits = np.stack(
            [self._head(pooling.pool(part, self._output.pooling)) for part, _ in finish.parts(states, pack)]
        )
        if not np.isfinite(logits).all():
            longest = max(len(sequence) for sequence in pack)
            raise InferenceFailed(f"the model gave a score that is not finite, for up to {longest} tokens")
        return logits


def activated(logits: Vector, activation: Activation) -> Vector:
    """Scores of logits, [..., labels]; in float64 between, so that no exponential overflows its share."""
    exact = logits.astype(np.float64)
    match activation:
        case "sigmoid":
            # The exponential of a number below zero, on either side.
            small = np.exp(-np.abs(exact))
            scores = np.where(exact >= 0, 1, small) / (1 + small)
        case "softmax":
            powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
            scores = powers / powers.sum(axis=-1, keepdims=True)
        case "none":
            return logits
    rounded: Vector = scores.astype(np.float32)
    return rounded
