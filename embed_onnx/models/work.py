"""The inputs of one request through the tokenizer and the lanes, whatever comes out of them."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from embed_onnx.models.distinct import Distinct
from embed_onnx.models.tokenizer import Tokens
from embed_onnx.scheduling.jobs import Job, Results, Runs
from embed_onnx.scheduling.scheduler import Scheduler

Item = TypeVar("Item")


class InputTokenizer(Protocol[Item]):
    """Inputs of some kind to tokens: ``RequestTokenizer`` or ``RequestPairs``."""

    def slices(self, inputs: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """The inputs, parted into lists for one go each."""

    def tokens(self, inputs: Sequence[Item], *, first: int = 0) -> list[Tokens]:
        """What the model sees of each input; errors count inputs from ``first``."""

    async def tokens_async(self, inputs: Sequence[Item], *, first: int = 0) -> list[Tokens]:
        """``tokens``, off the event loop."""


class Work(Generic[Item]):
    """What one request has a model do; its inputs and their sequences come into ``distinct``."""

    def __init__(self, scheduler: Scheduler, tokenizer: InputTokenizer[Item], distinct: Distinct) -> None:
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._distinct = distinct

    def run(self, runs: Runs[Results], inputs: Sequence[Item], *, first: int = 0) -> Job[Results]:
        """Tokenize the inputs and compute; errors count inputs from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        self._distinct.add(self._tokenizer.tokens(inputs, first=first))
        job = self._scheduler.submit(runs, self._distinct.sequences)
        try:
            job.future.result()
        finally:
            job.future.cancel()  # of no effect, unless this wait was interrupted
        return job

    async def run_async(
        self, runs: Runs[Results], inputs: Sequence[Item], *, tenant: str, end: float
    ) -> Job[Results]:
        """``run`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. What cannot be done by ``end``, a time of
        ``time.perf_counter``, is refused, or given up as soon as that is clear.
        """
        distinct = self._distinct
        for part in self._tokenizer.slices(inputs):
            # A list that will not fit is refused before it costs more.
            self._scheduler.check_room(max(1, distinct.num_tokens), tenant)
            distinct.add(await self._tokenizer.tokens_async(part, first=len(distinct.inputs)))
        remaining = end - time.perf_counter()
        job = self._scheduler.submit(runs, distinct.sequences, tenant=tenant, timeout=remaining)
        await asyncio.wrap_future(job.future)
        return job
