"""States of nodes, from their rows and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from core.clock import from_ms, to_ms
from storage.base import Batch, Place
from storage.fold import Fold, hours_asked
from storage.postgres.moves import save_moves
from storage.postgres.queries import load
from storage.stretches import Stretch, sessions_asked
from storage.uptime import COUNT_LIMIT, NodeState, Rules, Span, Unsettled, since_epoch

_SQL = load("uptime")

_PLACE = ("country", "asn", "latitude", "longitude", "subnet")


class LoadedFold(Fold):
    """A fold over states of the database; remembers which of them were online, and where."""

    def __init__(
        self,
        states: Mapping[UUID, NodeState],
        rules: Rules,
        places: Mapping[str, Place],
        confirmed: Mapping[UUID, Sequence[Span]],
        sessions: Mapping[UUID, Sequence[Stretch]],
    ) -> None:
        super().__init__(states, rules, places, confirmed, sessions)
        self.were_online = {
            node_id: state.place.country or "" for node_id, state in states.items() if state.online
        }
        self.were_unsettled = {node_id for node_id, state in states.items() if state.unsettled}


async def load_fold(
    connection: Any,
    rows: Iterable[Any],
    rules: Rules,
    batches: Sequence[Batch] = (),
    places: Mapping[str, Place] | None = None,
) -> LoadedFold:
    """A fold of `batches` over the states of nodes, given as rows."""
    states = {row["node_id"]: _state(row) for row in rows}
    for row in await connection.fetch(_SQL["unsettled"], list(states)):
        states[row["node_id"]].unsettled.append(
            Unsettled(
                connection_id=row["connection_id"],
                worker=row["worker"],
                opened_ms=row["opened_ms"],
                closed_ms=row["closed_ms"],
                code=row["code"],
                from_s=row["from_s"],
                to_s=row["to_s"],
                sound=row["sound"],
            )
        )
    confirmed: dict[UUID, list[Span]] = {}
    asked = hours_asked(states.values(), batches, rules)
    if asked:
        nodes, hours = zip(*asked, strict=True)
        for row in await connection.fetch(_SQL["confirmed"], nodes, hours):
            spans = ((span.lower, span.upper) for span in row["confirmed"])
            confirmed.setdefault(row["node_id"], []).extend(since_epoch(row["hour"], spans))
    sessions: dict[UUID, list[Stretch]] = {
        node_id: [] for node_id in sessions_asked(states.values(), batches)
    }
    if sessions:
        for row in await connection.fetch(_SQL["newest_sessions"], list(sessions)):
            opened, closed = row["opened_at"], row["closed_at"]
            sessions[row["node_id"]].append(
                Stretch(
                    session_id=row["session_id"], opened_ms=to_ms(opened), last_ms=to_ms(closed or opened)
                )
            )
    return LoadedFold(states, rules, places or {}, confirmed, sessions)


async def save_fold(connection: Any, fold: LoadedFold) -> None:
    """Write back what the fold holds, but for the seconds it credits."""
    states = [fold.states[node_id] for node_id in fold.touched]
    if not states:
        return
    await connection.execute(_SQL["save_states"], *_columns(map(_state_row, states)))
    unsettled = [_unsettled_row(state, each) for state in states for each in state.unsettled]
    were_unsettled = fold.were_unsettled & fold.touched
    if were_unsettled:
        await connection.execute(_SQL["forget_unsettled"], were_unsettled)
    if unsettled:
        await connection.execute(_SQL["save_unsettled"], *_columns(unsettled))
    online: dict[str, int] = {}
    for state in states:
        if state.node_id in fold.were_online:
            was = fold.were_online[state.node_id]
            online[was] = online.get(was, 0) - 1
        if state.online:
            country = state.place.country or ""
            online[country] = online.get(country, 0) + 1
    if any(online.values()):
        changes = sorted((country, change) for country, change in online.items() if change)
        await connection.execute(_SQL["count_online"], *_columns(changes))
    await _save_sessions(connection, fold)
    await save_moves(connection, fold.moves, fold.overlaps)


async def _save_sessions(connection: Any, fold: Fold) -> None:
    added, changed = [], []
    for (node_id, session_id), change in fold.sessions.items():
        key = fold.states[node_id].user_id, node_id, session_id
        closed = None if change.closed_ms is None else from_ms(change.closed_ms)
        where = change.worker, change.address, change.place.country, change.place.asn
        sums = change.connections, min(change.bytes_up, COUNT_LIMIT), min(change.bytes_down, COUNT_LIMIT)
        if change.opened_ms is None:
            end = closed, change.code, change.resumed
            changed.append((*key, *end, *where, change.agent_version, *sums))
        else:
            opened, version = from_ms(change.opened_ms), change.agent_version or ""
            added.append((*key, opened, closed, change.code, *where, version, *sums))
    if added:
        await connection.execute(_SQL["add_sessions"], *_columns(added))
    if changed:
        await connection.execute(_SQL["change_sessions"], *_columns(changed), COUNT_LIMIT)
    merges = [
        (fold.states[merge.node_id].user_id, merge.node_id, merge.session_id, merge.into, merge.newest)
        for merge in fold.merges
    ]
    if merges:
        await connection.execute(_SQL["merge_sessions"], *_columns(merges), COUNT_LIMIT)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows, at least one, turned into columns as unnest takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


def _state(row: Any) -> NodeState:
    facts = dict(row)
    place = Place(**{name: facts.pop(name) for name in _PLACE})
    return NodeState(**facts, place=place)


def _state_row(state: NodeState) -> tuple[Any, ...]:
    place = state.place
    return (
        state.user_id,
        state.node_id,
        state.status,
        state.since_ms,
        state.session_up,
        state.session_down,
        state.connection_id,
        state.session_id,
        state.opened_ms,
        state.online,
        state.presumed,
        state.closed_ms,
        state.closed_code,
        state.sound,
        state.suspended,
        state.flapping,
        state.penalty,
        state.penalty_ms,
        state.worker,
        state.address,
        place.subnet,
        place.country,
        place.asn,
        place.latitude,
        place.longitude,
        state.agent_version,
    )


def _unsettled_row(state: NodeState, left: Unsettled) -> tuple[Any, ...]:
    return (
        state.user_id,
        state.node_id,
        left.connection_id,
        left.worker,
        left.opened_ms,
        left.closed_ms,
        left.code,
        left.from_s,
        left.to_s,
        left.sound,
    )
