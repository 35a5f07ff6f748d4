"""Reports from the ingest stream to the tables, beside bare COPYs of as many rows."""

import asyncio
import struct
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.day import fill_nodes
from bench.measure import cpu_seconds
from bench.outcome import HIGHER, LOWER, Check, check
from bench.program import BenchError, Program
from bench.reports import MINUTES, Plan, connection_id, node_id, report
from bench.stores import Jobs, Stores, open_jobs, open_stores

WORKERS = 54
# Entries of a thousand reports that may wait in the stream.
MOST_WAITING = 300
# Rows of a bare COPY, and how many of them.
COPIED, COPIES = 50_000, 10
SAMPLE_SECONDS = 1.0
# Nothing came for so long: it is stuck.
STUCK_SECONDS = 60.0
MIB = 2**20

_ROW = """(node_id uuid, connection_id uuid, hour integer, start_s integer, end_s integer, at_s bigint,
           bytes_up bigint, bytes_down bigint, errors integer, answered integer, missed integer,
           refused integer, rtt_low bigint, rtt_high bigint, rtt_us integer, jitter_us integer)"""
_COPIED = struct.Struct("!h i16s i16s ii ii ii iq iq iq ii ii ii ii iq iq ii ii".replace(" ", ""))
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)


def copied(first: int, minute: int) -> bytes:
    """`COPIED` reports of a minute in the format of a binary COPY (PostgreSQL's manual, COPY)."""
    rows = [_HEADER]
    for number in range(first, first + COPIED):
        one = report(number, node_id(number), connection_id(number), 0, minute)
        numbers = (4, one.hour, 4, one.start, 4, one.end, 8, one.at_s, 8, one.bytes_up, 8, one.bytes_down)
        counts = (4, one.errors, 4, one.answered, 4, one.missed, 4, one.refused)
        low, high = (int.from_bytes(half, "big") for half in (one.rtt[:8], one.rtt[8:]))
        times = (8, low, 8, high, 4, one.rtt_us, 4, one.jitter_us)
        ids = (16, one.node_id.bytes, 16, one.connection_id.bytes)
        rows.append(_COPIED.pack(16, *ids, *numbers, *counts, *times))
    return b"".join([*rows, _TRAILER])


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """`data` as asyncpg takes it."""
    for start in range(0, len(data), MIB):
        yield data[start : start + MIB]


async def copy_rates(connection: Any) -> dict[str, float]:
    """Rows a second of a bare COPY: into a table without an index, and into one with the reports' key."""
    rates = {}
    for name, key in (("bare", ""), ("keyed", ", PRIMARY KEY (node_id, hour, start_s)")):
        await connection.execute(f"CREATE TABLE bench_{name} {_ROW.removesuffix(')')}{key})")
        spent = 0.0
        for turn in range(COPIES):
            data = copied(1 + turn * COPIED, 0)
            started = time.perf_counter()
            await connection.copy_to_table(f"bench_{name}", source=chunks(data), format="binary")
            spent += time.perf_counter() - started
        await connection.execute(f"DROP TABLE bench_{name}")
        rates[name] = COPIED * COPIES / spent
    return rates


async def sizes(connection: Any) -> dict[str, int]:
    """Bytes of the tables that reports go to, with their indexes, and how many updates were HOT."""
    row = await connection.fetchrow(
        """SELECT pg_total_relation_size('node_state') AS node_state,
                  pg_indexes_size('node_state') AS node_state_indexes,
                  (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
                   WHERE inhparent = 'node_hour'::regclass) AS node_hour,
                  n_tup_upd AS updates, n_tup_hot_upd AS hot_updates
           FROM pg_stat_user_tables WHERE relname = 'node_state'"""
    )
    return dict(row)


class Sample(Struct, frozen=True):
    """Reports applied until `at` seconds."""

    at: float
    records: int


async def follow(
    jobs: Jobs, connection: Any, nodes: int, rounds: int
) -> tuple[list[Sample], list[dict[str, int]]]:
    """Watch until all reports are applied; the sizes are those after each round.

    Raises:
        BenchError: nothing moves any more.
    """
    samples: list[Sample] = []
    grown: list[dict[str, int]] = []
    moved = time.monotonic()
    while not samples or samples[-1].records < nodes * rounds:
        records = (await jobs.metrics()).get("ingest_records_total", 0)
        now = time.monotonic()
        if samples and records > samples[-1].records:
            moved = now
        if now - moved > STUCK_SECONDS:
            raise BenchError(f"the ingest is stuck at {records:,} reports")
        samples.append(Sample(now, records))
        if records // nodes > len(grown):
            grown.append(await sizes(connection))
        await asyncio.sleep(SAMPLE_SECONDS)
    return samples, grown


def slowest_minute(samples: list[Sample]) -> float:
    """Reports a second in the slowest whole minute of the run."""
    rates = []
    for index, first in enumerate(samples):
        last = next((one for one in samples[index:] if one.at - first.at >= 60), None)
        if last is None:
            break
        rates.append((last.records - first.records) / (last.at - first.at))
    return min(rates, default=0.0)


async def measure(folder: Path, nodes: int, rounds: int, seed: int) -> tuple[list[Check], dict[str, Any]]:
    """Take in `rounds` reports of each of `nodes` nodes, a simulated minute apart."""
    async with open_stores(folder) as stores:
        connection = stores.connection
        await fill_nodes(connection, nodes)
        before = await copy_rates(connection)
        file = folder / "plan.json"
        file.write_bytes(msgspec.json.encode(_plan(stores, nodes, rounds, seed)))
        async with open_jobs(stores, folder) as jobs:
            feeder = await Program.start("reports", sys.executable, "-m", "bench.reports", file)
            try:
                samples, grown = await follow(jobs, connection, nodes, rounds)
                busy = cpu_seconds(jobs.pid)
            finally:
                await feeder.stop(0.1)
            metrics = await jobs.metrics()
        after = await copy_rates(connection)
        seconds = await connection.fetchval("SELECT sum(confirmed_s)::bigint FROM node_state")
    if seconds != nodes * rounds * 60:
        raise BenchError(f"{seconds:,} seconds were stored of {nodes * rounds * 60:,}")
    moving = [one for one in samples if one.records]
    rate = (moving[-1].records - moving[0].records) / (moving[-1].at - moving[0].at)
    copies = {name: (before[name] + after[name]) / 2 for name in before}
    # From the first full hour on, rounds after a turn of the hour included.
    growth = (grown[-1]["node_state"] / grown[0]["node_state"] - 1) * 100
    checks = [
        check("node updates a second, from the stream to the table", rate, "/s", better=HIGHER, bar=50_000),
        check("the same in the slowest minute", slowest_minute(samples), "/s", better=HIGHER, bar=50_000),
        check(
            "against a bare COPY of the rows into a table with their key",
            rate / copies["keyed"],
            "×",
            better=HIGHER,
            bar=0.5,
        ),
        check(
            "against a bare COPY of the rows into a table without an index",
            rate / copies["bare"],
            "×",
            better=HIGHER,
            bar=0.5,
        ),
        check(
            "growth of the state's table and indexes from the first minute of the run to the last",
            growth,
            "%",
            better=LOWER,
            bar=25,
        ),
    ]
    details = {
        "nodes": nodes,
        "rounds": rounds,
        "seconds": round(moving[-1].at - moving[0].at, 1),
        "copy_rates": {name: round(value) for name, value in copies.items()},
        "jobs_cpu_share": round(busy / (samples[-1].at - samples[0].at), 3),
        "sizes": [grown[0], grown[-1]],
        "metrics": {name: value for name, value in metrics.items() if name.startswith("ingest_")},
    }
    return checks, details


def _plan(stores: Stores, nodes: int, rounds: int, seed: int) -> Plan:
    hours = -(-rounds // MINUTES)
    first = datetime.now(UTC) - timedelta(hours=hours + 1)
    return Plan(
        redis_url=stores.config.redis.url,
        prefix=stores.config.redis.prefix,
        nodes=nodes,
        workers=WORKERS,
        rounds=rounds,
        hour=int(first.timestamp()) // 3600,
        most=MOST_WAITING,
        seed=seed,
    )
