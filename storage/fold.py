"""How records change what is kept of nodes.

An adapter of `UptimeStore` loads the states that a call concerns, lets a `Fold` apply the records to them,
and writes back what the fold holds. Counts and seconds of reports are the adapter's own business: a
fold only looks at reports for what they say about connections.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from core.errors import CloseCode
from storage.base import Batch, Closed, Described, Health, Opened, Place, Record, Report
from storage.moves import Move, move_of
from storage.stretches import Merge, Stretch, Stretches, beginning, session_of
from storage.uptime import (
    CALM,
    FLAPPING,
    HOUR_S,
    TURN,
    NodeState,
    Rules,
    Span,
    Unsettled,
    contains,
    decayed,
    is_ours,
    is_sane,
    status_of,
    united,
)

_NOWHERE = Place()


class SessionChange(Struct, kw_only=True):
    """What became known of a session; None means nothing new.

    With `opened_ms` it is a new one. `connections` and bytes are to be added. `resumed`: it goes on.
    """

    opened_ms: int | None = None
    worker: str | None = None
    address: str | None = None
    place: Place = _NOWHERE
    connections: int = 0
    closed_ms: int | None = None
    code: int | None = None
    resumed: bool = False
    agent_version: str | None = None
    bytes_up: int = 0
    bytes_down: int = 0


def hours_asked(states: Iterable[NodeState], batches: Iterable[Batch], rules: Rules) -> set[tuple[UUID, int]]:
    """The hours (node, hour since the epoch) of which a fold has to know what is confirmed."""
    moments = set()
    known = set()
    for state in states:
        known.add(state.node_id)
        if state.connection_id is not None:
            moments.add((state.node_id, state.opened_ms // 1000))
        moments.update((state.node_id, each.to_s) for each in state.unsettled)
    for batch in batches:
        for record in batch.records:
            if type(record) is Opened and record.node_id in known:
                moments.add((record.node_id, record.at_ms // 1000))
    return {
        (node_id, moment // HOUR_S)
        for node_id, second in moments
        for moment in (second, second - rules.longest_gap)
    }


class Fold:
    """Applies records to `states` (by node id), which it changes in place.

    `confirmed` are the spans of seconds since the epoch, by node, that are confirmed already in the
    `hours_asked`, `sessions` the newest sessions of the nodes in `sessions_asked`. Afterwards `touched` are
    the nodes that had a record, `changed` the owners of those whose status changed, `sessions` the changes
    by node and session, to be followed by the `merges`, and `credits` the spans of seconds since the epoch
    that count besides those reported.
    """

    def __init__(
        self,
        states: Mapping[UUID, NodeState],
        rules: Rules,
        places: Mapping[str, Place] | None = None,
        confirmed: Mapping[UUID, Sequence[Span]] | None = None,
        sessions: Mapping[UUID, Sequence[Stretch]] | None = None,
    ) -> None:
        self.states = states
        self.touched: set[UUID] = set()
        self.changed: set[UUID] = set()
        self.sessions: dict[tuple[UUID, UUID], SessionChange] = {}
        self._stretches = Stretches(sessions or {}, rules)
        self._seen_s: dict[UUID, int] = {}
        self.credits: list[tuple[UUID, Span]] = []
        self.moves: list[Move] = []
        self.overlaps: dict[tuple[UUID, UUID], int] = {}
        self._rules = rules
        self._places = places or {}
        self._confirmed = {node_id: united(spans) for node_id, spans in (confirmed or {}).items()}

    def add(self, batch: Batch) -> None:
        """Apply the records of `batch` in order; those of nodes not in `states` are ignored."""
        for record in batch.records:
            state = self.states.get(record.node_id)
            if state is not None:
                self.touched.add(record.node_id)
                self._apply(state, record, batch.worker)

    @property
    def merges(self) -> list[Merge]:
        """The sessions that are parts of others, each with the one that is left."""
        return self._stretches.merges()

    def owners(self) -> set[UUID]:
        """The owners of the touched nodes."""
        return {self.states[node_id].user_id for node_id in self.touched}

    def settle(self, node_id: UUID) -> None:
        """Credit the time after connections of which everything needed is known by now."""
        state = self.states[node_id]
        resolved = True
        while resolved:
            # The end of a credited span may be what another one waits for.
            resolved = False
            for each in list(state.unsettled):
                if self._is_settled(state, each):
                    state.unsettled.remove(each)
                    resolved = True

    def suspend(self, state: NodeState, suspended: bool, at_ms: int) -> None:
        """Suspend a node, which ends its connection, or let it in again."""
        self.touched.add(state.node_id)
        if suspended:
            if state.online:
                self._end(state, at_ms, CloseCode.REVOKED)
            state.presumed = False
            state.unsettled = []
        state.suspended = suspended
        self._set_status(state, at_ms)

    def presume(self, state: NodeState, at_ms: int) -> None:
        """Presume the end of a node's newest connection."""
        self.touched.add(state.node_id)
        self._end(state, at_ms, None)
        state.presumed = True

    def presume_left(self, state: NodeState, alive: Collection[str], at_ms: int) -> None:
        """Presume the end of connections that were followed by others, where their worker is not alive."""
        for each in state.unsettled:
            if each.closed_ms is None and each.worker not in alive:
                each.closed_ms = at_ms
                self._close_own_session(state, each, at_ms, None)
                self.touched.add(state.node_id)
        self.settle(state.node_id)

    def calm(self, state: NodeState, at_ms: int) -> None:
        """Let a node that flaps calm down if it is time."""
        left = decayed(state.penalty, at_ms - state.penalty_ms)
        if left < CALM:
            state.flapping, state.penalty, state.penalty_ms = False, left, max(state.penalty_ms, at_ms)
            self.touched.add(state.node_id)
        self._set_status(state, at_ms)

    def _apply(self, state: NodeState, record: Record, worker: str) -> None:
        match record:
            case Report():
                self._report(state, record)
            case Opened():
                self._open(state, record, worker)
            case Described():
                self._describe(state, record)
            case Health():
                self._health(state, record)
            case Closed():
                self._close(state, record)

    # --- coming and going -------------------------------------------------------------------------

    def _open(self, state: NodeState, record: Opened, worker: str) -> None:
        early = _take(state, record.connection_id)
        opened_s = record.at_ms // 1000
        for each in state.unsettled:
            if each.opened_ms is not None and each.opened_ms < record.at_ms:
                each.to_s = min(each.to_s, opened_s)
        move = move_of(state, record, self._places.get(record.address, _NOWHERE))
        if move is not None:
            self.moves.append(move)
        newest = state.opened_ms, state.connection_id.int if state.connection_id else 0
        # Workers hand their batches on independently, so an older connection may become known later.
        if (record.at_ms, record.connection_id.int) <= newest:
            self._open_late(state, record, worker, early)
        else:
            self._follow(state, opened_s)
            self._open_newest(state, record, worker)
            if early is not None and early.closed_ms is not None:
                self._end(state, early.closed_ms, early.code)
        self.settle(state.node_id)

    def _open_newest(self, state: NodeState, record: Opened, worker: str) -> None:
        place = self._places.get(record.address, _NOWHERE)
        address = storable(record.address)
        back_soon = state.online or (
            state.closed_ms is not None and record.at_ms - state.closed_ms <= self._rules.window_ms
        )
        if state.session_id is None or not self._is_near(state, record.at_ms):
            self._begin_session(state, record.connection_id, record.at_ms)
            change = self._session(state)
            change.opened_ms, change.connections = record.at_ms, 1
        else:
            change = self._session(state)
            change.connections += 1
            change.closed_ms = change.code = None
            change.resumed = True
        change.worker, change.address, change.place = worker, address, place
        excused = state.presumed or (state.closed_ms is not None and is_ours(state.closed_code))
        if not state.online and not (back_soon and excused):
            _turn(state, record.at_ms)
        state.connection_id, state.opened_ms, state.worker = record.connection_id, record.at_ms, worker
        state.address, state.place = address, place
        state.online, state.sound = True, True
        state.presumed, state.closed_ms, state.closed_code = False, None, None
        self._set_status(state, record.at_ms)

    def _is_near(self, state: NodeState, at_ms: int) -> bool:
        """Whether the newest connection is known to have been there within the window before `at_ms`.

        It may have been open for longer than was heard of: then the sessions are put together later.
        """
        last_ms = self._stretches.last_of_newest(state)
        seen_ms = max(state.seen_s, self._seen_s.get(state.node_id, 0)) * 1000
        if state.online and seen_ms <= at_ms:
            last_ms = max(last_ms, seen_ms)
        return at_ms - last_ms <= self._rules.window_ms

    def _begin_session(self, state: NodeState, connection_id: UUID, at_ms: int) -> None:
        if state.session_id is not None:
            former = self._session(state)
            former.bytes_up += state.session_up
            former.bytes_down += state.session_down
            state.session_up = state.session_down = 0
        self._stretches.begin(state, connection_id, at_ms)
        state.session_id = connection_id

    def _open_late(self, state: NodeState, record: Opened, worker: str, early: Unsettled | None) -> None:
        """A connection that was followed by others before it was heard of."""
        openings = (each.opened_ms or 0 for each in state.unsettled)
        followed_ms = min([state.opened_ms, *(at_ms for at_ms in openings if at_ms > record.at_ms)])
        left = Unsettled(
            connection_id=record.connection_id,
            worker=worker,
            opened_ms=record.at_ms,
            from_s=max(record.at_ms // 1000, self._confirmed_before(state, followed_ms // 1000)),
            to_s=followed_ms // 1000,
        )
        if early is not None:
            left.closed_ms, left.code = early.closed_ms, early.code
        known = self._stretches.of(state)
        state.unsettled = [*state.unsettled, left]
        alone = Stretch(
            session_id=record.connection_id,
            opened_ms=record.at_ms,
            last_ms=max(record.at_ms, left.closed_ms or 0),
        )
        near = self._stretches.near(known, alone)
        first = min([*near, alone], key=beginning)
        change = self._change(state.node_id, first.session_id)
        change.connections += 1
        if first is alone:
            known.append(alone)
            change.opened_ms = record.at_ms
        if first is alone or record.at_ms >= first.last_ms:
            # Nothing of this session is newer.
            change.worker, change.address = worker, storable(record.address)
            change.place = self._places.get(record.address, _NOWHERE)
            change.closed_ms, change.code, change.resumed = left.closed_ms, left.code, left.closed_ms is None
        elif left.closed_ms is not None and left.closed_ms > first.last_ms:
            change.closed_ms, change.code, change.resumed = left.closed_ms, left.code, False
        first.last_ms = max(first.last_ms, alone.last_ms)
        self._stretches.unite(state, near if first in near else [alone, *near])

    def _extend(self, state: NodeState, left: Unsettled, at_ms: int) -> None:
        """An older connection was there at `at_ms`: so others may be of its session."""
        known = self._stretches.of(state)
        own = session_of(known, left)
        if own is not None:
            own.last_ms = max(own.last_ms, at_ms)
            self._stretches.unite(state, self._stretches.near(known, own))

    def _follow(self, state: NodeState, opened_s: int) -> None:
        """The newest connection is about to be followed by one opened at `opened_s`."""
        if state.connection_id is None:
            return
        excused = state.sound and (state.presumed or is_ours(state.closed_code))
        if not state.online and not excused:
            return
        left = Unsettled(
            connection_id=state.connection_id,
            worker=state.worker,
            opened_ms=state.opened_ms,
            closed_ms=state.closed_ms,
            code=state.closed_code,
            from_s=max(state.opened_ms // 1000, self._confirmed_before(state, opened_s)),
            to_s=opened_s,
            sound=state.sound,
        )
        state.unsettled = [*state.unsettled, left]

    def _close(self, state: NodeState, record: Closed) -> None:
        if record.connection_id == state.connection_id:
            if state.online or state.presumed:
                self._end(state, record.at_ms, record.code)
            return
        left = next((each for each in state.unsettled if each.connection_id == record.connection_id), None)
        if left is None:
            left = Unsettled(connection_id=record.connection_id)
            state.unsettled = [*state.unsettled, left]
        else:
            self._close_own_session(state, left, record.at_ms, record.code)
        left.closed_ms, left.code = record.at_ms, record.code
        self.settle(state.node_id)

    def _close_own_session(self, state: NodeState, left: Unsettled, at_ms: int, code: int | None) -> None:
        """An older connection has ended: so has its session, unless that is the newest one."""
        own = session_of(self._stretches.of(state), left)
        if own is not None and own.session_id != state.session_id and at_ms >= own.last_ms:
            change = self._change(state.node_id, own.session_id)
            change.closed_ms, change.code, change.resumed = at_ms, code, False
        self._extend(state, left, at_ms)

    def _end(self, state: NodeState, at_ms: int, code: int | None) -> None:
        if not is_ours(code):
            _turn(state, at_ms)
        state.online, state.presumed = False, False
        state.closed_ms, state.closed_code = at_ms, code
        change = self._session(state)
        change.closed_ms, change.code, change.resumed = at_ms, code, False
        self._set_status(state, at_ms)

    # --- signs of life ----------------------------------------------------------------------------

    def _report(self, state: NodeState, record: Report) -> None:
        if not is_sane(record):
            return
        start, end = record.hour * HOUR_S + record.start, record.hour * HOUR_S + record.end
        if start < end:
            state.confirmed_to = max(state.confirmed_to, end)
            self._confirm(state, (start, end))
            for each in state.unsettled:
                if each.connection_id == record.connection_id:
                    each.from_s = max(each.from_s, min(end, each.to_s))
            if record.connection_id != state.connection_id:
                key = state.node_id, record.connection_id
                self.overlaps[key] = max(self.overlaps.get(key, 0), end)
        self._seen_s[state.node_id] = max(self._seen_s.get(state.node_id, 0), record.at_s)
        for each in state.unsettled:
            if each.connection_id == record.connection_id and each.opened_ms is not None:
                self._extend(state, each, record.at_s * 1000)
        self._revive(state, record.connection_id, record.at_s * 1000)
        self.settle(state.node_id)

    def _describe(self, state: NodeState, record: Described) -> None:
        if record.connection_id == state.connection_id:
            state.agent_version = self._session(state).agent_version = storable(record.agent_version)

    def _health(self, state: NodeState, record: Health) -> None:
        if record.connection_id == state.connection_id:
            self._revive(state, record.connection_id, record.at_ms)
            state.sound = record.sound
            self._set_status(state, record.at_ms)
        for each in state.unsettled:
            if each.connection_id == record.connection_id:
                each.sound = record.sound

    def _revive(self, state: NodeState, connection_id: UUID, at_ms: int) -> None:
        """A sign of life after the presumed end shows that the connection is still open."""
        if not state.presumed or connection_id != state.connection_id or at_ms <= (state.closed_ms or 0):
            return
        state.online, state.presumed, state.closed_ms = True, False, None
        change = self._session(state)
        change.closed_ms, change.resumed = None, True
        self._set_status(state, at_ms)

    # --- settling ---------------------------------------------------------------------------------

    def _is_settled(self, state: NodeState, left: Unsettled) -> bool:
        if left.opened_ms is None or left.closed_ms is None:
            return False
        too_late = left.to_s * 1000 - left.closed_ms > self._rules.window_ms
        if not is_ours(left.code) or not left.sound or too_late or left.from_s >= left.to_s:
            return True
        # What it was confirmed for may still be on its way, and with it the gap becomes shorter.
        if left.to_s - left.from_s > self._rules.longest_gap or not self._is_confirmed(state, left.to_s):
            return False
        span = left.from_s, left.to_s
        self.credits.append((state.node_id, span))
        self._confirm(state, span)
        return True

    def _confirm(self, state: NodeState, span: Span) -> None:
        self._confirmed[state.node_id] = united([*self._confirmed.get(state.node_id, ()), span])

    def _is_confirmed(self, state: NodeState, second: int) -> bool:
        return contains(self._confirmed.get(state.node_id, ()), second)

    def _confirmed_before(self, state: NodeState, second: int) -> int:
        """The end of the last confirmed second before `second`, as far as it matters."""
        spans = self._confirmed.get(state.node_id, ())
        return max((min(end, second) for start, end in spans if start < second), default=0)

    def _session(self, state: NodeState) -> SessionChange:
        if state.session_id is None:
            raise AssertionError("a connection is of a session")
        return self._change(state.node_id, state.session_id)

    def _change(self, node_id: UUID, session_id: UUID) -> SessionChange:
        """What became known of a session, or of its newest part."""
        part = self._stretches.newest_part(node_id, session_id)
        return self.sessions.setdefault((node_id, part), SessionChange())

    def _set_status(self, state: NodeState, at_ms: int) -> None:
        status = status_of(state, at_ms, self._rules)
        if status != state.status:
            state.status, state.since_ms = status, at_ms
            self.touched.add(state.node_id)
            self.changed.add(state.user_id)


def _take(state: NodeState, connection_id: UUID) -> Unsettled | None:
    """The end of a connection that was heard of before its beginning, if it was; it is forgotten."""
    for each in state.unsettled:
        if each.connection_id == connection_id and each.opened_ms is None:
            state.unsettled = [other for other in state.unsettled if other is not each]
            return each
    return None


def _turn(state: NodeState, at_ms: int) -> None:
    """Count a coming or going that was the node's own."""
    left = decayed(state.penalty, at_ms - state.penalty_ms)
    state.flapping = state.flapping and left >= CALM
    state.penalty, state.penalty_ms = left + TURN, max(state.penalty_ms, at_ms)
    state.flapping = state.flapping or state.penalty > FLAPPING


def storable(text: str) -> str:
    """PostgreSQL has no NUL in texts; a peer must not be able to stop the ingest with one."""
    return text.replace("\0", "")
