"""The statistics on PostgreSQL: packing beside others and interrupted, and the plans of the queries."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from support.servers import Databases

from bench.day import fill_day
from storage.base import EVERYWHERE
from storage.days import number_of, start_of_hour
from storage.postgres import Pool, PostgresDays, PostgresStatistics, connect
from storage.postgres.queries import load
from storage.postgres.statistics import completed

QUERIES = completed(load("statistics"))
FIRST = date(2026, 3, 1)
NUMBER = number_of(FIRST)
LARGE = ("node_hour", "node_day", "node_state", "node_session", "network_hour", "network_day")

UPSERT = """
INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds,
                       answered, missed, refused, confirmed)
VALUES (1, $3, 0, 0, 0, $1, $2, 0, 60, 0, 0, 0, '{[0,60)}')
ON CONFLICT (number, hour) DO UPDATE
SET bytes_up = EXCLUDED.bytes_up, seconds = EXCLUDED.seconds, confirmed = EXCLUDED.confirmed
"""
ROWS = """
SELECT number, hour, minutes, bytes_up, bytes_down, rtt_low, rtt_high, errors, seconds, confirmed
FROM node_hours ORDER BY number, hour
"""
PARTITIONS = """
SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
WHERE inhparent = 'node_hour'::regclass ORDER BY relname
"""
INDEXES = """
SELECT replace(indexname, $1, 'node_hour'), replace(indexdef, $1, 'node_hour')
FROM (SELECT indexname, replace(indexdef, ' WITH (fillfactor=''100'')', '') AS indexdef
      FROM pg_indexes WHERE tablename = $1) i
ORDER BY 1
"""


class Loaded:
    """A database with some days of some nodes."""

    def __init__(self, pool: Pool, connection: Any) -> None:
        self.pool = pool
        self.connection = connection
        self.days = PostgresDays(pool)
        self.statistics = PostgresStatistics(pool)

    async def fill(self, nodes: int, days: int) -> None:
        for day in range(NUMBER, NUMBER + days):
            await fill_day(self.connection, nodes, day)

    async def rows(self) -> list[Any]:
        return await self.connection.fetch(ROWS)


@pytest.fixture
async def loaded(postgres_dsn: str) -> AsyncIterator[Loaded]:
    pool = await connect(postgres_dsn)
    connection = await asyncpg.connect(postgres_dsn)
    yield Loaded(pool, connection)
    await connection.close()
    await pool.close()


async def test_a_packed_day_is_in_order_small_and_the_same(loaded: Loaded) -> None:
    await loaded.fill(40, 2)
    await loaded.days.roll_up(FIRST)
    before = await loaded.rows()
    assert await loaded.days.pack(FIRST)
    assert await loaded.rows() == before
    connection = loaded.connection
    keys = [tuple(row) for row in await connection.fetch("SELECT number, hour FROM node_hour_20260301")]
    assert keys == sorted(keys)
    assert len(keys) == 40 * 24
    odd = "SELECT count(*) FROM node_hour_20260301 WHERE (confirmed IS NULL) <> (seconds IN (0, 3600))"
    assert await connection.fetchval(odd) == 0
    assert [name for (name,) in await connection.fetch(PARTITIONS)] == [
        "node_hour_20260228",
        "node_hour_20260301",
        "node_hour_20260302",
    ]
    usual = await connection.fetch(INDEXES, "node_hour_20260302")
    assert await connection.fetch(INDEXES, "node_hour_20260301") == usual


async def test_what_comes_while_a_day_is_being_packed_is_in_it(loaded: Loaded) -> None:
    await loaded.fill(10, 2)
    connection, hour = loaded.connection, NUMBER * 24
    await connection.fetchval("SELECT begin_packing($1)", NUMBER)
    await connection.execute(UPSERT, 1, hour, 111)
    await connection.fetchval("SELECT copy_packed($1)", NUMBER)
    await connection.execute("DELETE FROM node_hour WHERE number = 3 AND hour = $1", hour)
    await connection.execute(UPSERT, 2, hour, 222)
    await connection.execute(UPSERT, 2, hour, 333)
    await connection.execute(UPSERT, 3, hour, 444)
    before = await loaded.rows()
    await connection.fetchval("SELECT finish_packing($1)", NUMBER)
    assert await loaded.rows() == before
    await connection.execute(UPSERT, 1, hour, 555)
    changed = await connection.fetch(
        "SELECT number, bytes_up FROM node_hour WHERE hour = $1 AND number < 4 ORDER BY number", hour
    )
    assert [tuple(row) for row in changed] == [(1, 555), (2, 333), (3, 444)]
    assert await connection.fetchval("SELECT count(*) FROM node_hour_late") == 0


@pytest.mark.parametrize("steps", [1, 2])
async def test_packing_that_was_interrupted_begins_anew(loaded: Loaded, steps: int) -> None:
    await loaded.fill(10, 2)
    await loaded.days.roll_up(FIRST)
    for step in ("begin_packing", "copy_packed")[:steps]:
        await loaded.connection.fetchval(f"SELECT {step}($1)", NUMBER)
    await loaded.connection.execute(UPSERT, 1, NUMBER * 24, 111)
    before = await loaded.rows()
    assert await loaded.days.unpacked(FIRST + timedelta(days=1)) == [FIRST]
    assert await loaded.days.pack(FIRST)
    assert await loaded.rows() == before
    assert await loaded.days.unpacked(FIRST + timedelta(days=1)) == []
    left = "SELECT relname FROM pg_class WHERE relname LIKE 'node_hour_%\\_packed%'"
    assert await loaded.connection.fetch(left) == []


async def test_packing_and_pruning_give_way_to_those_who_read(loaded: Loaded) -> None:
    await loaded.fill(10, 2)
    await loaded.days.roll_up(FIRST)
    before = await loaded.rows()
    async with loaded.connection.transaction():
        await loaded.connection.execute("SELECT FROM node_hour LIMIT 1")
        assert not await loaded.days.pack(FIRST)
        pruned = await loaded.days.prune(FIRST + timedelta(days=1), FIRST, start_of_hour(NUMBER * 24))
        assert (pruned.complete, pruned.hour_days) == (False, 0)
    assert await loaded.rows() == before
    assert await loaded.days.pack(FIRST)
    pruned = await loaded.days.prune(FIRST + timedelta(days=1), FIRST, start_of_hour(NUMBER * 24))
    assert pruned.complete
    assert [name for (name,) in await loaded.connection.fetch(PARTITIONS)] == ["node_hour_20260302"]


async def test_two_who_pack_the_same_day_do_not_harm_it(loaded: Loaded) -> None:
    await loaded.fill(10, 2)
    before = await loaded.rows()
    await asyncio.gather(*(PostgresDays(loaded.pool).pack(FIRST) for _ in range(2)), return_exceptions=True)
    assert await loaded.rows() == before
    assert await loaded.days.pack(FIRST)
    assert await loaded.rows() == before


async def test_what_changes_during_a_roll_up_is_rolled_up_again(loaded: Loaded) -> None:
    await loaded.fill(10, 2)
    connection = loaded.connection
    # Somebody applies a report and holds the day's row when the roll-up is about to end.
    async with connection.transaction():
        await connection.execute("UPDATE measured_day SET changed = changed + 1 WHERE day = $1", NUMBER)
        rolling = asyncio.create_task(loaded.days.roll_up(FIRST))
        async with asyncio.timeout(20):
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not await connection.fetchval(waiting):
                pass
        await connection.execute(UPSERT, 1, NUMBER * 24, 999)
    await rolling
    (again,) = await loaded.days.unrolled(FIRST + timedelta(days=1))
    assert again.day == FIRST
    await loaded.days.roll_up(FIRST)
    assert await loaded.days.unrolled(FIRST + timedelta(days=1)) == []


@pytest.fixture(scope="module")
async def small_copy(databases: Databases) -> AsyncIterator[Loaded]:
    """Three thousand nodes for four days, of which the last is not rolled up, and their sessions."""
    dsn = await databases.create()
    pool = await connect(dsn)
    connection = await asyncpg.connect(dsn)
    loaded = Loaded(pool, connection)
    await loaded.fill(3000, 4)
    for day in range(3):
        await loaded.days.roll_up(FIRST + timedelta(days=day))
        if day < 2:
            assert await loaded.days.pack(FIRST + timedelta(days=day))
    await connection.execute(
        """
        INSERT INTO node_session (user_id, node_id, session_id, opened_at, closed_at, worker, address)
        SELECT user_id, node_id, pulse_id(4, number * 20 + i), now(), now(), 'worker-1', ''
        FROM node_state, generate_series(1, 10) i
        """
    )
    # Hours and days of the network of a month, so that its tables are large as well.
    await connection.execute(
        """
        INSERT INTO network_hour
        SELECT hour - 24 * d, country, nodes, seconds, bytes_up, bytes_down, answered, missed, refused, rtt
        FROM network_hour, generate_series(5, 35) d WHERE hour / 24 = $1
        ON CONFLICT DO NOTHING
        """,
        NUMBER,
    )
    await connection.execute(
        """
        INSERT INTO network_day
        SELECT day - d, country, nodes, node_hours, seconds, bytes_up, bytes_down, answered, missed, refused,
               rtt
        FROM network_day, generate_series(5, 400) d WHERE day = $1
        ON CONFLICT DO NOTHING
        """,
        NUMBER,
    )
    await connection.execute("VACUUM ANALYZE")
    yield loaded
    await connection.close()
    await pool.close()
    await databases.drop(dsn)


def scanned(plan: dict[str, Any]) -> list[str]:
    """The tables that a plan reads from beginning to end."""
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [table for child in plan.get("Plans", ()) for table in scanned(child)]


async def one_node(loaded: Loaded) -> tuple[Any, Any]:
    row = await loaded.connection.fetchrow("SELECT user_id, node_id FROM node_state WHERE number = 1234")
    return row["user_id"], row["node_id"]


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("whose", ["node", "user"])
@pytest.mark.parametrize(
    "query",
    ["sessions", "memberships", "minutes", "hours", "days", "network_hours", "network_days", "countries"],
)
async def test_no_query_reads_a_large_table_from_end_to_end(
    small_copy: Loaded, query: str, whose: str, generic: bool
) -> None:
    user_id, node_id = await one_node(small_copy)
    node = node_id if whose == "node" else None
    first, last = NUMBER * 24, (NUMBER + 4) * 24
    arguments: dict[str, tuple[Any, ...]] = {
        "sessions": (user_id, node_id, None, 20),
        "memberships": (user_id, node),
        "minutes": (user_id, node, last - 24, last),
        "hours": (user_id, node, first, last),
        "days": (user_id, node, NUMBER - 30, NUMBER + 4, [NUMBER + 3]),
        "network_hours": (EVERYWHERE, list(range(first, last - 24)), list(range(last - 24, last))),
        "network_days": (EVERYWHERE, list(range(NUMBER - 30, NUMBER))),
        "countries": (list(range(NUMBER - 30, NUMBER)), list(range(last - 24, last))),
    }
    mode = "force_generic_plan" if generic else "force_custom_plan"
    async with small_copy.connection.transaction():
        await small_copy.connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        text = await small_copy.connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {QUERIES[query]}", *arguments[query]
        )
    plan = json.loads(text)[0]["Plan"]
    large = [table for table in scanned(plan) if table.startswith(LARGE)]
    assert large == [], json.dumps(plan, indent=1)


async def test_the_summary_of_the_network_reads_no_large_table_from_end_to_end(small_copy: Loaded) -> None:
    text = await small_copy.connection.fetchval(f"EXPLAIN (FORMAT JSON) {load('uptime')['network']}")
    plan = json.loads(text)[0]["Plan"]
    assert [table for table in scanned(plan) if table.startswith((*LARGE, "node", "account"))] == []


async def test_a_month_of_a_node_reads_only_its_own_rows(small_copy: Loaded) -> None:
    user_id, node_id = await one_node(small_copy)
    arguments = user_id, node_id, NUMBER * 24, (NUMBER + 4) * 24
    async with small_copy.connection.transaction():
        text = await small_copy.connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {QUERIES['hours']}", *arguments
        )
    plan = json.loads(text)[0]["Plan"]

    def rows(part: dict[str, Any]) -> float:
        own = part["Actual Rows"] * part["Actual Loops"] + part.get("Rows Removed by Filter", 0)
        return max([own, *(rows(child) for child in part.get("Plans", ()))])

    assert rows(plan) == 4 * 24
