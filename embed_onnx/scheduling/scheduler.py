"""Worker threads, called lanes, over the fair queue.

A lane runs one pack of sequences at a time on one core. Work-conserving: an idle lane takes what waits
at once and nobody lingers for more. One scheduler serves every model, as they share the cores.

There is one lane more than cores, for quick requests alone. It works while every other lane is at a pack
of more tokens: rather than wait for the end of one, a query shares a core with it for a moment.

A watchdog sees lanes that die or hang.

A fork waits until no lane is at a pack. The child begins with an empty queue, and starts lanes of its own
with its first request.
"""

import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence, Sized
from numbers import Integral, Real
from typing import Any, Self

from embed_onnx.errors import (
    EmbedError,
    InferenceFailed,
    InvalidRequest,
    Overloaded,
    SetupError,
    TimedOut,
    Unavailable,
)
from embed_onnx.scheduling import jobs, late
from embed_onnx.scheduling.fair_queue import QUICK
from embed_onnx.scheduling.jobs import Job, Pack, Results, Runs
from embed_onnx.scheduling.lane import Lane
from embed_onnx.scheduling.speed import Paces, Speed
from embed_onnx.scheduling.tenant_queue import SharedQueue
from embed_onnx.system import forks

log = logging.getLogger(__name__)

TOO_LONG = "the request cannot be done within {:.3g} s; send fewer inputs at a time, or send it later"
LANE_TIMEOUT = 120.0
"""Seconds."""
MOST_LANES = 1024


class Scheduler:
    """``lanes`` threads over a queue of at most ``queue_tokens`` waiting tokens.

    A lane that dies, or hangs by ``Lane.look``, is replaced: the requests of its pack fail, its run is asked
    to end, and all others go on. ``on_sick`` is called if that has happened ``SICK`` times within
    ``SICK_SECONDS``; without it, all that was accepted fails.

    Use it as a context manager, or call ``close``.
    """

    SICK = 3
    SICK_SECONDS = 600.0
    CLOSE_SECONDS = 10.0

    def __init__(
        self,
        *,
        lanes: int,
        queue_tokens: int,
        lane_timeout: float = LANE_TIMEOUT,
    ) -> None:
        _check_numbers(lanes, lane_timeout)
        self.queue_tokens = queue_tokens
        self.lane_timeout = float(lane_timeout)
        self.on_sick: Callable[[], None] | None = None
        """Told, from a thread of the scheduler's, if lanes keep being replaced."""
        self.on_pack: Callable[[int, int, float], None] | None = None
        """Told of each pack by the lane that ran it: its sequences, its tokens, and the seconds it took."""
        self.replaced = 0
        """Lanes that died or hung."""
        self.last_success = -math.inf
        """When a pack was last done, on the clock of ``time.monotonic``."""
        self.closed_sentence: str | None = None
        """What callers read once it is closed, if not that a server goes down."""
        self._owner: Callable[[], object] = lambda: self
        """None once nobody has what it works for."""
        self._replaced_at: deque[float] = deque(maxlen=self.SICK)
        self._number = int(lanes)
        self._closing = False
        self._spoiled = False
        """Whether this process, or one it descends from, was forked while a lane was at a pack."""
        self._begin()
        self._start()
        forks.register(self)

    def _begin(self) -> None:
        """Have nothing waiting, and no lanes yet."""
        self._speed = Speed()
        self._paces = Paces()
        """Of long requests, as it is these that are refused if they would be late: for each token of a query
        of a word or two, a lane takes several times as long."""
        self._pack_paces = Paces()
        """Of all packs."""
        self._queue: SharedQueue[Job[Any]] = SharedQueue(self._number)
        self._accepted: set[Job[Any]] = set()
        """Jobs whose future is open. Whoever takes a job out settles it; so each is settled once."""
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        """Notified once when sequences come, by each lane that leaves some behind, and to end the lanes."""
        self._quick_work = threading.Condition(self._lock)
        """The same for the lane of the quick."""
        self._settled = threading.Condition(self._lock)
        """Notified when a job is settled while draining."""
        self._rested = threading.Condition(self._lock)
        """Notified by each lane that is done with a pack while somebody wants to fork."""
        self._forking = False
        self._closed = threading.Event()
        self._lanes: list[Lane] = []
        self._quick_lane: Lane | None = None
        self._watchdog: threading.Thread | None = None
        self._lost: list[Lane] = []
        """Lanes that were replaced, and may still be at something."""

    def _start(self) -> None:
        """Start the lanes and their watchdog.

        Raises:
            SetupError: The system starts no thread.
        """
        lanes = [Lane(f"lane-{number}") for number in range(self._number)]
        quick = Lane("lane-quick")
        watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._lanes, self._quick_lane, self._watchdog = lanes, quick, watchdog
        try:
            for lane in self._all_lanes():
                lane.start(self._run_lane)
            watchdog.start()
        except RuntimeError as err:
            self._closing = True
            self._lanes, self._quick_lane, self._watchdog = [], None, None
            raise SetupError(
                f"the system starts no more threads ({err}); let this process have more, or fewer lanes"
            ) from None

    def _all_lanes(self) -> list[Lane]:
        return self._lanes if self._quick_lane is None else [*self._lanes, self._quick_lane]

    def before_fork(self) -> None:
        """Have every lane rest, between two packs: nothing native of theirs holds a lock then."""
        end = time.monotonic() + forks.SECONDS
        self._locked = self._lock.acquire(timeout=forks.SECONDS)
        self._at_rest = False
        if self._locked:
            self._forking = True
            self._at_rest = self._rested.wait_for(self._all_rest, end - time.monotonic())

    def _all_rest(self) -> bool:
        """Whether no lane is at a pack, those included that were replaced."""
        return not any(lane.pack for lane in self._all_lanes()) and not any(lane.lives for lane in self._lost)

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
        return not self.waiting_tokens and self._all_rest()

    @property
    def waiting_seconds(self) -> float:
        """How long what waits will take, at the speed that was measured."""
        return self._speed.seconds(self._queue.tokens)

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
            SetupError: This process was forked while a lane was at a pack, or it starts no threads.
        """
        job = Job(runs, sequences, timeout)
        if not sequences:
            job.future.set_result(job.results)
            return job
        with self._lock:
            if self._closing:
                raise Unavailable(self.closed_sentence or "the server is going down; send the request again")
            if not self._lanes:
                self._start_in_child()
            self.check_room(sum(job.lengths), tenant)
            self._queue.add(job, job.lengths, tenant=tenant, key=runs, pack_tokens=runs.pack_tokens)
            self._check_in_time(job, tenant)
            self._accepted.add(job)
            self._wake()
        # Weakly, as a future keeps its callbacks: what a job holds is freed without garbage collection.
        known = weakref.ref(job)
        job.future.add_done_callback(lambda future: self._cancelled(known()) if future.cancelled() else None)
        return job

    def _start_in_child(self) -> None:
        if self._spoiled:
            raise SetupError(
                f"this process was forked while the model was at one text for over {forks.SECONDS:g} s; load "
                "the model in this process"
            )
        self._start()

    def check_room(self, tokens: int, tenant: str = "") -> None:
        """Refuse so many more tokens of a tenant if they do not fit the queue now, by ``check_share``.

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
        self.check_share("tokens wait", self._queue.tokens, own, tokens, self.queue_tokens)

    def _check_in_time(self, job: Job[Any], tenant: str) -> None:
        """Take a job out of the queue again if it cannot be done in time.

        Raises:
            Overloaded: It cannot, for what goes before it.
            TimedOut: It could not even if it were alone.
        """
        if self._speed.seconds(self._queue.tokens) <= job.timeout:
            return
        if job not in self._late(self._queue.order_of(tenant), job.submitted):
            return
        self._queue.remove(job)
        seconds = self.waiting_seconds
        if self._late([job], job.submitted):
            raise TimedOut(TOO_LONG.format(job.timeout), retry_after=seconds)
        raise Overloaded(
            f"{self._queue.tokens} tokens wait, and behind them this request would take longer than the "
            f"{job.timeout:.3g} s that it has; try later",
            retry_after=seconds,
        )

    def _late(self, order: Sequence[Job[Any]], now: float) -> list[Job[Any]]:
        return late.late(order, self._paces, lanes=self._number, now=now)

    def _give_up_late(self) -> None:
        """Fail what waits and can no longer be done in time, so that no lane works in vain."""
        with self._lock:
            now = time.perf_counter()
            found = [job for order in self._queue.orders() for job in self._late(order, now)]
            seconds = self.waiting_seconds
        for job in found:
            self._fail(job, TimedOut(TOO_LONG.format(job.timeout), retry_after=seconds))

    def check_share(self, what: str, held: int, own: int, more: int, limit: int) -> None:
        """Refuse more of something if it does not fit, with what is held, ``own`` of it the tenant's.

        A tenant that holds something may hold no more than there is room left, so that there is always some
        for the others (dynamic thresholds: Choudhury and Hahne, 1998). ``what`` says what is held.

        Raises:
            Overloaded: It does not fit; what waits takes so long.
        """
        if not held or held + own + more <= limit:
            return
        yours, share = (f", {own} of them yours", "your share of ") if own else ("", "")
        raise Overloaded(
            f"{held} {what}{yours}, and {more} more exceed {share}the limit of {limit}; try later",
            retry_after=self.waiting_seconds,
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
            self._fail(
                job,
                Unavailable(
                    self.closed_sentence or "the server went down before this request was done; send it again"
                ),
            )

    def end_with(self, owner: object) -> None:
        """Be closed by the watchdog, should nobody have the owner any more."""
        self._owner = weakref.ref(owner)

    def close(self) -> None:
        """Fail what was accepted and is not done; end the lanes after the packs they run, or leave them."""
        self.drain(timeout=0)
        end = time.monotonic() + self.CLOSE_SECONDS
        for lane in self._all_lanes():
            lane.join(max(0.0, end - time.monotonic()))
        self._closed.set()
        if self._watchdog is not None:
            self._watchdog.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run_lane(self, lane: Lane) -> None:
        """Run packs until closing and nothing waits, or until another lane has taken its place."""
        while self._run_next(lane):
            pass  # and holds nothing of the last pack while it waits for another

    def _run_next(self, lane: Lane) -> bool:
        """Run a lane's next pack; False if there will be none."""
        pack = self._take(lane)
        if pack:
            self._run(lane, pack)
        return bool(pack)

    def _take(self, lane: Lane) -> Pack:
        """Block for a lane's next pack; empty if there will be none."""
        with self._lock:
            lane.begin([])
            if self._forking:
                self._rested.notify()
            if lane is self._quick_lane:
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
        """Whether a quick request waits and every lane is at a pack of more tokens than a quick one has."""
        return self._queue.has_quick and all(lane.tokens > QUICK for lane in self._lanes)

    def _wake(self) -> None:
        """Get one lane to take what waits."""
        if self._queue:
            self._work.notify()
        if self._quick_must_share():
            self._quick_work.notify()

    def _run(self, lane: Lane, pack: Pack) -> None:
        runs = pack[0][0].runs
        started, computed = time.perf_counter(), time.thread_time()
        for job, _ in pack:
            job.started = job.started or started
        try:
            results = runs.run([job.sequences[place] for job, place in pack])
            for (job, place), result in zip(pack, results, strict=True):
                job.results[place] = result
        except Exception as err:
            if not lane.stop.asked:
                self._blame(lane, pack, err)  # a failure ends its own request; the lane lives on
        else:
            self._book(pack, started, time.thread_time() - computed)

    def _blame(self, lane: Lane, pack: Pack, err: Exception) -> None:
        """Fail the job of a sequence that failed; of several, find out which by running them one by one."""
        if len(pack) == 1:
            ((job, place),) = pack
            log.error("a sequence of %d tokens failed", job.lengths[place], exc_info=err)
            self._fail(job, err if isinstance(err, EmbedError) else InferenceFailed(f"this is a bug: {err}"))
            return
        log.warning("a pack of %d sequences failed and is run one by one: %s", len(pack), err)
        for job, place in pack:
            if not job.future.done():
                self._run(lane, [(job, place)])

    def _book(self, pack: Pack, started: float, computed: float) -> None:
        """Count the sequences of a pack as done, and resolve the jobs that they were the last of."""
        now = time.perf_counter()
        tokens = jobs.pack_tokens(pack)
        done = []
        with self._lock:
            if not any(job in self._accepted for job, _ in pack):
                return  # the clients have left, or this took so long that the lane was given up
            self._speed.add(tokens, started, now)
            self._measure(pack, now - started, computed)
            self.last_success = time.monotonic()
            for job, _ in pack:
                job.unfinished -= 1
                job.finished = now
                if job.unfinished == 0:
                    done.append(job)
        self._tell(len(pack), tokens, now - started)
        for job in done:
            if self._claim(job):
                job.future.set_result(job.results)

    def _measure(self, pack: Pack, seconds: float, computed: float) -> None:
        first = pack[0][0]
        work = jobs.pack_work(pack)
        self._pack_paces.add(first.runs, work, seconds, computed)
        if not first.short:
            self._paces.add(first.runs, work, seconds, computed)

    def _tell(self, sequences: int, tokens: int, seconds: float) -> None:
        """Have a pack counted before its requests are answered, which they are even if that fails."""
        if self.on_pack is None:
            return
        try:
            self.on_pack(sequences, tokens, seconds)
        except Exception as err:
            log.warning("a pack of %d tokens is not counted: %s", tokens, err)

    def _watch(self) -> None:
        """Replace lanes that died or hang, until the scheduler is closed."""
        interval = min(1.0, self.lane_timeout / 4)
        while not self._closed.wait(interval):
            if self._owner() is None:
                self.drain(timeout=0)
                return
            for lane in self._all_lanes():
                with self._lock:
                    trouble = lane.look(interval, self.lane_timeout, self._pack_paces)
                    if self._closing and not lane.pack:
                        trouble = ""
                if trouble:
                    self._try_to_replace(lane, trouble)
            self._give_up_late()

    def _try_to_replace(self, lane: Lane, trouble: str) -> None:
        """Replace a lane; if the system starts no thread, the watchdog's next round tries again."""
        try:
            self._replace(lane, trouble)
        except Exception:
            log.exception("nothing takes the place of %s yet", lane.name)

    def _replace(self, lane: Lane, trouble: str) -> None:
        """Put another lane in the place of one in trouble, whose pack fails.

        Raises:
            RuntimeError: The system starts no thread; the pack has failed all the same.
        """
        log.error("%s %s; its requests fail and another takes its place", lane.name, trouble)
        with self._lock:
            lane.replaced = True
            self._lost = [other for other in (*self._lost, lane) if other.lives]
            failed = [job for job, _ in lane.pack]
        for job in failed:  # before another lane could take the rest of it, and hang too
            self._fail(job, InferenceFailed(f"the lane that ran this request {trouble}; others go on"))
        other = Lane(lane.name)
        with self._lock:
            other.start(self._run_lane)
            self.replaced += 1
            if lane is self._quick_lane:
                self._quick_lane = other
            else:
                self._lanes[self._lanes.index(lane)] = other
        now = time.monotonic()
        self._replaced_at.append(now)
        often = len(self._replaced_at) == self.SICK and now - self._replaced_at[0] < self.SICK_SECONDS
        if often:
            (self.on_sick or self._give_up)()

    def _give_up(self) -> None:
        """Fail all that was accepted: where nobody ends the process, its callers must not wait for ever."""
        with self._lock:
            accepted = list(self._accepted)
        for job in accepted:
            self._fail(
                job,
                InferenceFailed(
                    f"{self.SICK} lanes died or hung within {self.SICK_SECONDS:g} s; the log has why"
                ),
            )

    def _fail(self, job: Job[Any], err: EmbedError) -> None:
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
            for lane in self._all_lanes():
                if not any(other in self._accepted for other, _ in lane.pack):
                    lane.stop.ask()  # nobody waits for what it is at
            if self._closing:
                self._settled.notify_all()
        # From here on the future cannot be cancelled; before, it may have been.
        return job.future.set_running_or_notify_cancel()


def _check_numbers(lanes: object, lane_timeout: object) -> None:
    """Refuse what callers in Python may give; those of numpy are numbers, too."""
    if not isinstance(lanes, Integral) or not 1 <= int(lanes) <= MOST_LANES:
        raise SetupError(f"threads is {lanes!r}; give a whole number from 1 to {MOST_LANES:,}")
    if not isinstance(lane_timeout, Real) or not float(lane_timeout) > 0:
        raise SetupError(f"lane_timeout is {lane_timeout!r}; give more than 0 seconds")
