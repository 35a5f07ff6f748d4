"""What the figures that people are shown cost: how many statements, and what those read."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from support.servers import Databases

from bench.day import fill_hours, fill_nodes
from bench.incomes import fill_ledger, fill_people
from core.bootstrap import earning_terms
from core.clock import ManualClock
from core.config import load
from services.earnings import Earnings
from storage.postgres import (
    Pool,
    PostgresEpochs,
    PostgresFigures,
    PostgresLedger,
    PostgresScores,
    PostgresUsers,
    connect,
)
from storage.postgres.queries import load as load_statements

DAY = date(2026, 3, 15)
NUMBER = (DAY - date(1970, 1, 1)).days
MIDNIGHT = datetime(2026, 3, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
NODES, PEOPLE, POSTINGS = 2000, 1000, 40_000
LARGE = ("node", "account", "ledger_", "epoch_node", "epoch_person", "referral", "earner")


class Loaded:
    """A database with people who have earned for months, and what is asked of it."""

    def __init__(self, pool: Pool, connection: Any, people: list[UUID]) -> None:
        self.connection = connection
        self.people = people
        self.seen: list[Any] = []
        self.earnings = Earnings(
            figures=PostgresFigures(pool),
            ledger=PostgresLedger(pool),
            epochs=PostgresEpochs(pool),
            users=PostgresUsers(pool),
            clock=ManualClock(MIDNIGHT + HOUR / 2),
            settling=60,
        )
        real = pool.connection

        @asynccontextmanager
        async def watched(timeout: float | None = None) -> AsyncIterator[Any]:
            async with real(timeout) as each:
                each.add_query_logger(self.seen.append)
                try:
                    yield each
                finally:
                    each.remove_query_logger(self.seen.append)

        pool.connection = watched  # type: ignore[method-assign] - whatever is asked goes through it

    async def plan(self, statement: Any, mode: str) -> dict[str, Any]:
        """How the server would answer a statement that was seen."""
        async with self.connection.transaction():
            await self.connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            text = await self.connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement.query}", *statement.args)
        found: dict[str, Any] = json.loads(text)[0]["Plan"]
        return found


@pytest.fixture(scope="module")
async def loaded(databases: Databases) -> AsyncIterator[Loaded]:
    dsn = await databases.create()
    pool, connection = await connect(dsn), await asyncpg.connect(dsn)
    await fill_nodes(connection, NODES, PEOPLE)
    await fill_people(connection, PEOPLE, NUMBER)
    await fill_hours(connection, NUMBER * 24 - 3, NUMBER * 24 + 2)
    await fill_ledger(connection, PEOPLE, POSTINGS, MIDNIGHT - HOUR)
    scores = PostgresScores(pool)
    for _ in range(2):  # They take turns with two tables.
        await scores.recompute(MIDNIGHT, (await scores.formulas())[-1])
    epochs = PostgresEpochs(pool)
    await epochs.set_terms(earning_terms(load(environ={})), MIDNIGHT - HOUR)
    await epochs.begin(MIDNIGHT - HOUR, 3600)
    assert await epochs.close(MIDNIGHT, MIDNIGHT)
    await epochs.measure(MIDNIGHT + HOUR / 2)
    await connection.execute("VACUUM ANALYZE")
    people = [row["user_id"] for row in await connection.fetch("SELECT user_id FROM account ORDER BY 1")]
    yield Loaded(pool, connection, people)
    await connection.close()
    await pool.close()
    await databases.drop(dsn)


async def test_a_thousand_people_take_as_many_statements_as_ten(loaded: Loaded) -> None:
    # What a connection asks about types, it asks once.
    await loaded.earnings.overviews(loaded.people[:1])
    counted = []
    for people in (loaded.people[:10], loaded.people[:1000]):
        loaded.seen.clear()
        found = await loaded.earnings.overviews(people)
        assert sum(int(overview.balance) > 0 for overview in found.values()) > len(people) // 2
        counted.append(len(loaded.seen))
    few, many = counted
    assert 0 < many == few


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_a_summary_reads_no_large_table_from_end_to_end(loaded: Loaded, mode: str) -> None:
    loaded.seen.clear()
    # The one with the most postings is the last.
    summary = await loaded.earnings.summary(loaded.people[-1])
    assert int(summary.balance) > 0
    asked = [each for each in loaded.seen if each.query.lstrip().startswith(("--", "SELECT", "WITH"))]
    assert len(asked) > 5
    for statement in asked:
        plan = await loaded.plan(statement, mode)
        assert [table for table in scanned(plan) if table.startswith(LARGE)] == [], json.dumps(plan, indent=1)


async def test_a_close_looks_up_what_matures(loaded: Loaded) -> None:
    statements = load_statements("epochs")
    async with loaded.connection.transaction():
        await loaded.connection.execute(statements["prepare"])
        await loaded.connection.execute(statements["make_postings"])
        text = await loaded.connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {statements['release']}", "epoch:2:release", MIDNIGHT, MIDNIGHT + HOUR
        )
    empty = await loaded.connection.fetch("SELECT relname FROM pg_class WHERE reltuples <= 0")
    plan = json.loads(text)[0]["Plan"]
    read = {table for table in scanned(plan) if table.startswith(LARGE)} - {row["relname"] for row in empty}
    assert read == set(), json.dumps(plan, indent=1)


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)
