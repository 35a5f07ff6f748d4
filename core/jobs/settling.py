"""Up to when all that workers confirmed is in the store."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from core.clock import Clock
from core.metrics import Metrics
from services.events import INGEST_STREAM
from storage.base import StreamLog, UptimeStore


class _Candidate(Struct, frozen=True):
    """A time that holds as soon as nothing waits in the stream that is as old as `entry_ms`."""

    until: datetime
    entry_ms: int


class Settling:
    """Finds the time before which no second will be confirmed any more by what living workers saw.

    That is the least of their watermarks, and never later than the moment in which it was last judged who
    lives: who comes after it has seen nothing before it. What a watermark promises was put into the stream
    before it; that all of it was also taken out of the stream is asked of the stream, since a process that
    believed to lead may have died with entries in its hands.

    Nothing is known (None) before somebody has judged, while a living worker has told nothing yet, and
    while its clock is ahead. If a clock is set back, the time goes back with it.
    """

    def __init__(self, uptime: UptimeStore, streams: StreamLog, clock: Clock) -> None:
        self._uptime = uptime
        self._streams = streams
        self._clock = clock
        self._alive: Sequence[str] | None = None
        self._judged_at = clock.now()
        self._watermarks: dict[str, datetime | None] = {}
        self._candidate: _Candidate | None = None
        self._settled: datetime | None = None

    def forget(self) -> None:
        """It is not known any more who lives."""
        self._alive = self._candidate = self._settled = None
        self._watermarks = {}

    def judge(self, alive: Sequence[str], at: datetime) -> None:
        """All workers but `alive` were closed; `at` is from before it was looked who lives."""
        self._alive, self._judged_at = alive, at

    async def look(self) -> datetime | None:
        """The time as of now; what is appended from here on is regarded in a later call.

        Raises:
            StorageUnavailable: a server is away.
        """
        candidate, self._candidate = self._candidate, None
        until = await self._least()
        if until is None:
            self._settled = None
            return None
        if candidate is not None:
            oldest_ms = (await self._streams.backlog(INGEST_STREAM)).oldest_ms
            if oldest_ms is None or oldest_ms > candidate.entry_ms:
                self._settled, candidate = candidate.until, None
        if candidate is None:
            last_id = await self._streams.last_id(INGEST_STREAM)
            candidate = _Candidate(until, int(last_id.partition("-")[0]))
        self._candidate = candidate
        if self._settled is not None:
            # It went back.
            self._settled = min(self._settled, until)
        return self._settled

    def behind(self, at: datetime) -> dict[str, datetime | None]:
        """The living workers that have not told all up to `at`, with up to when; as of the last look."""
        return {
            worker: watermark
            for worker, watermark in self._watermarks.items()
            if watermark is None or watermark < at
        }

    def metrics(self) -> Metrics:
        """How old the time is, in milliseconds; -1: it is not known."""
        age_ms = -1
        if self._settled is not None:
            age_ms = max(round((self._clock.now() - self._settled).total_seconds() * 1000), 0)
        return {"ingest_settled_age_ms": age_ms}

    async def _least(self) -> datetime | None:
        alive, judged_at = self._alive, self._judged_at
        if alive is None:
            return None
        found = await self._uptime.watermarks(alive)
        self._watermarks = {worker: found.get(worker) for worker in alive}
        if len(found) < len(alive):
            return None
        return min([judged_at, *found.values()])
