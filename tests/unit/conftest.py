"""A scheduler, and what it runs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from encoders import Sums

from embed_onnx.scheduling.scheduler import Scheduler


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def packing() -> Sums:
    return Sums(pack_tokens=64)


@pytest.fixture
def schedule() -> Iterator[Callable[..., Scheduler]]:
    result: list[Scheduler] = []

    def make(lanes: int = 1, queue_tokens: int = 100, **rest: Any) -> Scheduler:
        result.append(Scheduler(lanes=lanes, queue_tokens=queue_tokens, **rest))
        return result[-1]

    yield make
    for scheduler in result:
        scheduler.close()
