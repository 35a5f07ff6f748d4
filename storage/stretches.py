"""Sessions in time: which connections are of one session, in whatever order they are heard of.

A session is a stretch, from its first opening to when one of its connections is known to have been there.
Stretches only ever grow, and those that are no further apart than the resume window become one: so the order
in which they do cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from storage.base import Batch, Closed, Opened
from storage.uptime import NodeState, Rules, Unsettled


class Stretch(Struct, kw_only=True):
    """A session, from its first opening to when it is known to have been there last."""

    session_id: UUID
    opened_ms: int
    last_ms: int


class Merge(Struct, frozen=True, kw_only=True):
    """Session `session_id` turned out to be part of `into`, which began before it.

    What both counted is added up. `newest`: who and where it is, and its end, are those of this part.
    """

    node_id: UUID
    into: UUID
    session_id: UUID
    newest: bool


def sessions_asked(states: Iterable[NodeState], batches: Iterable[Batch]) -> set[UUID]:
    """The nodes of which one has to know the newest sessions: what `batches` tell may be late."""
    newest = {state.node_id: state.opened_ms for state in states}
    asked = {state.node_id for state in states if state.unsettled}
    opened: set[UUID] = set()
    met: set[UUID] = set()
    several: set[UUID] = set()
    for batch in batches:
        for record in batch.records:
            if type(record) not in (Opened, Closed) or record.node_id not in newest:
                continue
            (several if record.node_id in met else met).add(record.node_id)
            if type(record) is Opened:
                opened.add(record.node_id)
                if record.at_ms <= newest[record.node_id]:
                    asked.add(record.node_id)
    return asked | (several & opened)


class Stretches:
    """The sessions of nodes: `known` are the newest ones of those in `sessions_asked`."""

    def __init__(self, known: Mapping[UUID, Sequence[Stretch]], rules: Rules) -> None:
        self._known = {node_id: list(stretches) for node_id, stretches in known.items()}
        self._window_ms = rules.window_ms
        self._absorbed: dict[tuple[UUID, UUID], UUID] = {}
        self._newest_part: dict[tuple[UUID, UUID], UUID] = {}

    def of(self, state: NodeState) -> list[Stretch]:
        """The known sessions of a node, with what its connections tell of them by now."""
        known = self._known.setdefault(state.node_id, [])
        for stretch in known:
            if stretch.session_id == state.session_id:
                stretch.last_ms = max(stretch.last_ms, state.opened_ms, state.closed_ms or 0)
        for each in state.unsettled:
            own = session_of(known, each)
            if own is not None:
                own.last_ms = max(own.last_ms, each.opened_ms or 0, each.closed_ms or 0)
        return known

    def last_of_newest(self, state: NodeState) -> int:
        """When the newest session is known to have been there last, in milliseconds."""
        known = self._known.get(state.node_id, ())
        its = (stretch.last_ms for stretch in known if stretch.session_id == state.session_id)
        return max(state.opened_ms, state.closed_ms or 0, *its)

    def begin(self, state: NodeState, session_id: UUID, at_ms: int) -> None:
        """A newer session than the newest one begins."""
        if state.node_id in self._known:
            self.of(state).append(Stretch(session_id=session_id, opened_ms=at_ms, last_ms=at_ms))

    def near(self, known: Iterable[Stretch], stretch: Stretch) -> list[Stretch]:
        """Those that are no further from `stretch` than the resume window."""
        return [
            other
            for other in known
            if other.opened_ms - self._window_ms <= stretch.last_ms
            and stretch.opened_ms - self._window_ms <= other.last_ms
        ]

    def unite(self, state: NodeState, parts: Iterable[Stretch]) -> None:
        """Make one session of several: the one that began first."""
        first, *others = sorted(parts, key=beginning)
        for part in others:
            first.last_ms = max(first.last_ms, part.last_ms)
            self._known[state.node_id].remove(part)
            self._absorbed[state.node_id, part.session_id] = first.session_id
            self._newest_part[state.node_id, first.session_id] = part.session_id
            if state.session_id == part.session_id:
                state.session_id = first.session_id

    def merges(self) -> list[Merge]:
        """The sessions that are parts of others, each with the one that is left."""
        return [
            Merge(
                node_id=node_id,
                into=(into := self._left(node_id, session_id)),
                session_id=session_id,
                newest=self.newest_part(node_id, into) == session_id,
            )
            for node_id, session_id in self._absorbed
        ]

    def newest_part(self, node_id: UUID, session_id: UUID) -> UUID:
        """The session that became the newest part of another one; itself if it is all there is."""
        while (part := self._newest_part.get((node_id, session_id))) is not None:
            session_id = part
        return session_id

    def _left(self, node_id: UUID, session_id: UUID) -> UUID:
        while (into := self._absorbed.get((node_id, session_id))) is not None:
            session_id = into
        return session_id


def beginning(stretch: Stretch) -> tuple[int, int]:
    """What sessions are in order by."""
    return stretch.opened_ms, stretch.session_id.int


def session_of(known: Iterable[Stretch], left: Unsettled) -> Stretch | None:
    """The session in which a connection was opened; None if it is not known."""
    if left.opened_ms is None:
        return None
    opening = left.opened_ms, left.connection_id.int
    return max((stretch for stretch in known if beginning(stretch) <= opening), key=beginning, default=None)
