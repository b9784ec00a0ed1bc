"""Encoders of no model, for the scheduler: they sum what they are given, and wait where a test says so."""

import os
import threading
from collections.abc import Sequence

import numpy as np

from embed_onnx.engine.vectors import Vector


class Sums:
    """Embeds a sequence as the sum of its ids, once its gate is open; id 13 is bad luck."""

    def __init__(self, pack_tokens: int = 0) -> None:
        self.pack_tokens = pack_tokens
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.packs: list[list[list[int]]] = []

    @property
    def order(self) -> list[int]:
        """The first id of every sequence."""
        return [ids[0] for pack in self.packs for ids in pack]

    def empty(self, count: int) -> Vector:
        return np.empty((count, 1), np.float32)

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.entered.release()
        self.gate.wait(60)
        self.packs.append([list(ids) for ids in sequences])
        if any(13 in ids for ids in sequences):
            raise ValueError("bad luck")
        return np.array([[sum(ids)] for ids in sequences], np.float32)


class Forgetful(Sums):
    """Loses the last vector of a pack."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        vectors = super().run(sequences)
        return vectors[:-1] if len(sequences) > 1 else vectors


class Priorities(Sums):
    """Notes how nice the lane is that calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.nice: list[int] = []

    def run(self, sequences: Sequence[Sequence[int]]) -> Vector:
        self.nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().run(sequences)
