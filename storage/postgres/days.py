"""The upkeep of what was measured."""

from datetime import date, datetime
from typing import Any

import asyncpg

from storage.base import Pruned, Unrolled
from storage.days import day_numbered, number_of
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.postgres.statistics import completed

# Seconds that a step of a roll-up or of packing may take, and sessions dropped in one statement.
_PATIENCE = 3600.0
_SESSIONS = 5000

_SQL = completed(load("days"))


class PostgresDays:
    """`DayStore` on PostgreSQL.

    What takes long holds no lock that readers or the ingest wait for.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, first: date, last: date) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["lock"])
            await connection.execute(_SQL["open"], number_of(first), number_of(last))

    async def unrolled(self, before: date) -> list[Unrolled]:
        rows = await self._pool.fetch(_SQL["unrolled"], number_of(before))
        return [Unrolled(day=day_numbered(row["day"]), rolled_at=row["rolled_at"]) for row in rows]

    async def roll_up(self, day: date) -> None:
        await self.open(day, day)
        number = number_of(day)
        async with self._pool.transaction(timeout=_PATIENCE) as connection:
            await connection.execute(_SQL["room"])
            # Read first: what comes in from here on may or may not be among the sums, so the day
            # counts as changed again.
            changed = await connection.fetchval(_SQL["changed"], number)
            await connection.execute(_SQL["roll_up_nodes"], number)
            await connection.execute(_SQL["add_up_hours"], number)
            await connection.execute(_SQL["roll_up_network"], number)
            await connection.execute(_SQL["rolled"], number, changed)

    async def unpacked(self, before: date) -> list[date]:
        rows = await self._pool.fetch(_SQL["unpacked"], number_of(before))
        return [day_numbered(row["day"]) for row in rows]

    async def pack(self, day: date) -> bool:
        number = number_of(day)
        for step, preparation in (
            ("begin_packing", "patience"),
            ("copy_packed", "room"),
            ("finish_packing", "patience"),
        ):
            if await self._unless_busy(preparation, step, number) is None:
                return False
        return True

    async def prune(self, hours_from: date, days_from: date, sessions_from: datetime) -> Pruned:
        hours = await self._unless_busy("patience", "drop_hours", number_of(hours_from))
        months = await self._unless_busy("patience", "drop_days", number_of(days_from))
        sessions = 0
        while True:
            async with self._pool.connection() as connection:
                status = await connection.execute(_SQL["prune_sessions"], sessions_from, _SESSIONS)
            dropped = int(status.rpartition(" ")[2])
            sessions += dropped
            if dropped < _SESSIONS:
                break
        return Pruned(
            hour_days=hours or 0,
            day_months=months or 0,
            sessions=sessions,
            complete=hours is not None and months is not None,
        )

    async def _unless_busy(self, preparation: str, statement: str, day: int) -> Any:
        """What a statement returns, in a transaction of its own; None if it would have to wait too long."""
        try:
            async with self._pool.transaction(timeout=_PATIENCE) as connection:
                await connection.execute(_SQL[preparation])
                return await connection.fetchval(_SQL[statement], day)
        except asyncpg.LockNotAvailableError:
            return None
