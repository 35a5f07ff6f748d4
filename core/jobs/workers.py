"""Taking the nodes of dead workers offline, and never those of living ones."""

from collections.abc import Iterable

from core.clock import Clock
from core.errors import StorageUnavailable
from core.jobs.overviews import Overviews
from core.jobs.settling import Settling
from core.logs import get_logger
from core.metrics import Metrics
from services.events import worker_stream
from storage.base import Presence, StreamLog, UptimeStore


class Vigil:
    """Decides which workers count as alive. Knows no I/O; times are seconds, `lease` too.

    Silence of the presence store must not look like the death of all workers. So nobody is judged
    within a grace of one lease after the beginning and after the store was away or lost its memory,
    and a worker once seen is given up only when it was missing for two leases.
    """

    def __init__(self, lease: float, now: float) -> None:
        self._lease = lease
        self._seen: dict[str, float] = {}
        self._grace_ends = now + lease

    def blind(self, now: float) -> None:
        """The presence store did not answer, or it forgot what it must know."""
        self._grace_ends = now + self._lease
        # The time that nobody could be seen in does not count against anybody.
        self._seen = dict.fromkeys(self._seen, now)

    def look(self, present: Iterable[str], now: float) -> list[str] | None:
        """The workers that may be alive, given those present; None while it is too early to judge."""
        self._seen.update(dict.fromkeys(present, now))
        if now < self._grace_ends:
            return None
        self._seen = {worker: at for worker, at in self._seen.items() if now - at < 2 * self._lease}
        return sorted(self._seen)


class DeadWorkers:
    """Closes what a dead worker left open and tells the owners, and `settling` who is left.

    `process_id` is this process's own: as long as it is not in the presence store, the store has
    lost its memory and proves nothing.
    """

    def __init__(
        self,
        presence: Presence,
        streams: StreamLog,
        uptime: UptimeStore,
        overviews: Overviews,
        clock: Clock,
        *,
        settling: Settling,
        process_id: str,
        lease: float,
        now: float,
    ) -> None:
        self._presence = presence
        self._streams = streams
        self._uptime = uptime
        self._overviews = overviews
        self._settling = settling
        self._clock = clock
        self._process_id = process_id
        self._vigil = Vigil(lease, now)
        self._known: set[str] = set()
        self._alive = 0
        self._closed_users = 0
        settling.forget()

    async def step(self, now: float) -> None:
        """Look once; `now` is in seconds on a clock that never goes back.

        Raises:
            StorageUnavailable: a server is away.
        """
        at = self._clock.now()
        try:
            processes = await self._presence.processes()
        except StorageUnavailable:
            self._vigil.blind(now)
            self._settling.forget()
            raise
        if all(process.process_id != self._process_id for process in processes):
            self._vigil.blind(now)
        present = [process.process_id for process in processes if process.kind == "worker"]
        self._alive = len(present)
        alive = self._vigil.look(present, now)
        if alive is None:
            self._settling.forget()
            return
        with self._overviews.told():
            touched = await self._uptime.close_workers(alive, self._clock.now())
            self._overviews.changed(touched)
        if touched:
            self._closed_users += len(touched)
            _log.warning("nodes of dead workers taken offline", owners=len(touched), alive=len(alive))
        self._settling.judge(alive, at)
        await self._forget(set(alive))

    async def _forget(self, alive: set[str]) -> None:
        # A worker that was killed could not remove the stream that only it read.
        for worker in sorted(self._known - alive):
            await self._streams.drop(worker_stream(worker))
            self._known.discard(worker)
        self._known |= alive

    def metrics(self) -> Metrics:
        """Living workers, and how many owners were touched by the end of others."""
        return {"workers_alive": self._alive, "dead_worker_owners_total": self._closed_users}


_log = get_logger("jobs")
