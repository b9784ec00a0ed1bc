"""Worker threads, called lanes, over the fair queue.

A lane runs one sequence at a time on one core. Work-conserving: an idle lane takes what waits at
once and nobody lingers for more. One scheduler serves every model, as they share the cores.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, Self

import numpy as np

from embed_onnx.errors import (
    EmbedError,
    InferenceFailed,
    InvalidRequest,
    Overloaded,
    SetupError,
    Unavailable,
)
from embed_onnx.fair_queue import FairQueue
from embed_onnx.pooling import Vector

log = logging.getLogger(__name__)


class Encodes(Protocol):
    """What a lane runs: ``encoder.Encoder``."""

    dimensions: int

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vector:
        """Vectors [n, dimensions] of token id sequences."""


class Job:
    """One request in the scheduler. ``future`` gives its vectors, float32 [sequences, dimensions].

    Cancelling the future takes what still waits out of the queue.
    """

    def __init__(self, encoder: Encodes, sequences: Sequence[Sequence[int]]) -> None:
        self.encoder = encoder
        self.sequences = sequences
        self.future: Future[Vector] = Future()
        self.vectors: Vector = np.empty((len(sequences), encoder.dimensions), np.float32)
        self.unfinished = len(sequences)
        self.submitted = time.perf_counter()
        self.started = 0.0
        self.finished = 0.0


class Scheduler:
    """``lanes`` threads over a queue of at most ``queue_tokens`` waiting tokens.

    Use it as a context manager, or call ``close``.
    """

    def __init__(self, *, lanes: int, queue_tokens: int) -> None:
        if lanes < 1:
            raise SetupError(f"threads is {lanes}; give at least 1")
        self.queue_tokens = queue_tokens
        self._queue: FairQueue[Job] = FairQueue()
        self._accepted: set[Job] = set()
        """Jobs whose future is open. Whoever takes a job out settles it; so each is settled once."""
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        """Notified when sequences come, and to end the lanes."""
        self._settled = threading.Condition(self._lock)
        """Notified when a job is settled while draining."""
        self._closing = False
        self._speed = _Speed(lanes)
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{number}", daemon=True) for number in range(lanes)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def waiting_tokens(self) -> int:
        """Tokens in the queue."""
        return self._queue.tokens

    @property
    def waiting_sequences(self) -> int:
        """Sequences in the queue."""
        return self._queue.sequences

    def submit(self, encoder: Encodes, sequences: Sequence[Sequence[int]]) -> Job:
        """Queue all sequences of a request, or none of them. Does not block.

        Raises:
            InvalidRequest: It would not fit an empty queue.
            Overloaded: It does not fit the queue now.
            Unavailable: The scheduler is closing.
        """
        lengths = [len(ids) for ids in sequences]
        tokens = sum(lengths)
        if tokens > self.queue_tokens:
            raise InvalidRequest(
                f"the request has {tokens} tokens and the queue holds {self.queue_tokens}; "
                "send several requests, or raise the server's --queue-tokens",
                param="input",
            )
        job = Job(encoder, sequences)
        if not sequences:
            job.future.set_result(job.vectors)
            return job
        with self._lock:
            if self._closing:
                raise Unavailable("the server is going down; send the request again")
            self.check_room(tokens)
            self._queue.add(job, lengths)
            self._accepted.add(job)
            self._work.notify(len(lengths))
        job.future.add_done_callback(lambda future: self._claim(job) if future.cancelled() else None)
        return job

    def check_room(self, tokens: int) -> None:
        """Refuse so many more tokens if they do not fit the queue now.

        Raises:
            Overloaded: They do not.
        """
        waiting = self._queue.tokens
        if waiting and waiting + tokens > self.queue_tokens:
            raise Overloaded(
                f"{waiting} tokens wait, {tokens} more exceed the limit of {self.queue_tokens}; try later",
                retry_after=self._speed.seconds(waiting),
            )

    def drain(self, timeout: float) -> None:
        """Take no more work, finish what was accepted, and fail what is left after ``timeout`` seconds."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._settled.wait_for(lambda: not self._accepted, timeout)
            late = list(self._accepted)
        for job in late:
            self._fail(job, Unavailable("the server went down before this request was done; send it again"))

    def close(self) -> None:
        """Fail what was accepted and is not done; end the lanes after the sequences they run."""
        self.drain(timeout=0)
        for lane in self._lanes:
            lane.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lane(self) -> None:
        while (work := self._take()) is not None:
            job, index = work
            ids = job.sequences[index]
            started = time.perf_counter()
            try:
                job.vectors[index] = job.encoder.encode([ids])[0]
            except Exception as err:
                # A failure ends its own request; the lane lives on.
                log.exception("a sequence of %d tokens failed", len(ids))
                self._fail(
                    job, err if isinstance(err, EmbedError) else InferenceFailed(f"this is a bug: {err}")
                )
            else:
                self._book(job, len(ids), started)

    def _take(self) -> tuple[Job, int] | None:
        """Block for the next sequence; None once closing and nothing waits."""
        with self._lock:
            self._work.wait_for(lambda: self._closing or self._queue)
            work = self._queue.take()
        if work is not None:
            job, _ = work
            job.started = job.started or time.perf_counter()
        return work

    def _book(self, job: Job, tokens: int, started: float) -> None:
        """Count a sequence as done, and resolve its job if it was the last."""
        now = time.perf_counter()
        with self._lock:
            self._speed.add(tokens, now - started)
            job.unfinished -= 1
            job.finished = now
            done = job.unfinished == 0
        if done and self._claim(job):
            job.future.set_result(job.vectors)

    def _fail(self, job: Job, err: EmbedError) -> None:
        if self._claim(job):
            job.future.set_exception(err)

    def _claim(self, job: Job) -> bool:
        """Take a job out; True for the one caller who has to settle its future."""
        with self._lock:
            if job not in self._accepted:
                return False
            self._accepted.discard(job)
            self._queue.remove(job)
            if self._closing:
                self._settled.notify_all()
        # From here on the future cannot be cancelled; before, it may have been.
        return job.future.set_running_or_notify_cancel()


class _Speed:
    """Tokens a second of all lanes, measured over about the last hundred sequences."""

    KEPT = 0.99
    """How much of what was measured before still counts after one more sequence."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._tokens = 0.0
        self._seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count one sequence that took a lane so many seconds."""
        self._tokens = self._tokens * self.KEPT + tokens
        self._seconds = self._seconds * self.KEPT + seconds

    def seconds(self, tokens: int) -> float:
        """How long so many tokens will take; 1 before anything was measured."""
        if not self._tokens:
            return 1.0
        return tokens * self._seconds / self._tokens / self._lanes
