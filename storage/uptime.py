"""The rules of measured uptime, apart from any store.

An adapter of `UptimeStore` loads the states of the nodes that a call concerns, lets a `Fold` apply the
records to them, and writes back what the fold holds. The rules themselves stand in the port's
docstring. All times are milliseconds since the epoch.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from msgspec import Struct

from storage.base import Batch, Closed, Confirmed, Opened, Record, Reported

HOUR_MS = 3_600_000

# Counts are a node's own claims: whatever it claims, two of these must fit a 64-bit column.
COUNT_LIMIT = (1 << 62) - 1


class NodeState(Struct, kw_only=True):
    """What is known of a node.

    `confirmed_until` is the end of what is already counted. `session_id`, `opened_ms` and `worker`
    belong to the newest connection. `presumed` says that the node is offline only because its
    worker fell silent, not because the end of the connection was reported.
    """

    user_id: UUID
    node_id: UUID
    online: bool = False
    since_ms: int | None = None
    confirmed_ms: int = 0
    confirmed_until: int = 0
    session_id: UUID | None = None
    opened_ms: int = 0
    worker: str = ""
    presumed: bool = False


class HourSums(Struct):
    """What is to be added to a node's hour."""

    confirmed_ms: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0


class SessionChange(Struct, kw_only=True):
    """What became known of a connection; None means nothing new.

    With `opened_ms` it is a new one. `reopened` takes a presumed end back.
    """

    opened_ms: int | None = None
    worker: str = ""
    address: str = ""
    closed_ms: int | None = None
    code: int | None = None
    agent_version: str | None = None
    reopened: bool = False


def split_hours(from_ms: int, to_ms: int) -> Iterable[tuple[int, int]]:
    """Cut [`from_ms`, `to_ms`) at full hours: (start of the hour, milliseconds within it)."""
    while from_ms < to_ms:
        hour = from_ms - from_ms % HOUR_MS
        end = min(to_ms, hour + HOUR_MS)
        yield hour, end - from_ms
        from_ms = end


class Fold:
    """Applies records to `states` (by node id), which it changes in place.

    `hours` is keyed (node, start of the hour), `sessions` (node, session); `touched` holds the
    nodes that had a record. Records of nodes that are not in `states` are ignored.
    """

    def __init__(self, states: Mapping[UUID, NodeState]) -> None:
        self.states = states
        self.hours: dict[tuple[UUID, int], HourSums] = {}
        self.sessions: dict[tuple[UUID, UUID], SessionChange] = {}
        self.touched: set[UUID] = set()

    def add(self, batch: Batch) -> None:
        """Apply the records of `batch` in order."""
        for record in batch.records:
            state = self.states.get(record.node_id)
            if state is not None:
                self.touched.add(record.node_id)
                self._apply(state, record, batch.worker)

    def owners(self) -> set[UUID]:
        """The owners of the touched nodes."""
        return {self.states[node_id].user_id for node_id in self.touched}

    def _apply(self, state: NodeState, record: Record, worker: str) -> None:
        match record:
            case Opened():
                self._open(state, record, worker)
            case Confirmed():
                self._confirm(state, record)
            case Reported():
                self._report(state, record)
            case Closed():
                self._close(state, record)

    def _open(self, state: NodeState, record: Opened, worker: str) -> None:
        change = self._session(record)
        change.opened_ms, change.worker, change.address = record.at_ms, worker, _storable(record.address)
        newest = (state.opened_ms, state.session_id.int if state.session_id else 0)
        # Workers hand their batches on independently, so an older connection may become known later.
        if (record.at_ms, record.session_id.int) <= newest:
            return
        state.session_id, state.opened_ms, state.worker = record.session_id, record.at_ms, worker
        state.presumed = False
        if not state.online:
            state.online, state.since_ms = True, record.at_ms

    def _confirm(self, state: NodeState, record: Confirmed) -> None:
        start = max(record.from_ms, state.confirmed_until)
        for hour, length in split_hours(start, record.to_ms):
            self._hour(record.node_id, hour).confirmed_ms += length
        if record.to_ms > start:
            state.confirmed_ms += record.to_ms - start
            state.confirmed_until = record.to_ms
        self._revive(state, record, record.to_ms)

    def _report(self, state: NodeState, record: Reported) -> None:
        sums = self._hour(record.node_id, record.at_ms - record.at_ms % HOUR_MS)
        sums.bytes_up = min(sums.bytes_up + record.bytes_up, COUNT_LIMIT)
        sums.bytes_down = min(sums.bytes_down + record.bytes_down, COUNT_LIMIT)
        sums.errors = min(sums.errors + record.errors, COUNT_LIMIT)
        if record.agent_version:
            self._session(record).agent_version = _storable(record.agent_version)
        self._revive(state, record, record.at_ms)

    def _close(self, state: NodeState, record: Closed) -> None:
        change = self._session(record)
        change.closed_ms, change.code, change.reopened = record.at_ms, record.code, False
        if record.session_id != state.session_id:
            return
        state.presumed = False
        if state.online:
            state.online, state.since_ms = False, record.at_ms

    def _revive(self, state: NodeState, record: Confirmed | Reported, at_ms: int) -> None:
        """A sign of life after the presumed end shows that the connection is still open."""
        if not state.presumed or record.session_id != state.session_id or at_ms <= (state.since_ms or 0):
            return
        state.online, state.since_ms, state.presumed = True, at_ms, False
        self._session(record).reopened = True

    def _hour(self, node_id: UUID, hour: int) -> HourSums:
        return self.hours.setdefault((node_id, hour), HourSums())

    def _session(self, record: Record) -> SessionChange:
        return self.sessions.setdefault((record.node_id, record.session_id), SessionChange())


def _storable(text: str) -> str:
    """PostgreSQL has no NUL in texts; a peer must not be able to stop the ingest with one."""
    return text.replace("\0", "")
