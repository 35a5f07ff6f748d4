"""Who is online, and in which seconds each node was confirmed."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.clock import from_ms, to_ms
from storage.base import Applied, Batch, CountryNow, NetworkTotals, NodeTotals, Place, Report, UserTotals
from storage.fold import Fold
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.postgres.reports import Counted, StagedReports
from storage.postgres.states import load_fold, save_fold
from storage.uptime import Rules, Span, contains, missing, united

_SQL = load("uptime")

# At the worst all workers have died, and every node of a big network is to be written.
_CLOSE_SECONDS = 300.0


class PostgresUptime:
    """`UptimeStore` on PostgreSQL.

    `apply` takes a fixed number of statements, whatever the number of records. Of two calls at a time the
    second stages its reports while the first counts; they are applied in the order of the calls.
    """

    def __init__(self, pool: Pool, rules: Rules | None = None) -> None:
        self._pool = pool
        self._rules = rules or Rules()
        self._staging = asyncio.Lock()

    async def apply(self, batches: Sequence[Batch], places: Mapping[str, Place]) -> Applied:
        async with self._pool.transaction() as connection:
            staged = StagedReports(connection)
            # Whoever comes next stages while this one counts, and counts after it.
            async with self._staging:
                reports = _reports(batches)
                if reports:
                    await staged.prepare()
                    await staged.copy(reports)
                await connection.fetchval(_SQL["lock"])
            fresh, grown = await _claim(connection, batches)
            if not fresh:
                return Applied(touched=set(), changed=set(), duplicates=len(batches))
            if reports and len(fresh) < len(batches):
                reports = _reports(fresh)
                await staged.clear()
                await staged.copy(reports)
            others = {
                record.node_id for batch in fresh for record in batch.records if type(record) is not Report
            }
            if reports:
                others.update(await staged.concerned())
            fold, known = Fold({}, self._rules), 0
            records = sum(len(batch.records) for batch in fresh)
            if others:
                rows = await connection.fetch(_SQL["states"], others)
                fold = await load_fold(connection, rows, self._rules, fresh, places)
                for batch in fresh:
                    fold.add(batch)
                known = sum(
                    record.node_id in fold.states
                    for batch in fresh
                    for record in batch.records
                    if type(record) is not Report
                )
                await save_fold(connection, fold)
            counted = await self._count(connection, staged, fold, bool(reports))
            if records:
                await connection.execute(_SQL["finish"], 1, counted.seconds, list(counted.days))
            return Applied(
                touched=fold.owners() | counted.owners,
                changed=fold.changed,
                duplicates=len(batches) - len(fresh),
                missing=grown,
                unknown=records - known - counted.records,
            )

    async def watermarks(self, workers: Sequence[str]) -> dict[str, datetime]:
        rows = await self._pool.fetch(_SQL["watermarks"], workers)
        return {row["worker"]: from_ms(row["until_ms"]) for row in rows}

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        at_ms = to_ms(at)
        async with self._pool.transaction(_CLOSE_SECONDS) as connection:
            await connection.fetchval(_SQL["lock"])
            owners = set(await connection.fetchval(_SQL["close_nodes"], alive, at_ms) or ())
            counted = Counted()
            rows = await connection.fetch(_SQL["unsettled_by_dead"], alive)
            if rows:
                fold = await load_fold(connection, rows, self._rules)
                for state in fold.states.values():
                    fold.presume_left(state, alive, at_ms)
                await save_fold(connection, fold)
                counted = await self._count(connection, StagedReports(connection), fold, False)
                owners |= fold.owners()
            await connection.execute(_SQL["forget_workers"], alive, at_ms)
            if owners:
                await connection.execute(_SQL["finish"], 1, counted.seconds, list(counted.days))
        return owners

    async def calm(self, at: datetime) -> set[UUID]:
        async with self._pool.transaction() as connection:
            await connection.fetchval(_SQL["lock"])
            rows = await connection.fetch(_SQL["flapping"])
            if not rows:
                return set()
            fold = await load_fold(connection, rows, self._rules)
            for state in fold.states.values():
                fold.calm(state, to_ms(at))
            if fold.touched:
                await save_fold(connection, fold)
                await connection.execute(_SQL["grow"])
            return fold.owners()

    async def suspend(self, node_id: UUID, suspended: bool, at: datetime) -> UUID | None:
        async with self._pool.transaction() as connection:
            await connection.fetchval(_SQL["lock"])
            row = await connection.fetchrow(_SQL["state"], node_id)
            if row is None or row["suspended"] == suspended:
                return None
            fold = await load_fold(connection, [row], self._rules)
            fold.suspend(fold.states[node_id], suspended, to_ms(at))
            await save_fold(connection, fold)
            await connection.execute(_SQL["grow"])
            return fold.states[node_id].user_id

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        rows = await self._pool.fetch(_SQL["totals"], user_ids)
        totals = {user_id: UserTotals(revision=rows[0]["revision"], nodes=[]) for user_id in user_ids}
        for row in rows:
            if row["node_id"] is not None:
                totals[row["user_id"]].nodes.append(
                    NodeTotals(
                        node_id=row["node_id"],
                        name=row["name"],
                        status=row["status"],
                        since=None if row["since_ms"] is None else from_ms(row["since_ms"]),
                        confirmed_seconds=row["confirmed_s"],
                        flapping=row["flapping"],
                        country=row["country"],
                        rtt_us=row["rtt_us"] or None,
                        jitter_us=row["jitter_us"] or None,
                        retired=row["retired"],
                    )
                )
        return totals

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        rows = await self._pool.fetch(_SQL["hours"], user_id, node_id)
        return [(row["hour"], row["seconds"]) for row in rows]

    async def network(self) -> NetworkTotals:
        row = await self._pool.fetchrow(_SQL["network"])
        return NetworkTotals(
            revision=row["revision"],
            nodes_online=sum(row["online"]),
            nodes_total=row["nodes_total"],
            users_total=row["users_total"],
            confirmed_seconds=row["confirmed_s"],
            countries=[
                CountryNow(country=country or None, nodes_online=nodes)
                for country, nodes in zip(row["countries"], row["online"], strict=True)
            ],
        )

    async def _count(self, connection: Any, staged: StagedReports, fold: Fold, prepared: bool) -> Counted:
        if fold.credits:
            if not prepared:
                await staged.prepare()
            await staged.credit(fold.credits)
        elif not prepared:
            return Counted()
        return await staged.count()


def _reports(batches: Iterable[Batch]) -> list[Report]:
    return [record for batch in batches for record in batch.records if type(record) is Report]


async def _claim(connection: Any, batches: Sequence[Batch]) -> tuple[list[Batch], int]:
    """Those batches that were not applied before, recorded as applied; and how many more are missing."""
    rows = await connection.fetch(_SQL["writers"], {batch.worker for batch in batches})
    before: dict[str, list[Span]] = {
        row["worker"]: [(span.lower, span.upper) for span in row["applied"]] for row in rows
    }
    applied = dict(before)
    until_ms = {row["worker"]: row["until_ms"] for row in rows}
    fresh = []
    for batch in batches:
        spans = applied.get(batch.worker, [])
        if not contains(spans, batch.sequence):
            if not spans or batch.sequence >= spans[-1][1]:
                until_ms[batch.worker] = batch.until_ms
            applied[batch.worker] = united([*spans, (batch.sequence, batch.sequence + 1)])
            fresh.append(batch)
    changed = {worker: spans for worker, spans in applied.items() if spans is not before.get(worker)}
    if changed:
        texts = [_multirange(spans) for spans in changed.values()]
        promises = [until_ms[worker] for worker in changed]
        await connection.execute(_SQL["save_writers"], list(changed), texts, promises)
    grown = sum(missing(spans) - missing(before.get(worker, [])) for worker, spans in changed.items())
    return fresh, grown


def _multirange(spans: Iterable[Span]) -> str:
    return "{" + ",".join(f"[{start},{end})" for start, end in spans) + "}"
