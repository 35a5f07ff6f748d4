"""Measured uptime."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.clock import from_ms, to_ms
from storage.base import Batch, NetworkTotals, NodeTotals, UserTotals
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.uptime import COUNT_LIMIT, Fold, NodeState

_SQL = load("uptime")


class PostgresUptime:
    """`UptimeStore` on PostgreSQL.

    `apply` takes a fixed number of statements, whatever the number of records.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def cursor(self) -> str:
        row = await self._pool.fetchrow(_SQL["cursor"])
        return str(row["last_id"])

    async def apply(self, batches: Sequence[Batch], cursor: str) -> set[UUID]:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["advance"], cursor)
            fresh = await _claim(connection, batches)
            if not fresh:
                return set()
            node_ids = {record.node_id for batch in fresh for record in batch.records}
            rows = await connection.fetch(_SQL["states"], node_ids)
            fold = Fold({row["node_id"]: _state(row) for row in rows})
            for batch in fresh:
                fold.add(batch)
            if fold.touched:
                await _save(connection, fold)
            return fold.owners()

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        at = from_ms(to_ms(at))
        async with self._pool.transaction() as connection:
            await connection.fetchval(_SQL["lock"])
            rows = await connection.fetch(_SQL["close_nodes"], alive, at)
            await connection.execute(_SQL["close_sessions"], alive, at)
            if rows:
                await connection.execute(_SQL["grow"])
        return {row["user_id"] for row in rows}

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        rows = await self._pool.fetch(_SQL["totals"], user_ids)
        totals = {user_id: UserTotals(revision=rows[0]["revision"], nodes=[]) for user_id in user_ids}
        for row in rows:
            if row["node_id"] is not None:
                totals[row["user_id"]].nodes.append(
                    NodeTotals(
                        node_id=row["node_id"],
                        name=row["name"],
                        online=row["online"],
                        since=row["since"],
                        confirmed_ms=row["confirmed_ms"],
                    )
                )
        return totals

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        rows = await self._pool.fetch(_SQL["hours"], user_id, node_id)
        return [(row["hour"], row["confirmed_ms"]) for row in rows]

    async def network(self) -> NetworkTotals:
        row = await self._pool.fetchrow(_SQL["network"])
        return NetworkTotals(**row)


async def _claim(connection: Any, batches: Sequence[Batch]) -> list[Batch]:
    """Those batches that were not applied before, recorded as applied."""
    rows = await connection.fetch(_SQL["writers"], {batch.worker for batch in batches})
    known = {row["worker"]: row["sequence"] for row in rows}
    fresh = []
    for batch in batches:
        if batch.sequence > known.get(batch.worker, 0):
            known[batch.worker] = batch.sequence
            fresh.append(batch)
    if fresh:
        await connection.execute(_SQL["save_writers"], list(known), list(known.values()))
    return fresh


async def _save(connection: Any, fold: Fold) -> None:
    states = [fold.states[node_id] for node_id in fold.touched]
    await connection.execute(_SQL["save_states"], *_columns(map(_state_row, states)))
    owner = {state.node_id: state.user_id for state in states}
    if fold.hours:
        hours = (
            (owner[node], node, from_ms(hour), sums.confirmed_ms, sums.bytes_up, sums.bytes_down, sums.errors)
            for (node, hour), sums in fold.hours.items()
        )
        await connection.execute(_SQL["save_hours"], *_columns(hours), COUNT_LIMIT)
    added, updated = [], []
    for (node, session), change in fold.sessions.items():
        key = owner[node], node, session
        closed = None if change.closed_ms is None else from_ms(change.closed_ms)
        if change.opened_ms is None:
            updated.append((*key, closed, change.code, change.agent_version, change.reopened))
        else:
            opened = from_ms(change.opened_ms)
            version = change.agent_version or ""
            added.append((*key, opened, change.worker, change.address, closed, change.code, version))
    if added:
        await connection.execute(_SQL["add_sessions"], *_columns(added))
    if updated:
        await connection.execute(_SQL["update_sessions"], *_columns(updated))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows, at least one, turned into columns as unnest takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


def _state(row: Any) -> NodeState:
    return NodeState(
        user_id=row["user_id"],
        node_id=row["node_id"],
        online=row["online"],
        since_ms=None if row["since"] is None else to_ms(row["since"]),
        confirmed_ms=row["confirmed_ms"],
        confirmed_until=to_ms(row["confirmed_until"]),
        session_id=row["session_id"],
        opened_ms=to_ms(row["opened_at"]),
        worker=row["worker"],
        presumed=row["presumed"],
    )


def _state_row(state: NodeState) -> tuple[Any, ...]:
    return (
        state.user_id,
        state.node_id,
        state.online,
        None if state.since_ms is None else from_ms(state.since_ms),
        state.confirmed_ms,
        from_ms(state.confirmed_until),
        state.session_id,
        from_ms(state.opened_ms),
        state.worker,
        state.presumed,
    )
