"""Worker threads, called lanes, over the fair queue.

A lane runs one pack of sequences at a time on one core. Work-conserving: an idle lane takes what waits
at once and nobody lingers for more. One scheduler serves every model, as they share the cores.

There is one lane more than cores, for quick requests alone. It works while every other lane is at a pack
of more tokens: rather than wait for the end of one, a query shares a core with it for a moment.
"""

import logging
import threading
import time
from collections.abc import Hashable, Sequence
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
from embed_onnx.fair_queue import QUICK, FairQueue
from embed_onnx.pooling import Vector

log = logging.getLogger(__name__)


class Encodes(Hashable, Protocol):
    """What a lane runs: ``encoder.Encoder``."""

    dimensions: int
    pack_tokens: int
    """The most tokens of whole sequences that it wants in one call; a longer sequence goes alone.
    0: one sequence a call."""

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vector:
        """Vectors [n, dimensions] of token id sequences."""


Pack = list[tuple["Job", int]]
"""Sequences of one encoder, as jobs and places in them."""


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
        self._queue: FairQueue[Job] = FairQueue(lanes)
        self._accepted: set[Job] = set()
        """Jobs whose future is open. Whoever takes a job out settles it; so each is settled once."""
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        """Notified once when sequences come, by each lane that leaves some behind, and to end the lanes."""
        self._quick_work = threading.Condition(self._lock)
        """The same for the lane of the quick."""
        self._settled = threading.Condition(self._lock)
        """Notified when a job is settled while draining."""
        self._closing = False
        self._speed = _Speed(lanes)
        self._slow = 0
        """Lanes at a pack of more tokens than a quick one has."""
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{number}", daemon=True) for number in range(lanes)
        ]
        self._lanes.append(threading.Thread(target=self._quick_lane, name="lane-quick", daemon=True))
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
            self._queue.add(job, lengths, key=encoder, pack_tokens=encoder.pack_tokens)
            self._accepted.add(job)
            self._wake()
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
            self._quick_work.notify()
            self._settled.wait_for(lambda: not self._accepted, timeout)
            late = list(self._accepted)
        for job in late:
            self._fail(job, Unavailable("the server went down before this request was done; send it again"))

    def close(self) -> None:
        """Fail what was accepted and is not done; end the lanes after the packs they run."""
        self.drain(timeout=0)
        for lane in self._lanes:
            lane.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lane(self) -> None:
        """Run packs until closing and nothing waits."""
        while pack := self._take():
            self._run(pack)
            if _is_slow(pack):
                with self._lock:
                    self._slow -= 1

    def _quick_lane(self) -> None:
        """Run packs of quick requests while every lane is at a slow one, until closing."""
        while pack := self._take_quick():
            self._run(pack)

    def _take(self) -> Pack:
        """Block for the next pack; empty once closing and nothing waits."""
        with self._lock:
            self._work.wait_for(lambda: self._closing or self._queue)
            pack = self._queue.take()
            self._slow += _is_slow(pack)
            self._wake()
        return pack

    def _take_quick(self) -> Pack:
        """Block for the next pack that need not wait; empty once closing and there is none."""
        with self._lock:
            self._quick_work.wait_for(lambda: self._closing or self._quick_must_share())
            return self._queue.take_quick()

    def _quick_must_share(self) -> bool:
        return self._slow == self._speed.lanes and self._queue.has_quick

    def _wake(self) -> None:
        """Get one lane to take what waits."""
        if self._queue:
            self._work.notify()
        if self._quick_must_share():
            self._quick_work.notify()

    def _run(self, pack: Pack) -> None:
        encoder = pack[0][0].encoder
        started = time.perf_counter()
        for job, _ in pack:
            job.started = job.started or started
        try:
            vectors = encoder.encode([job.sequences[place] for job, place in pack])
            for (job, place), vector in zip(pack, vectors, strict=True):
                job.vectors[place] = vector
        except Exception as err:
            # A failure ends its own request; the lane lives on.
            self._blame(pack, err)
        else:
            self._book(pack, started)

    def _blame(self, pack: Pack, err: Exception) -> None:
        """Fail the job of a sequence that failed; of several, find out which by running them one by one."""
        if len(pack) == 1:
            ((job, place),) = pack
            log.error("a sequence of %d tokens failed", len(job.sequences[place]), exc_info=err)
            self._fail(job, err if isinstance(err, EmbedError) else InferenceFailed(f"this is a bug: {err}"))
            return
        log.warning("a pack of %d sequences failed and is run one by one: %s", len(pack), err)
        for job, place in pack:
            if not job.future.done():
                self._run([(job, place)])

    def _book(self, pack: Pack, started: float) -> None:
        """Count the sequences of a pack as done, and resolve the jobs that they were the last of."""
        now = time.perf_counter()
        tokens = sum(len(job.sequences[place]) for job, place in pack)
        done = []
        with self._lock:
            self._speed.add(tokens, now - started)
            for job, _ in pack:
                job.unfinished -= 1
                job.finished = now
                if job.unfinished == 0:
                    done.append(job)
        for job in done:
            if self._claim(job):
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


def _is_slow(pack: Pack) -> bool:
    return sum(len(job.sequences[place]) for job, place in pack) > QUICK


class _Speed:
    """Tokens a second of all lanes, measured over about the last hundred packs."""

    KEPT = 0.99
    """How much of what was measured before still counts after one more pack."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._tokens = 0.0
        self._seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count one pack that took a lane so many seconds."""
        self._tokens = self._tokens * self.KEPT + tokens
        self._seconds = self._seconds * self.KEPT + seconds

    def seconds(self, tokens: int) -> float:
        """How long so many tokens will take; 1 before anything was measured."""
        if not self._tokens:
            return 1.0
        return tokens * self._seconds / self._tokens / self.lanes
