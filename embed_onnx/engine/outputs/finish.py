"""What each kind of output does with the states that a model gives."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from embed_onnx.engine.sequence import TokenSequence

States = NDArray[np.float32]
"""[tokens, width]; at least one token."""

Results_co = TypeVar("Results_co", covariant=True)
"""A result for each of some sequences, by their places."""


class Finish(Protocol[Results_co]):
    """From the states of a pack's tokens to a result for each of its sequences.

    It takes whole packs, as steps that numpy does for all of them at once take half the time. A result must
    not depend on the other sequences of its pack, to the bit.
    """

    def empty(self, count: int) -> Results_co:
        """Room for so many results, which are set by their places."""

    def __call__(self, states: States, pack: Sequence[TokenSequence]) -> Results_co:
        """The results of a pack, from the states of its sequences one after the other.

        Raises:
            InferenceFailed: A result is not finite.
        """


def parts(states: States, pack: Sequence[TokenSequence]) -> Iterator[tuple[States, TokenSequence]]:
    """The states of each sequence of a pack, and the sequence."""
    end = 0
    for sequence in pack:
        start, end = end, end + len(sequence)
        yield states[start:end], sequence
