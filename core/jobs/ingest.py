"""From the workers' observations to the store, exactly once, and on to the people they concern."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import msgspec

from core.clock import Clock
from core.errors import StorageUnavailable
from core.jobs.overviews import Overviews
from core.logs import get_logger
from core.metrics import Metrics
from core.tasks import end
from services.events import INGEST_STREAM
from storage.base import Applied, Batch, Opened, Place, Record, Report, StreamLog, UptimeStore
from storage.base.uptime import Described

GROUP = "jobs"
# What could not be read or stored, kept for whoever wants to know why.
REFUSED_STREAM = "ingest:refused"
REFUSED_KEPT = 1000

# One transaction takes about as much as this at most: nothing is added beyond.
MOST_RECORDS = 50_000
MOST_ENTRIES = 200
# Transactions at a time: while one counts, the next one is filled.
AHEAD = 2
# Entries of one read: nothing else is done while its answer is parsed.
READ = 20
BLOCK_MS = 1000
# Seconds between two looks for entries that a process took which had lost the lock, and died with them.
RECLAIM_INTERVAL = 10.0
# A worker's clock may be ahead of ours by this much.
AHEAD_MS = 300_000

Locate = Callable[[str], Place]
decode_batch = msgspec.msgpack.Decoder(Batch).decode


class _Load:
    """What one transaction takes: entries in order of id, their batches, and where their addresses are."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.batches: list[tuple[str, bytes, Batch]] = []
        self.places: dict[str, Place] = {}
        self.records = 0

    @property
    def full(self) -> bool:
        """Whether nothing more should be added."""
        return self.records >= MOST_RECORDS or len(self.ids) >= MOST_ENTRIES

    def add(self, other: "_Load") -> None:
        """Take what comes behind."""
        self.ids += other.ids
        self.batches += other.batches
        self.places |= other.places
        self.records += other.records


class Ingest:
    """Reads the ingest stream as one of a group and applies what it finds.

    An entry is acknowledged after the transaction that applied it, so whatever dies in between, it comes
    again; the store applies each batch once. While a transaction runs the next entries are read and
    decoded: one entry at a time if there is time, many at once if not, and a full load is staged already.
    An entry that cannot be read or applied is passed over: logged, counted and kept in `REFUSED_STREAM`.
    """

    def __init__(
        self, streams: StreamLog, uptime: UptimeStore, overviews: Overviews, locate: Locate, clock: Clock
    ) -> None:
        """`locate` tells where an address is."""
        self._streams = streams
        self._uptime = uptime
        self._overviews = overviews
        self._locate = locate
        self._clock = clock
        self._next = _Load()
        # Ids of all that was read and is not acknowledged.
        self._taken: set[str] = set()
        self._busy = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._ahead: set[str] = set()
        self._counts = dict.fromkeys(
            (
                "entries",
                "records",
                "duplicates",
                "missing",
                "found",
                "unknown",
                "future",
                "poison",
                "trimmed",
                "transactions",
            ),
            0,
        )
        self._lag_ms = 0
        self._waiting = 0
        self._oldest_ms = 0

    async def run(self, recovered: Callable[[], None]) -> None:
        """Take in what comes until cancelled; `recovered` is called whenever all is well.

        Raises:
            StorageUnavailable: a server is away; nothing is lost, call it again.
        """
        self._next = _Load()
        self._taken.clear()
        # What was applied when the answer was lost, or by a process that died, was perhaps never told.
        self._overviews.everybody()
        reading = asyncio.create_task(self._read(recovered))
        running = [reading]
        reading.add_done_callback(lambda _: self._filled.set())
        try:
            while True:
                for task in running:
                    if task.done():
                        task.result()
                running = [task for task in running if not task.done()]
                self._busy = len(running) > 1
                # A full load is staged while the one before it is counted; others wait and grow.
                if self._next.ids and (not self._busy or (self._next.full and len(running) <= AHEAD)):
                    load, self._next = self._next, _Load()
                    self._room.set()
                    applying = asyncio.create_task(self._take_in(load, recovered))
                    applying.add_done_callback(lambda _: self._filled.set())
                    running.append(applying)
                else:
                    self._filled.clear()
                    await self._filled.wait()
        finally:
            await end(running)

    async def measure(self) -> None:
        """Look how much waits.

        Raises:
            StorageUnavailable: the streams are away.
        """
        backlog = await self._streams.backlog(INGEST_STREAM)
        self._waiting = backlog.entries
        oldest = backlog.oldest_ms
        self._oldest_ms = 0 if oldest is None else max(self._clock.now_ms() - oldest, 0)

    def metrics(self) -> Metrics:
        """Counts of what came and what became of it.

        `ingest_missing_total` are batches that never came, `ingest_found_total` those of them that came
        late. `ingest_lag_ms` is the age of the newest entry when it was applied, `ingest_oldest_ms` that of
        the oldest of the `ingest_waiting` entries.
        """
        return {
            **{f"ingest_{name}_total": count for name, count in self._counts.items()},
            "ingest_lag_ms": self._lag_ms,
            "ingest_waiting": self._waiting,
            "ingest_oldest_ms": self._oldest_ms,
        }

    async def _read(self, recovered: Callable[[], None]) -> None:
        position: str | None = "0-0"
        while position is not None:
            claimed = await self._streams.claim(INGEST_STREAM, GROUP, position, READ)
            if claimed.lost:
                self._counts["trimmed"] += len(claimed.lost)
                _log.error("ingest entries lost: the stream was trimmed", entries=len(claimed.lost))
            await self._hand_on(claimed.entries)
            position = claimed.position
        reclaim_at = monotonic() + RECLAIM_INTERVAL
        while True:
            entries = await self._streams.read_group(INGEST_STREAM, GROUP, READ, BLOCK_MS)
            if not entries and not self._busy:
                recovered()
            await self._hand_on(entries)
            if monotonic() >= reclaim_at:
                await self._reclaim()
                reclaim_at = monotonic() + RECLAIM_INTERVAL

    async def _reclaim(self) -> None:
        """Take over what somebody else read and did not apply: it is among the oldest that wait."""
        # Some may be acknowledged while this is asked.
        own = self._taken.copy()
        claimed = await self._streams.claim(INGEST_STREAM, GROUP, "0-0", READ)
        await self._hand_on([entry for entry in claimed.entries if entry[0] not in own])

    async def _take_in(self, load: _Load, recovered: Callable[[], None]) -> None:
        await self._apply(load.batches, load.places)
        await self._streams.acknowledge(INGEST_STREAM, GROUP, load.ids)
        self._taken.difference_update(load.ids)
        self._counts["entries"] += len(load.ids)
        self._lag_ms = max(self._clock.now_ms() - int(load.ids[-1].partition("-")[0]), 0)
        recovered()

    async def _hand_on(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Add entries to the next load, as soon as there is room."""
        load = _Load()
        self._taken.update(entry_id for entry_id, _ in entries)
        for entry_id, payload in entries:
            await self._take(load, entry_id, payload)
            # Decoding is work: let others have their turn in between.
            await asyncio.sleep(0)
        while self._next.full:
            self._room.clear()
            await self._room.wait()
        self._next.add(load)
        self._filled.set()

    async def _take(self, load: _Load, entry_id: str, payload: bytes) -> None:
        try:
            batch = decode_batch(payload)
        except (msgspec.DecodeError, ValueError) as error:
            await self._pass_over(entry_id, payload, error)
        else:
            batch = self._without_future(batch)
            load.batches.append((entry_id, payload, batch))
            load.records += len(batch.records)
            for record in batch.records:
                if type(record) is Opened and record.address not in load.places:
                    load.places[record.address] = self._locate(record.address)
        load.ids.append(entry_id)

    def _without_future(self, batch: Batch) -> Batch:
        latest_ms = self._clock.now_ms() + AHEAD_MS
        latest_s = latest_ms // 1000
        kept = [record for record in batch.records if _has_been(record, latest_ms, latest_s)]
        ahead = len(batch.records) - len(kept)
        # Who is ahead will tell of earlier times once its clock is right again.
        until_ms = batch.until_ms if 0 <= batch.until_ms <= latest_ms else 0
        if not ahead and until_ms == batch.until_ms:
            return batch
        self._counts["future"] += ahead
        if batch.worker not in self._ahead:
            self._ahead.add(batch.worker)
            _log.warning("records from the future dropped: whose clock is wrong?", worker=batch.worker)
        return msgspec.structs.replace(batch, records=kept, until_ms=until_ms)

    async def _apply(self, batches: Sequence[tuple[str, bytes, Batch]], places: Mapping[str, Place]) -> None:
        if not batches:
            return
        try:
            applied = await self._uptime.apply([batch for _, _, batch in batches], places)
        except StorageUnavailable:
            raise
        except Exception as error:
            # One of them cannot be stored: the others must not suffer.
            if len(batches) == 1:
                entry_id, payload, _ = batches[0]
                await self._pass_over(entry_id, payload, error)
                return
            middle = len(batches) // 2
            await self._apply(batches[:middle], places)
            await self._apply(batches[middle:], places)
            return
        self._count(applied)
        self._counts["transactions"] += 1
        self._counts["records"] += sum(len(batch.records) for _, _, batch in batches)
        self._overviews.changed(applied.changed)
        self._overviews.grown(applied.touched - applied.changed)

    def _count(self, applied: Applied) -> None:
        self._counts["duplicates"] += applied.duplicates
        self._counts["unknown"] += applied.unknown
        self._counts["missing"] += max(applied.missing, 0)
        self._counts["found"] += max(-applied.missing, 0)

    async def _pass_over(self, entry_id: str, payload: bytes, error: Exception) -> None:
        await self._streams.append(REFUSED_STREAM, payload, REFUSED_KEPT)
        self._counts["poison"] += 1
        _log.error("ingest entry passed over", entry=entry_id, reason=f"{type(error).__name__}: {error}")


def _has_been(record: Record, latest_ms: int, latest_s: int) -> bool:
    if isinstance(record, Report):
        return record.at_s <= latest_s and record.hour * 3600 + record.end <= latest_s
    return isinstance(record, Described) or record.at_ms <= latest_ms


_log = get_logger("jobs")
