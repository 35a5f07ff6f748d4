"""The scores on PostgreSQL: the SQL says what the Python says, and nobody notices a computation."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace
from support.stores import CREATED, Stores, make_node, postgres_stores

from core.clock import new_id
from core.errors import StorageUnavailable
from storage.base import LatencyBand, RuleGate, ScoreFormula, ScoreParameters, Weights
from storage.postgres import Pool, PostgresScores, connect, scores
from storage.postgres.queries import load
from storage.rtt import BUCKETS, MOST
from storage.scores import FIRST_FORMULA, add_hours, compute, window_of
from storage.uptime import CHALLENGES_LIMIT, COUNT_LIMIT, HOUR_S, HourSums

AT = datetime(2026, 3, 4, 5, 26, 47, tzinfo=UTC)
THIS_HOUR = int(AT.timestamp()) // HOUR_S
NODES = 250
COLUMNS = [
    "number",
    "hour",
    "seconds",
    "bytes_up",
    "bytes_down",
    "answered",
    "missed",
    "refused",
    "rtt_low",
    "rtt_high",
    "minutes",
    "errors",
]


@pytest.fixture
async def stores(pool: Pool) -> Stores:
    return postgres_stores(pool)


def random_parameters(rng: random.Random) -> ScoreParameters:
    cuts = sorted(rng.sample(range(10_001), 3))
    edges = sorted(rng.sample(range(1, 2000), rng.randrange(0, 5)))
    return ScoreParameters(
        weights=Weights(
            uptime=cuts[0],
            latency=cuts[1] - cuts[0],
            challenges=cuts[2] - cuts[1],
            contribution=10_000 - cuts[2],
        ),
        required=[name for name in ("uptime", "latency", "challenges") if rng.random() < 0.7],
        window_hours=rng.randint(1, 24),
        settle_seconds=rng.choice([0, 120, 3599]),
        least_window_seconds=rng.choice([1, 3600, 40_000]),
        least_samples=rng.choice([1, 10, 300]),
        least_challenges=rng.choice([1, 10, 300]),
        latency_bands=[LatencyBand(up_to_ms=edge, points=rng.randint(0, 10_000)) for edge in edges]
        + [LatencyBand(up_to_ms=None, points=rng.randint(0, 10_000))],
        target_bytes=rng.choice([1, 1 << 20, 1 << 30, 10**14]),
    )


def random_hour(rng: random.Random) -> HourSums:
    """An hour: mostly as they are, sometimes empty or as full as the columns hold."""
    kind = rng.random()
    seconds = rng.choice([0, 3600, rng.randint(0, 3600)])
    if kind < 0.15:
        return HourSums()
    if kind < 0.3:
        most = CHALLENGES_LIMIT
        return HourSums([(0, 3600)], COUNT_LIMIT, COUNT_LIMIT, 0, most, most, most, [MOST] * BUCKETS)
    peak = rng.randrange(BUCKETS)
    rtt = [rng.randint(0, 12) if abs(index - peak) < 3 else 0 for index in range(BUCKETS)]
    return HourSums(
        [(0, seconds)] if seconds else [],
        rng.randint(0, 1 << rng.randint(1, 40)),
        rng.randint(0, 1 << rng.randint(1, 40)),
        0,
        rng.randint(0, 200),
        rng.choice([0, rng.randint(0, 50)]),
        rng.choice([0, rng.randint(0, 50)]),
        rtt,
    )


def packed(counts: list[int]) -> tuple[int, int]:
    data = bytes(counts)
    return int.from_bytes(data[:8], signed=True), int.from_bytes(data[8:], signed=True)


def columns(sums: HourSums) -> tuple[int, ...]:
    counts = (sums.bytes_up, sums.bytes_down, sums.answered, sums.missed, sums.refused)
    return sums.seconds, *counts, *packed(sums.rtt)


async def raise_flag(connection: Any, user_id: UUID, node_id: UUID, gate: RuleGate) -> None:
    await connection.execute(
        """INSERT INTO abuse_flag (flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence,
                                   action, gate, raised_at)
           VALUES ($1, $2, $3, $4, 1, '', 1, $5, 'gate', $6, $7)""",
        new_id(),
        user_id,
        node_id,
        gate.rule,
        json.dumps(gate.evidence),
        gate.quarters,
        AT,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_sql_says_what_the_python_says(pool: Pool, stores: Stores, seed: int) -> None:
    rng = random.Random(seed)
    formula = FIRST_FORMULA
    if seed > 1:
        formula = ScoreFormula(version=1, created_at=CREATED, parameters=random_parameters(rng))
    window = window_of(AT, formula.parameters)
    user_id = await stores.add_user()
    expected = {}
    async with pool.transaction() as connection:
        for day in range((THIS_HOUR - 60) // 24, (THIS_HOUR + 2) // 24 + 1):
            await connection.execute("SELECT make_hour_partition($1)", day)
        rows = []
        for _ in range(NODES):
            enrolled = AT - timedelta(seconds=rng.choice([10**7, rng.randint(-10, 100_000)]))
            node = make_node(user_id, created_at=enrolled)
            assert await stores.nodes.enrol(node)
            number = await connection.fetchval(
                "SELECT number FROM node_state WHERE user_id = $1 AND node_id = $2", user_id, node.node_id
            )
            newest = THIS_HOUR - rng.choice([0, 0, 0, -1, 1, 5, 24, 25, 27])
            kept = [(hour, random_hour(rng)) for hour in range(newest - 27, newest + 1) if rng.random() < 0.8]
            if kept and kept[-1][0] == newest:
                await connection.execute(
                    """UPDATE node_state SET hour = $2, seconds = $3, bytes_up = $4, bytes_down = $5,
                              answered = $6, missed = $7, refused = $8, rtt_low = $9, rtt_high = $10
                       WHERE number = $1""",
                    number,
                    newest,
                    *columns(kept[-1][1]),
                )
            rows += [(number, hour, *columns(sums), 0, 0) for hour, sums in kept if hour != newest]
            public, located = rng.random() < 0.5, rng.random() < 0.5
            await connection.execute(
                "UPDATE node_state SET subnet = $2, latitude = $3 WHERE number = $1",
                number,
                "198.51.100.0/24" if public else "",
                1.5 if located else None,
            )
            gates = [
                RuleGate(rule=rule, quarters=rng.choice([0, 1, 1]), evidence={"nodes": 3, "of": "owner"})
                for rule in ("shared_address", "two_places")
                if rng.random() < 0.2
            ]
            for gate in gates:
                await raise_flag(connection, user_id, node.node_id, gate)
            gates.sort(key=lambda gate: (gate.quarters, gate.rule))
            total = add_hours(sums for hour, sums in kept if window.first_hour <= hour <= window.last_hour)
            length = window.seconds(int(enrolled.timestamp()))
            points = compute(formula.parameters, total, length, gates)
            expected[node.node_id] = (total, length, points, public, located, gates)
        await connection.copy_records_to_table("node_hour", records=rows, columns=COLUMNS)

    assert await stores.scores.recompute(AT, formula) == NODES
    told = set()
    for node_id, (total, length, points, public, located, gates) in expected.items():
        found = await stores.scores.of_node(user_id, node_id)
        assert found is not None
        where = f"seed {seed}: {found}"
        assert (found.formula, found.computed_at) == (1, AT), where
        assert (found.confirmed_seconds, found.bytes) == (total.confirmed, total.bytes), where
        counts = (found.answered, found.missed, found.refused)
        assert counts == (total.answered, total.missed, total.refused), where
        assert (found.window_seconds, found.public, found.located) == (length, public, located), where
        assert found.gates == gates, where
        for name in points.__struct_fields__:
            assert getattr(found, name) == getattr(points, name), f"{name}: {where}"
        told.add(found.score is None)
    assert told == {True, False}


async def test_a_formula_is_never_changed_or_removed(pool: Pool) -> None:
    for statement in (
        "UPDATE score_formula SET parameters = '{}'",
        "DELETE FROM score_formula WHERE version = 1",
        "TRUNCATE score_formula CASCADE",
    ):
        async with pool.connection() as connection:
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await connection.execute(statement)


async def test_the_next_version_stands_beside_the_first(pool: Pool, stores: Stores) -> None:
    await pool.fetch(
        """INSERT INTO score_formula (version, parameters, created_at)
           SELECT 2, parameters || '{"window_hours": 12}', $1 FROM score_formula""",
        AT,
    )
    first, second = await stores.scores.formulas()
    assert (first.version, first.parameters.window_hours) == (1, 24)
    assert (second.version, second.parameters.window_hours, second.created_at) == (2, 12, AT)


async def test_of_computations_at_the_same_time_each_is_whole(
    pool: Pool, stores: Stores, postgres_dsn: str
) -> None:
    user_id = await stores.add_user()
    nodes = [await stores.add_node(user_id) for _ in range(5)]
    times = [AT + timedelta(seconds=index) for index in range(8)]
    # As two processes would: they share nothing but the database.
    other = await connect(postgres_dsn)
    try:
        both = stores.scores, PostgresScores(other)
        done = await asyncio.gather(
            *(both[index % 2].recompute(at, FIRST_FORMULA) for index, at in enumerate(times))
        )
    finally:
        await other.close()
    assert done == [5] * 8
    found = [await stores.scores.of_node(user_id, node_id) for node_id in nodes]
    assert len({score.computed_at for score in found if score}) == 1
    assert {score.computed_at for score in found if score} <= set(times)


async def test_a_computation_that_is_cut_off_leaves_the_former_scores(pool: Pool, stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await stores.add_node(user_id)
    await stores.scores.recompute(AT, FIRST_FORMULA)
    before = await stores.scores.of_node(user_id, node_id)
    impossible = replace(FIRST_FORMULA.parameters, target_bytes=0)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await stores.scores.recompute(AT + timedelta(hours=1), replace(FIRST_FORMULA, parameters=impossible))
    assert before is not None
    assert await stores.scores.of_node(user_id, node_id) == before
    assert await stores.scores.recompute(AT + timedelta(hours=2), FIRST_FORMULA) == 1


async def test_computing_again_and_again_takes_no_more_room(pool: Pool, stores: Stores) -> None:
    user_id = await stores.add_user()
    for _ in range(50):
        await stores.add_node(user_id)

    async def size() -> int:
        query = (
            "SELECT pg_total_relation_size('node_score_0') + pg_total_relation_size('node_score_1') AS size"
        )
        return int((await pool.fetchrow(query))["size"])

    # The first leaves one of the two tables empty.
    await stores.scores.recompute(AT, FIRST_FORMULA)
    sizes = []
    for _ in range(20):
        await stores.scores.recompute(AT, FIRST_FORMULA)
        sizes.append(await size())
    # Two connections that ask for room at once may get a page too many, until the next computation.
    assert min(sizes[-8:]) == min(sizes[:8]), sizes


async def test_whoever_reads_for_long_holds_up_the_computation_but_no_other_reader(
    pool: Pool, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "PATIENCE", "10ms")
    user_id = await stores.add_user()
    node_id = await stores.add_node(user_id)
    await stores.scores.recompute(AT, FIRST_FORMULA)
    async with pool.transaction() as reader:
        await reader.fetch("SELECT * FROM node_score")
        with pytest.raises(StorageUnavailable, match="takes long"):
            await stores.scores.recompute(AT + timedelta(hours=1), FIRST_FORMULA)
        found = await stores.scores.of_node(user_id, node_id)
        assert found is not None
        assert found.computed_at == AT
    assert await stores.scores.recompute(AT + timedelta(hours=1), FIRST_FORMULA) == 1


async def test_a_score_is_looked_up_by_its_key(pool: Pool, stores: Stores) -> None:
    user_id = await stores.add_user()
    for _ in range(300):
        await stores.add_node(user_id)
    await stores.scores.recompute(AT, FIRST_FORMULA)
    await pool.fetch("ANALYZE node_state")
    plan = await pool.fetch("EXPLAIN " + load("scores")["of_node"], user_id, new_id())
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan on node_score_" not in text, text
    assert "Seq Scan on node_state" not in text, text
