"""The sequences of one request, equal ones computed once, and their results shared out by place.

A result does not depend on what else is computed, so it is the same to the bit wherever it comes from.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector
from embed_onnx.models import windows
from embed_onnx.models.result_cache import Kind, ModelCache
from embed_onnx.models.tokenizer import Tokens

Result = TypeVar("Result")


class Distinct:
    """Takes the inputs of a request as they are tokenized.

    Results of that kind that a model's ``cache`` has for the tenant are not computed again.
    """

    def __init__(self, cache: ModelCache | None = None, kind: Kind = "vectors", tenant: str = "") -> None:
        self.inputs: list[Tokens] = []
        self.sequences: list[TokenSequence] = []
        """What is to be computed."""
        self.num_tokens = 0
        """Of ``sequences``."""
        self.hits = 0
        """Inputs or windows of them whose results were in the cache."""
        self._cache = None if cache is None else cache.compartment(kind, tenant)
        self._sources: dict[bytes, int | bytes] = {}
        """By key: a place in ``sequences``, or a result from the cache."""
        self._places: list[int | bytes | None] = []
        """The source of each input, or of each of its windows; None: it has no tokens."""

    def add(self, tokens: Iterable[Tokens]) -> None:
        """Take more inputs."""
        for item in tokens:
            self.inputs.append(item)
            for window in windows.of(item):
                source = self._source(window) if window.ids else None
                self.hits += isinstance(source, bytes)
                self._places.append(source)

    def results(self, computed: Vector) -> Vector:
        """A result for each input [inputs, width], from those of ``sequences``, which go into the cache.

        An input in windows has one for each of them, and one without tokens has zeros.
        """
        self._keep(lambda place: computed[place].tobytes())
        if len(self.sequences) == len(self._places):
            return computed
        results: Vector = np.zeros((len(self._places), computed.shape[-1]), np.float32)
        for row, source in zip(results, self._places, strict=True):
            if source is not None:
                row[:] = computed[source] if isinstance(source, int) else np.frombuffer(source, np.float32)
        return results

    def each(
        self,
        computed: Sequence[Result],
        pack: Callable[[Result], bytes],
        unpack: Callable[[bytes], Result],
        nothing: Result,
    ) -> list[Result]:
        """The same of results that are no rows of an array; ``pack`` makes what the cache has of one.

        An input without tokens has ``nothing``.
        """
        self._keep(lambda place: pack(computed[place]))
        return [
            nothing if source is None else computed[source] if isinstance(source, int) else unpack(source)
            for source in self._places
        ]

    def _keep(self, packed: Callable[[int], bytes]) -> None:
        """Put what was computed into the cache, where there is one."""
        if self._cache is not None:
            places = {key: source for key, source in self._sources.items() if isinstance(source, int)}
            self._cache.put({key: packed(place) for key, place in places.items()})

    def _source(self, item: Tokens) -> int | bytes:
        """Where the result of an input comes from."""
        types = 0 if item.second is None else item.second + 1
        key = array("I", [item.prompt, types, item.unattended, *item.ids]).tobytes()
        if self._cache is not None:
            key = self._cache.key(key)
        source = self._sources.get(key)
        if source is None and self._cache is not None:
            source = self._cache.get(key)
        if source is None:
            source = len(self.sequences)
            self.sequences.append(TokenSequence(item.ids, item.prompt, item.second, item.unattended))
            self.num_tokens += item.num_tokens
        self._sources[key] = source
        return source
