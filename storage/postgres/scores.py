"""The scores of the nodes."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.errors import StorageUnavailable
from core.tasks import end
from storage.base import NodeScore, RuleGate, ScoreFormula, ScoreParameters
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.scores import BUCKET_MS, bucket_points, window_of

# Seconds that a computation may take.
TIMEOUT = 600.0

# Connections that share the work: the server writes the rows of a statement on one core only.
LANES = 2

# In PostgreSQL's own units, for each of them.
WORK_MEMORY = "256MB"

# How long others may be kept from reading, in PostgreSQL's own units.
PATIENCE = "2s"

_LAST = (1 << 31) - 1
_SQL = load("scores")
_FIGURES = load("figures")
_GATES = msgspec.json.Decoder(list[RuleGate])
_COLUMNS = [name for name in NodeScore.__struct_fields__ if name != "gates"]


class PostgresScores:
    """`ScoreStore` on PostgreSQL.

    Two tables take turns: a computation fills the one that is not current, from empty, and makes it the
    current one when all is there.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()

    async def formulas(self) -> list[ScoreFormula]:
        rows = await self._pool.fetch(_SQL["formulas"])
        return [
            ScoreFormula(
                version=row["version"],
                created_at=row["created_at"],
                parameters=msgspec.json.decode(row["parameters"], type=ScoreParameters),
            )
            for row in rows
        ]

    async def recompute(self, at: datetime, formula: ScoreFormula) -> int:
        async with self._turn, self._pool.connection(TIMEOUT) as connection:
            while True:
                slot = await _make_room(connection)
                async with connection.transaction():
                    # Whoever came in between made the other one current, or has begun to fill this one.
                    if await _idle(connection) == slot and not await connection.fetchval(
                        _SQL["filled"].format(slot=slot)
                    ):
                        count = await self._fill(connection, slot, _arguments(at, formula))
                        await connection.execute(_SQL["finish"], slot, formula.version, at)
                        # What counts for a second has changed.
                        await connection.execute(_FIGURES["count_change"])
                        return count

    async def of_node(self, user_id: UUID, node_id: UUID) -> NodeScore | None:
        row = await self._pool.fetchrow(_SQL["of_node"], user_id, node_id)
        if row is None:
            return None
        gates = _GATES.decode(row["gates"]) if row["gates"] else []
        return NodeScore(**{name: row[name] for name in _COLUMNS}, gates=gates)

    async def _fill(self, connection: Any, slot: int, arguments: Sequence[Any]) -> int:
        """Compute all scores, part of them on `connection`; returns how many there are."""
        mine, *others = _ranges(await connection.fetchval(_SQL["last_number"]))
        statement = _SQL["fill"].format(slot=slot)

        async def fill(lane: Any, numbers: tuple[int, int]) -> int:
            await lane.execute(_SQL["prepare"], WORK_MEMORY)
            done = await lane.execute(statement, *arguments, *numbers)
            return int(done.split()[-1])

        async def fill_beside(numbers: tuple[int, int]) -> int:
            async with self._pool.transaction(TIMEOUT) as lane:
                return await fill(lane, numbers)

        work = [fill(connection, mine), *map(fill_beside, others)]
        lanes = [asyncio.ensure_future(each) for each in work]
        try:
            return sum(await asyncio.gather(*lanes))
        finally:
            # Nobody may still be writing when the next computation begins.
            await end(lanes)


def _arguments(at: datetime, formula: ScoreFormula) -> tuple[Any, ...]:
    """What the statement takes, but for the numbers."""
    parameters, weights = formula.parameters, formula.parameters.weights
    window = window_of(at, parameters)
    return (
        window.first_hour,
        window.last_hour,
        window.end_s,
        parameters.target_bytes,
        parameters.least_window_seconds,
        parameters.least_samples,
        parameters.least_challenges,
        bucket_points(parameters),
        list(BUCKET_MS),
        [weights.uptime, weights.latency, weights.challenges, weights.contribution],
        [name in parameters.required for name in ("uptime", "latency", "challenges")],
    )


def _ranges(last: int) -> list[tuple[int, int]]:
    """All numbers, in `LANES` parts with about as many of those up to `last`."""
    edges = [last * lane // LANES for lane in range(LANES)] + [_LAST]
    return [(low + 1, high) for low, high in pairwise(edges)]


async def _make_room(connection: Any) -> int:
    """Empty the table that is not current; returns its number.

    In a transaction of its own, because it keeps readers out, and not for longer than `PATIENCE`: whoever
    reads for hours (a backup, say) would keep it waiting, and it all others.
    """
    async with connection.transaction():
        slot = await _idle(connection)
        await connection.execute(_SQL["patience"], PATIENCE)
        try:
            await connection.execute(_SQL["empty"].format(slot=slot))
        except asyncpg.LockNotAvailableError as error:
            raise StorageUnavailable("the scores are being read by somebody who takes long") from error
        return slot


async def _idle(connection: Any) -> int:
    """The number of the table that is not current; nobody else computes until the transaction ends."""
    return 1 - int(await connection.fetchval(_SQL["current"]))
