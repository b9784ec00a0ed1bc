"""Which request runs next, on which lane, and that each is answered once.

Work-conserving: an idle lane takes what waits at once and nobody lingers for more. One scheduler serves every
model, as they share the cores.

There is one lane more than cores, for quick requests alone. It works while every other lane has a pack
of more tokens: rather than wait for the end of one, a query shares a core with it for a moment.

A fork waits until no lane has a pack. The child begins with an empty queue, and starts lanes of its own
with its first request.
"""

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence, Sized
from numbers import Real
from typing import Any, Self

from embed_onnx.errors import EmbedError, InferenceFailed, InvalidRequest, SetupError, Unavailable
from embed_onnx.scheduling import forecast, jobs
from embed_onnx.scheduling.forecast import Forecast
from embed_onnx.scheduling.jobs import Job, Pack, Results, Runs
from embed_onnx.scheduling.lane import Lane
from embed_onnx.scheduling.lanes import Lanes, checked
from embed_onnx.scheduling.quota import Quota
from embed_onnx.scheduling.speed import Paces
from embed_onnx.scheduling.tenant_queue import TenantQueue
from embed_onnx.scheduling.watchdog import Watchdog
from embed_onnx.system import forks

log = logging.getLogger(__name__)

LANE_TIMEOUT = 120.0
"""Seconds."""
CLOSE_SECONDS = 10.0
"""How long ``close`` waits for packs that run."""


class Scheduler:
    """``lanes`` threads over a queue of at most ``queue_tokens`` waiting tokens.

    A lane that dies, or hangs by its watchdog, is replaced: the requests of its pack fail, its run is asked
    to end, and all others go on. If that keeps happening, ``on_sick`` is called with the reason, in a thread
    of the scheduler's; without it, all that was accepted fails. ``on_pack`` is called by the lane that ran a
    pack, with its sequences, its tokens and its seconds. ``closed_sentence`` is what callers read once it is
    closed, if not that a server goes down.

    Use it as a context manager, or call ``close``.
    """

    def __init__(
        self,
        *,
        lanes: int,
        queue_tokens: int,
        lane_timeout: float = LANE_TIMEOUT,
        on_sick: Callable[[str], None] | None = None,
        on_pack: Callable[[int, int, float], None] | None = None,
        closed_sentence: str | None = None,
    ) -> None:
        _check_timeout(lane_timeout)
        self.queue_tokens = queue_tokens
        self.lane_timeout = float(lane_timeout)
        self.on_sick = on_sick
        self.on_pack = on_pack
        self.replaced = 0
        """Lanes that died or hung."""
        self.last_success = -math.inf
        """When a pack was last done, on the clock of ``time.monotonic``."""
        self._closed_sentence = closed_sentence
        self._quota = Quota(queue_tokens, "tokens wait")
        self._owner: Callable[[], object] = lambda: self
        """None once nobody has what it works for."""
        self._number = checked(lanes)
        self._closing = False
        self._spoiled = False
        """Whether this process, or one it descends from, was forked while a lane had a pack."""
        self._begin()
        self._start()
        forks.register(self)

    def _begin(self) -> None:
        """Have nothing waiting, and no lanes yet."""
        self._forecast = Forecast(self._number)
        self._queue: TenantQueue[Job[Any]] = TenantQueue(self._number)
        self._accepted: set[Job[Any]] = set()
        """Jobs whose future is open. Taking a job out comes before settling it; so each is settled once."""
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        """Notified once when sequences come, by each lane that leaves some behind, and to end the lanes."""
        self._quick_work = threading.Condition(self._lock)
        """The same for the quick lane."""
        self._settled = threading.Condition(self._lock)
        """Notified when a job is settled while draining."""
        self._rested = threading.Condition(self._lock)
        """Notified by each lane that is done with a pack while a fork waits."""
        self._forking = False
        self._lanes = Lanes(self._number, self)
        self._watchdog: Watchdog | None = None

    def _start(self) -> None:
        """Start the lanes and their watchdog.

        Raises:
            SetupError: The system starts no thread.
        """
        watchdog = Watchdog(self, self.lane_timeout, self._report_sick)
        try:
            self._lanes.start()
            watchdog.start()
        except RuntimeError as err:
            self._closing = True
            raise SetupError(
                f"the system starts no more threads ({err}); let this process have more, or fewer lanes"
            ) from None
        self._watchdog = watchdog

    def before_fork(self) -> None:
        """Have every lane rest, between two packs: nothing native of theirs holds a lock then."""
        end = time.monotonic() + forks.SECONDS
        self._locked = self._lock.acquire(timeout=forks.SECONDS)
        self._at_rest = False
        if self._locked:
            self._forking = True
            self._at_rest = self._rested.wait_for(lambda: self._lanes.at_rest, end - time.monotonic())

    def after_fork(self) -> None:
        """Let the lanes go on, in the parent."""
        if self._locked:
            self._forking = False
            self._work.notify_all()
            self._quick_work.notify()
            self._lock.release()

    def begin_again(self) -> None:
        """Have a lock, a queue and lanes of its own, in the child."""
        self._spoiled |= not self._at_rest
        self._begin()

    @property
    def lanes(self) -> int:
        """Packs that run at the same time, but for those of the quick."""
        return self._number

    @property
    def waiting_tokens(self) -> int:
        """Tokens in the queue."""
        return self._queue.tokens

    @property
    def waiting_sequences(self) -> int:
        """Sequences in the queue."""
        return self._queue.sequences

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is computed at the moment."""
        return not self.waiting_tokens and self._lanes.at_rest

    def waiting_seconds(self) -> float:
        """How long what waits will take, at the speed that was measured."""
        return self._forecast.seconds(self._queue.tokens)

    def submit(
        self,
        runs: Runs[Results],
        sequences: Sequence[Sized],
        *,
        tenant: str = "",
        timeout: float = math.inf,
    ) -> Job[Results]:
        """Queue all sequences of a tenant's request, or none of them. Does not block.

        After ``timeout`` seconds its results are of no use; it is given up as soon as it is clear that they
        would be late.

        Raises:
            InvalidRequest: It would not fit an empty queue.
            Overloaded: It does not fit the queue now, or what goes before it takes too long.
            TimedOut: It takes too long by itself.
            Unavailable: The scheduler is closing.
            SetupError: This process was forked while a lane had a pack, or it starts no threads.
        """
        job = Job(runs, sequences, timeout)
        if not sequences:
            job.future.set_result(job.results)
            return job
        # Weakly, as a future keeps its callbacks: what a job holds is freed without garbage collection.
        known = weakref.ref(job)
        job.future.add_done_callback(lambda future: self._cancelled(known()) if future.cancelled() else None)
        try:
            with self._lock:
                self._accept(job, tenant)
            return job  # noqa: TRY300 - an interrupt before that counts as well
        except BaseException:  # an interrupt, say: the caller has no job to cancel
            with self._lock:
                self._accepted.discard(job)
                self._queue.remove(job)
            raise

    def _accept(self, job: Job[Any], tenant: str) -> None:
        """Queue a job's sequences, under the lock. What is refused has left the queue before a lane sees it.

        Raises:
            InvalidRequest, Overloaded, TimedOut, Unavailable, SetupError: As ``submit`` does.
        """
        if self._closing:
            raise Unavailable(self._closed_sentence or "the server is going down; send the request again")
        if not self._lanes.started:
            self._start_in_child()
        self.check_room(sum(job.lengths), tenant)
        runs = job.runs
        self._queue.add(job, job.lengths, tenant=tenant, key=runs, pack_tokens=runs.pack_tokens)
        refusal = self._forecast.refusal(job, self._queue.order_of(tenant), self._queue.tokens)
        if refusal is not None:
            self._queue.remove(job)
            raise refusal
        self._accepted.add(job)
        self._wake()

    def _start_in_child(self) -> None:
        if self._spoiled:
            raise SetupError(
                f"this process was forked while one text took the model over {forks.SECONDS:g} s; load "
                "the model in this process"
            )
        self._start()

    def check_room(self, tokens: int, tenant: str = "") -> None:
        """Refuse so many more tokens of a tenant if they do not fit the queue now.

        Raises:
            InvalidRequest: They would not fit an empty queue.
            Overloaded: They do not.
        """
        if tokens > self.queue_tokens:
            raise InvalidRequest(
                f"the request has {tokens} tokens and the queue holds {self.queue_tokens}; "
                "send several requests, or raise the server's --queue-tokens",
                param="input",
            )
        own = self._queue.tokens_of(tenant) if tenant else 0
        self._quota.check(tokens, held=self._queue.tokens, own=own, retry_after=self.waiting_seconds)

    def drain(self, timeout: float) -> None:
        """Take no more work, finish what was accepted, and fail what is left after ``timeout`` seconds."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._quick_work.notify()
            self._settled.wait_for(lambda: not self._accepted, timeout)
        sentence = self._closed_sentence or "the server went down before this request was done; send it again"
        self._fail_all(lambda: Unavailable(sentence))

    def end_with(self, owner: object) -> None:
        """Be closed by the watchdog, should nobody have the owner any more."""
        self._owner = weakref.ref(owner)

    def close(self) -> None:
        """Fail what was accepted and is not done; end the lanes after the packs they run, or leave them."""
        self.drain(timeout=0)
        self._lanes.join(CLOSE_SECONDS)
        if self._watchdog is not None:
            self._watchdog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, lane: Lane) -> Pack:
        """Block for a lane's next pack; empty if there will be none."""
        with self._lock:
            lane.begin([])
            if self._forking:
                self._rested.notify()
            if lane is self._lanes.quick:
                self._quick_work.wait_for(
                    lambda: not self._forking and (self._closing or self._quick_must_share() or lane.replaced)
                )
                pack = [] if lane.replaced else self._queue.take_quick()
            else:
                self._work.wait_for(
                    lambda: not self._forking and bool(self._closing or self._queue or lane.replaced)
                )
                pack = [] if lane.replaced else self._queue.take()
            lane.begin(pack)
            for job, place in pack:
                job.waiting_work -= jobs.work(job.lengths[place])
            self._wake()
        return pack

    def _quick_must_share(self) -> bool:
        """Whether a quick request waits and every lane has a pack of more tokens than a quick one."""
        return self._queue.has_quick and self._lanes.busy

    def _wake(self) -> None:
        """Get one lane to take what waits."""
        if self._queue:
            self._work.notify()
        if self._quick_must_share():
            self._quick_work.notify()

    def finish(self, pack: Pack, started: float, computed: float) -> None:
        """Count the sequences of a pack as done, and resolve the jobs that they were the last of.

        ``started`` is on the clock of ``time.perf_counter``, ``computed`` the lane's processor time.
        """
        now = time.perf_counter()
        done = []
        with self._lock:
            if not any(job in self._accepted for job, _ in pack):
                return  # the clients went away, or this took so long that the lane was replaced
            self._forecast.add(pack, started, now, computed)
            self.last_success = time.monotonic()
            for job, _ in pack:
                job.unfinished -= 1
                job.finished = now
                if job.unfinished == 0:
                    done.append(job)
        self._report_pack(pack, now - started)
        for job in done:
            if self._claim(job):
                job.future.set_result(job.results)

    def _report_pack(self, pack: Pack, seconds: float) -> None:
        """Have a pack counted before its requests are answered, which they are even if that fails."""
        if self.on_pack is None:
            return
        tokens = jobs.pack_tokens(pack)
        try:
            self.on_pack(len(pack), tokens, seconds)
        except Exception as err:
            log.warning("a pack of %d tokens is not counted: %s", tokens, err)

    def in_trouble(self, look: Callable[[Lane, Paces], str]) -> list[tuple[Lane, str]]:
        """The lanes that the watchdog finds something wrong with, and what that is."""
        with self._lock:
            looks = [(lane, look(lane, self._forecast.pack_paces)) for lane in self._lanes]
            return [
                (lane, trouble) for lane, trouble in looks if trouble and (lane.pack or not self._closing)
            ]

    def replace(self, lane: Lane, trouble: str) -> None:
        """Put another lane in the place of one in trouble, whose pack fails.

        Raises:
            RuntimeError: The system starts no thread; the pack has failed all the same.
        """
        with self._lock:
            self._lanes.give_up(lane)
            failed = [job for job, _ in lane.pack]
        for job in failed:  # before another lane could take the rest of it, and hang too
            self.fail(job, InferenceFailed(f"the lane that ran this request {trouble}; others go on"))
        with self._lock:
            self._lanes.replace(lane)
            self.replaced += 1

    def end_round(self) -> bool:
        """Fail what waits and can no longer be done in time, so that no lane works in vain.

        False once it is closed, as nobody has its owner any more.
        """
        if self._owner() is None:
            self.drain(timeout=0)
            return False
        with self._lock:
            now = time.perf_counter()
            late = [job for order in self._queue.orders() for job in self._forecast.late(order, now)]
            seconds = self.waiting_seconds()
        for job in late:
            self.fail(job, forecast.timed_out(job, seconds))
        return True

    def _report_sick(self, reason: str) -> None:
        """Where nobody ends the process, its callers must not wait for ever."""
        if self.on_sick is None:
            self._fail_all(lambda: InferenceFailed(f"{reason}; the log has why"))
        else:
            self.on_sick(reason)

    def _fail_all(self, error: Callable[[], EmbedError]) -> None:
        """Answer all that was accepted, each with an error of its own."""
        with self._lock:
            accepted = list(self._accepted)
        for job in accepted:
            self.fail(job, error())

    def fail(self, job: Job[Any], err: EmbedError) -> None:
        """Answer a job with an error, if nobody has answered it."""
        if self._claim(job):
            job.future.set_exception(err)

    def _cancelled(self, job: Job[Any] | None) -> None:
        if job is not None:
            self._claim(job)

    def _claim(self, job: Job[Any]) -> bool:
        """Take a job out; True for the one caller who has to settle its future."""
        with self._lock:
            if job not in self._accepted:
                return False
            self._accepted.discard(job)
            self._queue.remove(job)
            for lane in self._lanes:
                if not any(other in self._accepted for other, _ in lane.pack):
                    lane.stop.ask()  # nobody waits for what it runs
            if self._closing:
                self._settled.notify_all()
        # From here on the future cannot be cancelled; before, it may have been.
        return job.future.set_running_or_notify_cancel()


def _check_timeout(seconds: object) -> None:
    """Callers in Python may pass anything; numpy's numbers are numbers, too."""
    if not isinstance(seconds, Real) or not float(seconds) > 0:
        raise SetupError(f"lane_timeout is {seconds!r}; give more than 0 seconds")
