"""From the workers' observations to the store, exactly once, and on to the people they concern."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from core.clock import Clock, to_ms
from core.errors import StorageUnavailable
from core.jobs.overviews import Overviews
from core.logs import get_logger
from core.metrics import Metrics
from services.events import INGEST_STREAM
from storage.base import Batch, NodeStore, StreamLog, UptimeStore

# Entries of one transaction.
CHUNK = 200
BLOCK_MS = 1000

decode_batch = msgspec.msgpack.Decoder(Batch).decode
Entry = tuple[str, bytes]


class Ingest:
    """Follows the ingest stream from the store's cursor on.

    The cursor moves only in the transaction that applies the entries before it, so each is applied
    exactly once. The stream is trimmed only behind what was also published: what was applied but
    perhaps not told is found there again by `resume`. An entry that cannot be read or applied is
    logged, counted and passed over.
    """

    def __init__(
        self, streams: StreamLog, uptime: UptimeStore, nodes: NodeStore, overviews: Overviews, clock: Clock
    ) -> None:
        self._streams = streams
        self._uptime = uptime
        self._nodes = nodes
        self._overviews = overviews
        self._clock = clock
        self._position = "0-0"
        self._entries = 0
        self._records = 0
        self._poison = 0
        self._lag_ms = 0

    async def resume(self) -> None:
        """Begin, or begin again after any failure, where the store stands.

        Raises:
            StorageUnavailable: a server is away; call it again later.
        """
        self._position = await self._uptime.cursor()
        if _key(await self._streams.last_id(INGEST_STREAM)) < _key(self._position):
            # Another, emptied Redis whose clock is behind: its entries are new in spite of their ids.
            self._position = "0-0"
        await self._republish()

    async def step(self) -> None:
        """Wait for entries, a second at most, and take in what there is.

        Raises:
            StorageUnavailable: a server is away; nothing is lost, `resume` goes on.
        """
        found = await self._streams.read({INGEST_STREAM: self._position}, CHUNK, BLOCK_MS)
        if not found:
            return
        await self._take_in([(entry_id, payload) for _, entry_id, payload in found])

    def metrics(self) -> Metrics:
        """Counts of what came, and the age of the newest entry when it was applied."""
        return {
            "ingest_entries_total": self._entries,
            "ingest_records_total": self._records,
            "ingest_poison_total": self._poison,
            "ingest_lag_ms": self._lag_ms,
        }

    async def _take_in(self, entries: Sequence[Entry]) -> None:
        position = entries[-1][0]
        touched = await self._apply(entries)
        self._position = position
        self._entries += len(entries)
        self._lag_ms = max(to_ms(self._clock.now()) - _key(position)[0], 0)
        await self._overviews.publish(touched)
        await self._streams.trim(INGEST_STREAM, position)

    async def _apply(self, entries: Sequence[Entry]) -> set[UUID]:
        batches = [batch for entry in entries if (batch := self._decode(*entry)) is not None]
        try:
            touched = await self._uptime.apply(batches, entries[-1][0])
        except StorageUnavailable:
            raise
        except Exception as error:
            # One of them cannot be stored: the others must not suffer.
            if len(entries) == 1:
                return await self._pass_over(entries[0][0], error)
            touched = set()
            for entry in entries:
                touched |= await self._apply([entry])
            return touched
        self._records += sum(len(batch.records) for batch in batches)
        return touched

    async def _pass_over(self, entry_id: str, error: Exception) -> set[UUID]:
        self._report_poison(entry_id, error)
        return await self._uptime.apply([], entry_id)

    def _decode(self, entry_id: str, payload: bytes) -> Batch | None:
        try:
            return decode_batch(payload)
        except msgspec.DecodeError as error:
            self._report_poison(entry_id, error)
            return None

    def _report_poison(self, entry_id: str, error: Exception) -> None:
        self._poison += 1
        _log.error("ingest entry passed over", entry=entry_id, reason=f"{type(error).__name__}: {error}")

    async def _republish(self) -> None:
        """Tell the owners of what was applied but not trimmed away, hence perhaps never told."""
        told_to = _key(self._position)
        position = "0-0"
        owners: set[UUID] = set()
        seen: set[UUID] = set()
        while _key(position) < told_to:
            found = await self._streams.read({INGEST_STREAM: position}, CHUNK, 0)
            applied = [(entry, payload) for _, entry, payload in found if _key(entry) <= told_to]
            if not applied:
                break
            position = applied[-1][0]
            fresh = {node for _, payload in applied for node in _nodes_of(payload)} - seen
            seen |= fresh
            for node_id in fresh:
                node = await self._nodes.by_id(node_id)
                if node is not None:
                    owners.add(node.user_id)
        await self._overviews.publish(owners)
        if position != "0-0":
            await self._streams.trim(INGEST_STREAM, position)


def _nodes_of(payload: bytes) -> set[UUID]:
    try:
        return {record.node_id for record in decode_batch(payload).records}
    except msgspec.DecodeError:
        return set()


def _key(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


_log = get_logger("jobs")
