"""What nodes earned, on PostgreSQL: looked up by few rows, and the same while it is added up and dropped."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from support.servers import Databases
from support.stores import make_node, postgres_stores

from storage.base.epochs import EPOCHS_TOGETHER, PrunedEpochs
from storage.postgres import Pool, PostgresEpochs, connect
from storage.postgres.queries import load

QUERIES = load("epochs")
START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 5, 1, tzinfo=UTC)
NODES = 150
DAYS = 5
EPOCHS = DAYS * EPOCHS_TOGETHER - 1
# Somebody's place among the nodes.
PLACE = 123
FILL_EPOCHS = """
INSERT INTO epoch (number, starts_at, ends_at, seconds, terms, closed_at, final_at, final)
SELECT n, $1::timestamptz + (n - 1) * interval '1 hour', $1::timestamptz + n * interval '1 hour', 3600, 1,
       now(), now(), true
FROM generate_series(1, $2::integer) n
"""
FILL_NODES = """
INSERT INTO epoch_node (bytes, availability, usage, number, epoch, seconds, score, gate)
SELECT 1, 1000 + epoch, number, number, epoch, 3600, NULL, 4
FROM generate_series(1, $1::integer) epoch, generate_series(1, $2::integer) number
"""
FILL_DAYS = """
INSERT INTO earned_day (availability, usage, number, day)
SELECT 1, 1, number, day
FROM generate_series($1::integer, $1 + 27) day, generate_series(1, $2::integer) number
"""


class Farm:
    """Somebody's node among many, in many epochs."""

    def __init__(self, pool: Pool, connection: Any, user_id: UUID, node_id: UUID) -> None:
        self.pool = pool
        self.connection = connection
        self.epochs = PostgresEpochs(pool)
        self.user_id = user_id
        self.node_id = node_id

    async def amounts(self, *edges: datetime) -> list[int]:
        found = await self.epochs.node_earned(self.user_id, self.node_id, edges)
        assert found is not None
        return [each.amount for each in found]


@pytest.fixture
async def farm(postgres_dsn: str) -> AsyncIterator[Farm]:
    pool = await connect(postgres_dsn)
    connection = await asyncpg.connect(postgres_dsn)
    stores = postgres_stores(pool)
    user_id = await stores.add_user()
    nodes = [make_node(user_id) for _ in range(PLACE)]
    for node in nodes:
        assert await stores.nodes.enrol(node)
    await connection.execute("INSERT INTO earning_terms VALUES (1, '{}', now())")
    await connection.execute(FILL_EPOCHS, START, EPOCHS)
    for epoch in range(0, EPOCHS, EPOCHS_TOGETHER):
        await connection.execute("SELECT make_epoch_partition($1)", epoch)
    await connection.execute(FILL_NODES, EPOCHS, NODES)
    number = await connection.fetchval("SELECT number FROM node_state WHERE node_id = $1", nodes[-1].node_id)
    assert number == PLACE
    yield Farm(pool, connection, user_id, nodes[-1].node_id)
    await connection.close()
    await pool.close()


async def test_adding_up_and_dropping_changes_no_sum(farm: Farm) -> None:
    before = await farm.amounts(START, END)
    assert before == [1000 * EPOCHS + EPOCHS * (EPOCHS + 1) // 2, PLACE * EPOCHS]
    done = asyncio.Event()

    async def look() -> int:
        looks = 0
        while not done.is_set() or looks < 10:
            assert await farm.amounts(START, END) == before
            looks += 1
        return looks

    looking = asyncio.create_task(look())
    dropped = 0
    for days in range(1, DAYS + 1):
        ended_before = START + timedelta(days=days)
        pruned = await farm.epochs.prune(ended_before, START.date())
        while not pruned.complete:
            dropped += pruned.epochs
            pruned = await farm.epochs.prune(ended_before, START.date())
        dropped += pruned.epochs
    done.set()
    assert await looking >= 10
    assert dropped == DAYS * EPOCHS_TOGETHER
    assert await farm.connection.fetchval("SELECT count(*) FROM epoch_node") == 0
    assert await farm.connection.fetchval("SELECT count(*) FROM earned_day") == DAYS * NODES
    # A day has the epochs that began in it.
    day = await farm.amounts(START, START + timedelta(days=1))
    assert day == [1000 * 24 + sum(range(1, 25)), PLACE * 24]


async def test_what_somebody_reads_is_dropped_later(farm: Farm) -> None:
    async with farm.connection.transaction():
        await farm.connection.execute("LOCK TABLE epoch_node IN ACCESS SHARE MODE")
        busy = await farm.epochs.prune(START + timedelta(days=1), START.date())
        assert busy == PrunedEpochs(epochs=0, months=0, complete=False)
        # They count as dropped already.
        found = await farm.epochs.node_epochs(farm.user_id, farm.node_id, None, EPOCHS)
        assert found is not None
        assert [found[0].epoch, found[-1].epoch] == [EPOCHS, EPOCHS_TOGETHER]
    again = await farm.epochs.prune(START + timedelta(days=1), START.date())
    assert again == PrunedEpochs(epochs=EPOCHS_TOGETHER, months=0, complete=True)


async def test_two_that_prune_at_once_add_nothing_up_twice(farm: Farm, databases: Databases) -> None:
    before = await farm.amounts(START, END)
    outcomes = await asyncio.gather(*(farm.epochs.prune(END, START.date()) for _ in range(3)))
    assert sum(each.epochs for each in outcomes) <= DAYS * EPOCHS_TOGETHER
    await farm.epochs.prune(END, START.date())
    assert await farm.amounts(START, END) == before
    assert await farm.connection.fetchval("SELECT count(*) FROM epoch_node") == 0


async def test_of_a_node_few_rows_are_read(farm: Farm) -> None:
    connection = farm.connection
    await connection.execute("UPDATE epochs_kept SET from_epoch = $1", EPOCHS_TOGETHER)
    await connection.execute(
        "CREATE TABLE earned_day_202602 PARTITION OF earned_day FOR VALUES FROM (0) TO (90000)"
    )
    await connection.execute(FILL_DAYS, 20_484, NODES)
    await connection.execute("ANALYZE")
    # Rows of the node, and of the table of epochs.
    for query, arguments, most in (
        ("node_earned", (PLACE, [START, END], START, END), 3 * EPOCHS),
        ("node_epochs", (PLACE, None, 50), 2 * EPOCHS),
        ("node_epochs", (PLACE, 100, 50), 2 * EPOCHS),
    ):
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {QUERIES[query]}", *arguments)
            plan = json.loads(text)[0]["Plan"]
            assert 0 < rows_read(plan) <= most, json.dumps(plan, indent=1)


def rows_read(plan: dict[str, Any]) -> int:
    """Rows that were read from tables, with those that were thrown away."""
    read = 0
    if "Relation Name" in plan:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        rows += plan.get("Rows Removed by Index Recheck", 0)
        read = round(rows * plan["Actual Loops"])
    return read + sum(rows_read(part) for part in plan.get("Plans", []))
