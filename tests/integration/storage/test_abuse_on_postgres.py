"""The rules of abuse on PostgreSQL: the plans of what they ask, on a small copy of a large network."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.servers import Databases

from bench.day import fill_day
from core.clock import new_id
from storage.abuse import KINDS, shipped
from storage.base import AbuseRule
from storage.days import number_of
from storage.postgres import Pool, PostgresAbuse, connect
from storage.postgres.abuse import look_of
from storage.postgres.queries import load

QUERIES = load("abuse")
DAY = date(2026, 3, 1)
AT = datetime(2026, 3, 1, 23, 45, tzinfo=UTC)
NODES = 3000
LARGE = ("node", "abuse_flag", "abuse_decision", "account")
# What a rule has to look at as a whole: where every node is now.
ALL_NODES = {"node_state", "node"}
# As shipped, but for what is common in three thousand nodes.
COMMON = {"nodes": 2, "nodes_24": 2, "times": 1}
RULES = {
    rule.name: replace(
        rule, parameters={key: COMMON.get(key, value) for key, value in rule.parameters.items()}
    )
    for rule in shipped()
}

SPREAD = """
UPDATE node_state
SET address = CASE WHEN number % 100 < 3 THEN '198.51.100.' || number / 100 ELSE address END,
    subnet = CASE WHEN number % 50 = 7 THEN '203.0.113.0/24' ELSE subnet END,
    asn = CASE WHEN number % 4 = 1 THEN 64500 ELSE asn END, refused = (number % 500 = 1)::integer * 90
"""
REFUSALS = "UPDATE node_hour SET refused = 90 WHERE hour = $1 AND number % 200 = 1"
SESSIONS = """
INSERT INTO node_session (user_id, node_id, session_id, opened_at, closed_at, code, worker, address)
SELECT user_id, node_id, pulse_id(7, number * 20 + i),
       $1::timestamptz - make_interval(hours => 20 * i, secs => noise(together, i) * 30000 + 40000),
       $1::timestamptz - make_interval(hours => 20 * i, secs => noise(together, i + 50) * 30000),
       1006, 'w', ''
FROM (SELECT *, CASE WHEN number % 100 BETWEEN 1 AND 4 THEN -number / 100 ELSE number END AS together
      FROM node_state) s, generate_series(0, 19) i
"""
MOVES = """
INSERT INTO node_move (user_id, node_id, from_connection, to_connection, left_ms, at_ms, overlap_to, km,
                       from_address, to_address, from_subnet, to_subnet)
SELECT user_id, node_id, pulse_id(8, number * 20 + i), pulse_id(9, number * 20 + i), at - 60000, at,
       CASE WHEN number % 100 = 1 THEN at / 1000 + 90 END, number % 1000,
       '192.0.2.1', '192.0.2.2', '192.0.2.0/24', '192.0.2.0/24'
FROM (SELECT *, $1::bigint - i * 36000000::bigint AS at FROM node_state, generate_series(0, 9) i) s
"""
# Most flags have ended.
FLAGS = """
INSERT INTO abuse_flag (flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action,
                        gate, state, raised_at, ended_at, quiet_until)
SELECT pulse_id(10, number * 20 + i), user_id, node_id, $2, 1, '', 1, '{"nodes": 3}',
       CASE WHEN number % 300 = 1 THEN 'suspend' ELSE 'gate' END, 1, state, $1::timestamptz,
       CASE WHEN state <> 'active' THEN $1::timestamptz - make_interval(days => i + number % 80) END,
       CASE WHEN state = 'dismissed' THEN $1::timestamptz END
FROM (SELECT *, CASE WHEN i = 0 AND number % 20 = 1 THEN 'active' WHEN number % 97 = i THEN 'dismissed'
                     ELSE 'cleared' END AS state
      FROM node_state, generate_series(0, 9) i) s
"""
DECISIONS = """
INSERT INTO abuse_decision (flag_id, at, decision, action, gate, rule_version, evidence)
SELECT flag_id, raised_at, 'raised', action, gate, 1, evidence FROM abuse_flag, generate_series(1, 2)
"""


@pytest.fixture(scope="module")
async def small_copy(databases: Databases) -> AsyncIterator[Pool]:
    """Three thousand nodes with a day of hours, and their sessions, moves and flags."""
    dsn = await databases.create()
    pool = await connect(dsn)
    async with pool.connection(60) as connection:
        await fill_day(connection, NODES, number_of(DAY))
        await connection.execute(SPREAD)
        await connection.execute(REFUSALS, number_of(DAY) * 24 + 22)
        await connection.execute(SESSIONS, AT)
        await connection.execute(MOVES, int(AT.timestamp()) * 1000)
        await connection.execute(FLAGS, AT, "shared_address")
        await connection.execute(DECISIONS)
        await connection.execute("VACUUM ANALYZE")
    yield pool
    await pool.close()
    await databases.drop(dsn)


def parts(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan and all that it consists of."""
    return [plan] + [part for child in plan.get("Plans", ()) for part in parts(child)]


def scanned(plan: dict[str, Any]) -> set[str]:
    """The large tables that a plan reads from beginning to end."""
    tables = {part["Relation Name"] for part in parts(plan) if part["Node Type"] == "Seq Scan"}
    return {table for table in tables if table.startswith(LARGE)}


async def plan_of(connection: Any, statement: str, *arguments: Any) -> dict[str, Any]:
    return json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))[0]["Plan"]


async def look(connection: Any, rule: AbuseRule) -> dict[str, Any]:
    """Look for what `rule` finds, as the adapter does; returns the plan."""
    await connection.execute(QUERIES["prepare"], "64MB")
    arguments = AT, json.dumps(rule.parameters), rule.name
    plan = await plan_of(connection, look_of(rule), *arguments)
    await connection.execute(f"CREATE TEMP TABLE wanted ON COMMIT DROP AS {look_of(rule)}", *arguments)
    await connection.execute(QUERIES["index_wanted"])
    await connection.execute(QUERIES["analyze_wanted"])
    await connection.execute(QUERIES["no_loops"])
    return plan


@pytest.mark.parametrize("name", KINDS)
async def test_a_rule_reads_from_end_to_end_nothing_but_where_each_node_is(
    small_copy: Pool, name: str
) -> None:
    async with small_copy.transaction(60) as connection:
        plan = await look(connection, RULES[name])
    assert scanned(plan) <= ALL_NODES, json.dumps(plan, indent=1)


async def test_every_rule_finds_something_in_the_small_copy(small_copy: Pool) -> None:
    found = {}
    for name in KINDS:
        async with small_copy.transaction(60) as connection:
            await look(connection, RULES[name])
            found[name] = await connection.fetchval("SELECT count(*) FROM wanted")
    assert all(found.values()), found


async def test_judging_takes_up_the_flags_of_its_rule_alone(small_copy: Pool) -> None:
    rule = RULES["shared_address"]
    async with small_copy.transaction(60) as connection:
        await look(connection, rule)
        plan = await plan_of(
            connection,
            QUERIES["judge"],
            AT,
            rule.name,
            1,
            rule.action,
            rule.gate,
            rule.clear_after,
            False,
            5000,
        )
    assert scanned(plan) == set(), json.dumps(plan, indent=1)


async def test_judging_never_compares_each_flag_with_each_finding(small_copy: Pool) -> None:
    """As it did when the planner took a rule to have no flags: as long for 10,000 as for 100 million."""
    rule = RULES["shared_asn"]
    arguments = AT, rule.name, 1, rule.action, None, rule.clear_after, False, 5000
    async with small_copy.connection(60) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await look(connection, rule)
        assert await connection.fetchval("SELECT count(*) FROM wanted") == NODES // 4
        # Of these flags the statistics know nothing.
        await connection.execute(FLAGS.replace("pulse_id(10,", "pulse_id(11,"), AT, rule.name)
        plan = await plan_of(connection, QUERIES["judge"], *arguments)
        await transaction.rollback()
    loops = [part for part in parts(plan) if part["Node Type"] == "Nested Loop"]
    assert loops == [], json.dumps(plan, indent=1)


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize(
    "query", ["decisions", "dismiss", "unsuspend", "suspend", "suspensions", "unenforced", "prune", "decide"]
)
async def test_what_is_asked_of_flags_reads_no_large_table_from_end_to_end(
    small_copy: Pool, query: str, generic: bool
) -> None:
    flag = (await small_copy.fetch("SELECT * FROM abuse_flag WHERE action = 'suspend' LIMIT 1"))[0]
    arguments: dict[str, tuple[Any, ...]] = {
        "decisions": (flag["flag_id"],),
        "dismiss": (flag["flag_id"], AT, new_id(), "", AT),
        "unsuspend": (flag["node_id"], AT, new_id(), "", AT),
        "suspend": (new_id(), flag["node_id"], "staff", AT, new_id(), ""),
        "suspensions": ([flag["node_id"]],),
        "unenforced": (500,),
        "prune": (AT - timedelta(days=88), int(AT.timestamp() - 4 * 86_400) * 1000),
        "decide": ([flag["flag_id"]], AT, "dismissed", new_id(), ""),
    }
    async with small_copy.transaction(60) as connection:
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        plan = await plan_of(connection, QUERIES[query], *arguments[query])
    assert scanned(plan) == set(), json.dumps(plan, indent=1)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"state": "active"},
        {"rule": "staff"},
        {"state": "cleared", "rule": "shared_address"},
        {"node_id": True},
        {"user_id": True, "state": "active"},
        {"before": True},
        {"user_id": True, "before": True},
    ],
    ids=str,
)
async def test_flags_are_listed_by_an_index(
    small_copy: Pool, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = (await small_copy.fetch("SELECT * FROM abuse_flag ORDER BY flag_id OFFSET 15000 LIMIT 1"))[0]
    values = {"node_id": flag["node_id"], "user_id": flag["user_id"], "before": flag["flag_id"]}
    plans = []

    async def explained(query: str, *args: Any) -> list[Any]:
        async with small_copy.connection() as connection:
            plans.append(await plan_of(connection, query, *args))
        return []

    store = PostgresAbuse(small_copy)
    monkeypatch.setattr(store, "_pool", type("Explaining", (), {"fetch": staticmethod(explained)}))
    await store.flags(**{key: values.get(key, value) for key, value in asked.items()}, limit=51)
    assert scanned(plans[0]) == set(), json.dumps(plans[0], indent=1)
