"""A close that is killed at any of its statements leaves nothing behind, and is made up for by the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.stores import make_node, make_user

from core.clock import new_id
from core.errors import StorageUnavailable
from storage.base import Batch, Opened, Record, Report
from storage.base.epochs import HoldBack, Terms
from storage.postgres import (
    Pool,
    PostgresEpochs,
    PostgresLedger,
    PostgresNodes,
    PostgresUptime,
    PostgresUsers,
    connect,
)

START = datetime(2026, 3, 4, 5, tzinfo=UTC)
FIRST_HOUR = int(START.timestamp()) // 3600
LATER = START + timedelta(days=365)
TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=500_000,
    bonus_pool=0,
    referral_pool=0,
    unmeasured_score=5000,
    hold_seconds=3600,
    holdback=[HoldBack(days=30, share=2500)],
    streak=None,
    first_hours=None,
    minimum_payout=1,
)
TABLES = (
    "epoch",
    "epoch_pool",
    "epoch_node",
    "ledger_entry",
    "ledger_posting",
    "ledger_balance",
    "ledger_sum",
)


class Killed:
    """A connection whose server process is ended before its statement of number `at`."""

    def __init__(self, connection: Any, pool: Pool, at: int) -> None:
        self._connection = connection
        self._pool = pool
        self._left = at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def call(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                process = self._connection.get_server_pid()
                await self._pool.fetch("SELECT pg_terminate_backend($1, 5000)", process)
            return await method(*args)

        return call


class Dangerous(Pool):
    """Connections of which those for long work are killed at the statement `at`."""

    def __init__(self, pool: Pool, at: int) -> None:
        self.pool = pool
        self.at = at

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Any]:
        async with self.pool.transaction(timeout) as connection:
            yield Killed(connection, self.pool, self.at)


async def everything(pool: Pool) -> dict[str, list[Any]]:
    """All rows of all tables that a close writes, but for the times of booking."""
    return {
        table: [
            row["text"]
            for row in await pool.fetch(
                f"SELECT (to_jsonb(t) - 'booked_at' - 'entry_id')::text AS text FROM {table} t ORDER BY 1"
            )
        ]
        for table in TABLES
    }


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    pool = await connect(postgres_dsn)
    yield pool
    await pool.close()


async def test_a_close_that_is_killed_anywhere_leaves_nothing_behind(pool: Pool) -> None:
    user = make_user()
    assert await PostgresUsers(pool).add(user)
    old = make_node(user.user_id, created_at=START - timedelta(days=90))
    young = make_node(user.user_id, created_at=START)
    uptime, epochs = PostgresUptime(pool), PostgresEpochs(pool)

    async def report(sequence: int, start: int, end: int) -> None:
        records: list[Record] = []
        for node in (old, young):
            connection = new_id()
            records.append(Opened(node.node_id, connection, int(START.timestamp()) * 1000, "192.0.2.1"))
            at_s = FIRST_HOUR * 3600 + end
            records.append(Report(node.node_id, connection, FIRST_HOUR, start, end, at_s, bytes_up=end))
        await uptime.apply([Batch("worker", sequence, records)], {})

    for node in (old, young):
        assert await PostgresNodes(pool).enrol(node)
    await epochs.set_terms(TERMS, START)
    await epochs.begin(START, 3600)
    await report(1, 0, 60)
    assert await epochs.close(LATER, START + timedelta(hours=1))
    # Late: the next close has corrections, and something to release and to pay too.
    await uptime.apply(
        [Batch("worker", 2, [Report(young.node_id, new_id(), FIRST_HOUR, 60, 900, FIRST_HOUR * 3600)])], {}
    )
    before, statement = await everything(pool), 0
    while True:
        statement += 1
        try:
            epoch = await PostgresEpochs(Dangerous(pool, statement)).close(LATER, START + timedelta(hours=2))
        except StorageUnavailable:
            assert await everything(pool) == before
            continue
        break
    assert epoch is not None
    assert statement > 25
    keys = [row["key"] for row in await pool.fetch("SELECT key FROM ledger_entry ORDER BY entry_id")]
    assert keys == [
        "epoch:1:availability",
        "epoch:1:usage",
        "epoch:2:availability",
        "epoch:2:usage",
        "correction:1:availability",
        "epoch:2:release",
        "epoch:2:payable",
    ]
    assert await PostgresLedger(pool).check() == []
    assert await epochs.close(LATER, START + timedelta(hours=2)) is None
