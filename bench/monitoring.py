"""Measures what monitoring costs with many nodes: the ingest of their reports, a day of them, their scores.

``python -m bench.monitoring`` starts PostgreSQL and Valkey as `pulseboard up` does. For `ingest` the jobs
process takes in an hour of reports of all nodes, a round of them for each minute, as fast as it can, beside
bare COPYs; for `day` a generated day is rolled up, packed and asked about, and all scores are computed of it.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench import ingest, machine
from bench.day import fill_day
from bench.outcome import LOWER, Check, check
from bench.program import BenchError
from bench.stores import PATIENCE, open_stores
from storage import postgres
from storage.postgres import PostgresDays, PostgresScores, PostgresStatistics, PostgresUptime

RESULT = Path(__file__).parent / "results" / "monitoring.json"
PARTS = ("ingest", "day")
NODES, ROUNDS = 1_000_000, 60
HOURS = 24
# Nodes that have hours on the days before too, and those days.
KEPT_NODES, KEPT_DAYS = 10_000, 29
ASKED = 30
EPOCH = date(1970, 1, 1)
SUMS = "minutes, seconds, bytes_up, bytes_down, errors, answered, missed, refused, rtt_low, rtt_high"
COLUMNS = f"number, confirmed, {SUMS}"


async def a_day(folder: Path, nodes: int) -> tuple[list[Check], dict[str, Any]]:
    """A generated day: its size, its roll-up, queries about it, and the scores of it."""
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    number = (day - EPOCH).days
    async with open_stores(folder) as stores:
        connection = stores.connection
        started = time.perf_counter()
        await fill_day(connection, nodes, number)
        filled = time.perf_counter() - started
        partition = f"node_hour_{day:%Y%m%d}"
        rows = await connection.fetchval(f"SELECT count(*) FROM {partition}")
        await connection.execute(f"VACUUM ANALYZE {partition}")
        pool = await postgres.connect(stores.config.database.dsn, statement_timeout=PATIENCE)
        try:
            days, scores = PostgresDays(pool), PostgresScores(pool)
            written = await _size(connection, partition)
            rolled = await _timed(lambda: days.roll_up(day))
            packing = await _timed(lambda: days.pack(day))
            packed = await _size(connection, partition)
            summed = await connection.fetchval(
                "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
                " WHERE inhparent = 'node_day'::regclass"
            )
            end = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
            formula = (await scores.formulas())[-1]
            scored = await _timed(lambda: scores.recompute(end, formula))
            again = await _timed(lambda: scores.recompute(end, formula))
            await _keep_days(connection, days, day)
            asked = await _ask(connection, pool, day)
        finally:
            await pool.close()
    per_day = {name: size / rows * HOURS for name, size in (("written", written), ("packed", packed))}
    checks = [
        check(
            "bytes of a node's day of hours, heap and index, packed",
            per_day["packed"],
            "B",
            better=LOWER,
            bar=3072,
        ),
        check("nightly roll-up of the day", rolled, "s", better=LOWER, bar=300),
        check("roll-up and packing", rolled + packing, "s", better=LOWER, bar=300),
        check("scores of all nodes", max(scored, again), "s", better=LOWER, bar=30),
        check("query: the whole network now", asked["summary"], "ms", better=LOWER, bar=50),
        check("query: the countries over a day", asked["countries"], "ms", better=LOWER, bar=50),
        check("query: 30 days of a node by the hour", asked["hours"], "ms", better=LOWER, bar=20),
        check("query: 30 days of a node by the day", asked["days"], "ms", better=LOWER, bar=20),
    ]
    details = {
        "nodes": nodes,
        "rows": rows,
        "fill_seconds": round(filled, 1),
        "bytes_a_node_and_day": {name: round(size) for name, size in per_day.items()},
        "bytes_of_a_summed_day": round(summed / nodes),
        "packing_seconds": round(packing, 1),
        "score_seconds": [round(scored, 2), round(again, 2)],
    }
    return checks, details


async def _size(connection: Any, table: str) -> int:
    return int(await connection.fetchval("SELECT pg_total_relation_size($1::text::regclass)", table))


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def _keep_days(connection: Any, days: PostgresDays, day: date) -> None:
    """Give some nodes the same hours on the days before."""
    first = (day - EPOCH).days
    await days.open(day - timedelta(days=KEPT_DAYS), day)
    for back in range(1, KEPT_DAYS + 1):
        await connection.execute(
            f"INSERT INTO node_hour ({COLUMNS}, hour) SELECT {COLUMNS}, hour - $1 * 24 FROM node_hour"
            " WHERE hour BETWEEN $2 * 24 AND $2 * 24 + 23 AND number <= $3",
            back,
            first,
            KEPT_NODES,
        )
        await days.roll_up(day - timedelta(days=back))
    await connection.execute("ANALYZE node_hour, node_day")


async def _ask(connection: Any, pool: postgres.Pool, day: date) -> dict[str, float]:
    """Median milliseconds of queries, each about another node."""
    found = await connection.fetch(
        "SELECT user_id, node_id FROM node_state WHERE number <= $1 ORDER BY hashint4(number) LIMIT $2",
        KEPT_NODES,
        ASKED,
    )
    store, uptime = PostgresStatistics(pool), PostgresUptime(pool)
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    start = end - timedelta(days=KEPT_DAYS + 1)
    queries: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "summary": lambda _: uptime.network(),
        "countries": lambda _: store.countries(end - timedelta(days=1), end),
        "hours": lambda row: store.series(row["user_id"], row["node_id"], start, end, "hour"),
        "days": lambda row: store.series(row["user_id"], row["node_id"], start, end, "day"),
    }
    medians = {}
    for name, query in queries.items():
        times = [await _timed(partial(query, row)) for row in found]
        medians[name] = statistics.median(times) * 1000
    return medians


async def run(parts: list[str], nodes: int, rounds: int, seed: int) -> dict[str, Any]:
    """Measure each part on servers of its own."""
    result: dict[str, Any] = {}
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="pulseboard-bench-") as folder:
            print(f"{part}: {nodes:,} nodes", file=sys.stderr)
            if part == "ingest":
                checks, details = await ingest.measure(Path(folder), nodes, rounds, seed)
            else:
                checks, details = await a_day(Path(folder), nodes)
        for one in checks:
            sign = "<=" if one.better == LOWER else ">="
            print(
                f"  {one.figure}: {one.value:g} {one.unit} ({sign} {one.bar:g}: {one.verdict})",
                file=sys.stderr,
            )
        result[part] = {"checks": checks, "details": details, "machine": machine.describe()}
    return result


def main() -> int:
    """Measure, tell and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitoring", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of {', '.join(PARTS)}")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="minutes of reports of every node")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if odd := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(odd))}")
    try:
        result = asyncio.run(run(parts, arguments.nodes, arguments.rounds, arguments.seed))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    kept = msgspec.json.decode(arguments.output.read_bytes()) if arguments.output.exists() else {}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode({**kept, **result}), indent=2)
    arguments.output.write_bytes(encoded + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
