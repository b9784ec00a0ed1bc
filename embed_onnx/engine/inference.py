"""What a lane runs: a model's encoder, and what is made of its states."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.outputs.finish import Finish
from embed_onnx.engine.sequence import TokenSequence

Results = TypeVar("Results", bound=Iterable[Any])


class Inference(Generic[Results]):
    """From sequences of token ids to a result for each. Thread-safe.

    Requests for the same object share packs, and what was measured of its speed. So a model has one for each
    way to make results of its states, for as long as it is loaded.
    """

    def __init__(self, encoder: Encoder, finish: Finish[Results]) -> None:
        self.pack_tokens = encoder.pack_tokens
        """The most tokens of several sequences in one pack; 0: one sequence a pack."""
        self._encoder = encoder
        self._finish = finish

    def empty(self, count: int) -> Results:
        """Room for so many results, which are set by their places."""
        return self._finish.empty(count)

    def run(self, sequences: Sequence[TokenSequence]) -> list[Any]:
        """A result for each sequence, in their order.

        Raises:
            InferenceFailed: ONNX Runtime failed, or a result is not finite.
        """
        packs = [sequences] if self.pack_tokens else [[sequence] for sequence in sequences]
        return [result for pack in packs for result in self._finish(self._encoder.states(pack), pack)]
