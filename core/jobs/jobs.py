"""One process of many does the duties; the others wait for their turn."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from core.backoff import Backoff
from core.clock import Clock
from core.errors import StorageUnavailable
from core.jobs.ingest import Ingest, Locate
from core.jobs.overviews import Overviews
from core.jobs.settling import Settling
from core.jobs.summary import Summary
from core.jobs.workers import DeadWorkers
from core.logs import get_logger
from core.metrics import Metrics
from core.tasks import end
from services.events import Events
from services.networks import Networks
from storage.base import Lock, Presence, StreamLog, UptimeStore

BACKOFF_BASE = 0.1
BACKOFF_CAP = 5.0
LOCK_CHECK_INTERVAL = 0.5
WORKERS_INTERVAL = 1.0
CALM_INTERVAL = 1.0
BACKLOG_INTERVAL = 1.0


class LockLost(Exception):
    """Somebody else may be at work: leave everything alone."""


class Chore(Protocol):
    """A duty that is done in steps, again and again."""

    @property
    def name(self) -> str:
        """What it is called in logs."""
        ...

    @property
    def interval(self) -> float:
        """Seconds between two steps."""
        ...

    async def step(self) -> None:
        """Do what there is to do now."""
        ...

    def metrics(self) -> Metrics:
        """What it counts."""
        ...


class Jobs:
    """The singleton duties, done while this process holds `lock`; `chores` are further ones.

    `overviews` are what it publishes whatever any of them changes; `settling` hears which workers live;
    `locate` tells where an address is.
    `process_id` is this process's own in `presence`; `lease` and `summary_interval` are in seconds.
    A server that is away stops nothing for good: each duty tries again, ever more patiently.
    """

    def __init__(
        self,
        *,
        lock: Lock,
        streams: StreamLog,
        presence: Presence,
        uptime: UptimeStore,
        overviews: Overviews,
        settling: Settling,
        networks: Networks,
        events: Events,
        locate: Locate,
        clock: Clock,
        process_id: str,
        lease: float,
        summary_interval: float,
        chores: Sequence[Chore] = (),
        lock_check_interval: float = LOCK_CHECK_INTERVAL,
        workers_interval: float = WORKERS_INTERVAL,
    ) -> None:
        self._lock = lock
        self._presence = presence
        self._streams = streams
        self._uptime = uptime
        self._clock = clock
        self._process_id = process_id
        self._lease = lease
        self._summary_interval = summary_interval
        self._chores = chores
        self._lock_check_interval = lock_check_interval
        self._workers_interval = workers_interval
        self._overviews = overviews
        self._settling = settling
        self._ingest = Ingest(streams, uptime, overviews, locate, clock)
        self._summary = Summary(networks, events)
        self._workers: DeadWorkers | None = None
        self._failing: set[str] = set()
        self._failures = 0
        #: Set while this process holds the lock and does the duties.
        self.leading = asyncio.Event()

    async def run(self) -> None:
        """Wait for the lock, do the duties, begin again when it is lost; until cancelled."""
        backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP)
        while True:
            try:
                await self._lock.acquire()
                backoff.reset()
                self._failing.clear()
                await self._lead()
            except StorageUnavailable as error:
                self._failed("lock", error)
            except LockLost:
                _log.warning("lock lost: duties stopped")
            finally:
                # A process that stops, or that only believes to have lost the lock, lets the next one in.
                await self._give_up()
            await asyncio.sleep(backoff.next())

    def metrics(self) -> Metrics:
        """What the duties count; `jobs_leading` is 1 in the process that does them."""
        return {
            "jobs_leading": int(self.leading.is_set()),
            "jobs_failures_total": self._failures,
            "jobs_failing": len(self._failing),
            **self._ingest.metrics(),
            **self._overviews.metrics(),
            **self._settling.metrics(),
            **self._summary.metrics(),
            **(self._workers.metrics() if self._workers else {}),
            **{name: value for chore in self._chores for name, value in chore.metrics().items()},
        }

    def failing(self) -> list[str]:
        """The duties that wait for a server, by name."""
        return sorted(self._failing)

    async def _lead(self) -> None:
        loop = asyncio.get_running_loop()
        workers = self._workers = DeadWorkers(
            self._presence,
            self._streams,
            self._uptime,
            self._overviews,
            self._clock,
            settling=self._settling,
            process_id=self._process_id,
            lease=self._lease,
            now=loop.time(),
        )
        _log.info("leading")
        self.leading.set()
        # No task group: before Python 3.13 it loses a cancellation that meets the error of a part.
        duties = [
            asyncio.create_task(duty)
            for duty in (
                self._persist("ingest", lambda: self._ingest.run(lambda: self._recovered("ingest"))),
                self._repeat("overviews", 0.0, self._overviews.step),
                self._repeat("calm", CALM_INTERVAL, self._calm),
                self._repeat("backlog", BACKLOG_INTERVAL, self._ingest.measure),
                self._repeat("summary", self._summary_interval, lambda: self._summary.step(loop.time())),
                self._repeat("workers", self._workers_interval, lambda: workers.step(loop.time())),
                *(self._repeat(chore.name, chore.interval, chore.step) for chore in self._chores),
            )
        ]
        try:
            await self._watch_lock()
        finally:
            self.leading.clear()
            await end(duties)

    async def _watch_lock(self) -> None:
        while True:
            await asyncio.sleep(self._lock_check_interval)
            try:
                held = await self._lock.held()
            except StorageUnavailable:
                held = False
            if not held:
                raise LockLost

    async def _calm(self) -> None:
        with self._overviews.told():
            self._overviews.changed(await self._uptime.calm(self._clock.now()))

    async def _repeat(self, name: str, interval: float, step: Callable[[], Awaitable[None]]) -> None:
        async def repeat() -> None:
            while True:
                await step()
                self._recovered(name)
                await asyncio.sleep(interval)

        await self._persist(name, repeat)

    async def _persist(self, name: str, duty: Callable[[], Awaitable[None]]) -> None:
        """Run `duty`, which returns never, and again after every failure."""
        backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP)
        while True:
            if name not in self._failing:
                backoff.reset()
            try:
                await duty()
            except StorageUnavailable as error:
                self._failed(name, error)
            except Exception as error:
                # A duty that met what nobody foresaw must not take the others with it.
                _log.exception("duty failed", duty=name)
                self._failed(name, error)
            await asyncio.sleep(backoff.next())

    def _failed(self, name: str, error: Exception) -> None:
        self._failures += 1
        if name not in self._failing:
            self._failing.add(name)
            _log.warning("duty interrupted", duty=name, reason=str(error))

    def _recovered(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            _log.info("duty goes on", duty=name)

    async def _give_up(self) -> None:
        with contextlib.suppress(StorageUnavailable):
            await self._lock.release()


_log = get_logger("jobs")
