"""Measures what earnings cost with many nodes: closes, sums of the open epoch, what a person is shown.

``python -m bench.earnings`` starts PostgreSQL and Valkey as `pulseboard up` does and fills them: nodes, their
owners, who brought whom, the hours of a day and the next one's first, and a ledger of months. A process
closes two epochs as the jobs process does. The first books rewards, bonuses and commissions; the second also
releases what the first paid, measures it anew, because it becomes final, and makes it claimable. The API is
asked for the figures of many people, and of the one with the longest history.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.api import client_of, get
from bench.day import fill_hours, fill_nodes
from bench.incomes import fill_ledger, fill_people
from bench.outcome import LOWER, Check, check
from bench.program import Answer, BenchError, Program
from bench.stores import PATIENCE, Stores, open_api, open_stores
from core.bootstrap import earning_terms, make_tokens
from storage import postgres
from storage.postgres import PostgresDays, PostgresEpochs, PostgresScores

RESULT = Path(__file__).parent / "results" / "earnings.json"
NODES, ACCOUNTS, POSTINGS = 1_000_000, 300_000, 20_000_000
HOURS = 24
HOUR = timedelta(hours=1)
MIB = 2**20
# A node in so many has an hour that is reported late.
LATE = 100
# People whose figures are asked for, in turn, by so many connections, each with a pause after an answer.
ASKED, CONNECTIONS, PAUSE, SECONDS = 200, 2, 0.01, 10.0
# What the first epoch pays is final with the end of the second.
SETTINGS = {"PULSEBOARD_EARNINGS_HOLD_SECONDS": "3600"}

_LATE = """
UPDATE node_hour SET bytes_up = bytes_up + 1000000, seconds = 3600, confirmed = NULL
WHERE hour = $1 AND number % $2 = 0
"""
_SESSION = """
INSERT INTO login_session (user_id, session_id, token_hash, device, address, created_at, last_used_at,
                           expires_at)
SELECT user_id, user_id, sha256(uuid_send(user_id)), 'bench', '127.0.0.1', now(), now(),
       now() + interval '1 day'
FROM unnest($1::uuid[]) user_id
"""


async def fill(stores: Stores, nodes: int, accounts: int, postings: int, day: date) -> int:
    """Fill the database up to the first hours of `day`; returns how many postings there are."""
    connection, number = stores.connection, (day - date(1970, 1, 1)).days
    await fill_nodes(connection, nodes, accounts)
    await fill_people(connection, accounts, number)
    await fill_hours(connection, number * 24 - HOURS, number * 24 + 2)
    await connection.execute("VACUUM ANALYZE node_hour, node_state")
    return await fill_ledger(connection, accounts, postings, _midnight(day) - HOUR)


async def close_epochs(stores: Stores, day: date) -> dict[str, Answer]:
    """Close the last hour before `day` and its first one, and sum up in between and afterwards."""
    connection, midnight = stores.connection, _midnight(day)
    hour = int(midnight.timestamp()) // 3600
    pool = await postgres.connect(stores.config.database.dsn, statement_timeout=PATIENCE)
    answers: dict[str, Answer] = {}
    try:
        scores, epochs = PostgresScores(pool), PostgresEpochs(pool)
        await scores.recompute(midnight, (await scores.formulas())[-1])
        await epochs.set_terms(earning_terms(stores.config), midnight - HOUR)
        await epochs.begin(midnight - HOUR, 3600)
        closing = await Program.start(
            "closing", sys.executable, "-m", "bench.closing", env={**os.environ, **stores.environ}
        )
        try:
            answers["measure_ended"] = await closing.ask("measure", "measured", PATIENCE)
            answers["first"] = await closing.ask("close", "closed", PATIENCE)
            await connection.execute(_LATE, hour - 1, LATE)
            await PostgresDays(pool).pack(day - timedelta(days=1))
            answers["second"] = await closing.ask("close", "closed", PATIENCE)
            answers["measure"] = await closing.ask("measure", "measured", PATIENCE)
        finally:
            await closing.stop()
    finally:
        await pool.close()
    return answers


async def ask_summaries(stores: Stores, folder: Path, accounts: int) -> dict[str, Answer]:
    """`GET /earnings/summary` of people from everywhere, and of the one with most postings."""
    connection = stores.connection
    everybody = await connection.fetch(
        "SELECT user_id FROM account ORDER BY hashtextextended(user_id::text, 0) LIMIT $1", ASKED
    )
    busiest = await connection.fetchval("SELECT pulse_id(1, $1)", accounts)
    mixes = {"mix": [row["user_id"] for row in everybody] + [busiest], "busiest": [busiest]}
    await connection.execute(_SESSION, mixes["mix"])
    tokens = make_tokens(stores.config)
    answers: dict[str, Answer] = {}
    async with AsyncExitStack() as stack:
        client = await client_of(stack, await stack.enter_async_context(open_api(stores, folder)))
        for name, people in mixes.items():
            requests = [
                get("/api/v1/earnings/summary", tokens.for_user(each, each, "user")[0]) for each in people
            ]
            command = {"requests": requests, "connections": CONNECTIONS, "pause": PAUSE}
            for seconds in (1.0, SECONDS):
                line = msgspec.json.encode({**command, "seconds": seconds}).decode()
                answers[name] = await client.ask(line, "asked", seconds + 60)
            if set(answers[name]["statuses"]) != {"200"}:
                raise BenchError(f"answers were not 200 alone: {answers[name]['statuses']}")
    return answers


async def run(nodes: int, accounts: int, postings: int) -> dict[str, Any]:
    """Fill, measure and judge."""
    day = datetime.now(UTC).date()
    with tempfile.TemporaryDirectory(prefix="pulseboard-bench-") as name:
        folder = Path(name)
        async with open_stores(folder, SETTINGS) as stores:
            print(f"filling: {nodes:,} nodes of {accounts:,} people", file=sys.stderr)
            began = time.perf_counter()
            booked = await fill(stores, nodes, accounts, postings, day)
            filled = time.perf_counter() - began
            closes = await close_epochs(stores, day)
            asked = await ask_summaries(stores, folder, accounts)
            epochs = await stores.connection.fetch(
                "SELECT number, nodes, users FROM epoch WHERE closed_at IS NOT NULL ORDER BY number"
            )
            written = await stores.connection.fetch(
                "SELECT kind, sum(postings)::bigint AS postings"
                " FROM ledger_sum JOIN ledger_entry USING (entry_id) WHERE epoch > 0"
                " GROUP BY kind ORDER BY kind"
            )
    return {
        "checks": _judge(closes, asked),
        "details": {
            "nodes": nodes,
            "accounts": accounts,
            "postings": booked,
            "fill_seconds": round(filled, 1),
            "epochs": [dict(row) for row in epochs],
            "booked": {row["kind"]: row["postings"] for row in written},
            "closes": closes,
            "asked": asked,
        },
        "machine": machine.describe(),
    }


def _judge(closes: dict[str, Answer], asked: dict[str, Answer]) -> list[Check]:
    seconds = {name: answer["seconds"] for name, answer in closes.items()}
    peak = max(answer["peak"] for answer in closes.values()) / MIB
    latency = {name: answer["p99_us"] / 1000 for name, answer in asked.items()}
    return [
        check("close of an epoch", seconds["first"], "s", better=LOWER, bar=60),
        check(
            "close that also releases, corrects and pays out", seconds["second"], "s", better=LOWER, bar=60
        ),
        check("peak memory of the process that closes", peak, "MiB", better=LOWER, bar=500),
        check("sums of the epoch under way", seconds["measure"], "s", better=LOWER, bar=5),
        check("sums of an epoch that has ended", seconds["measure_ended"], "s", better=LOWER, bar=10),
        check("p99 of GET /earnings/summary, many people", latency["mix"], "ms", better=LOWER, bar=20),
        check("the same of the one with most postings", latency["busiest"], "ms", better=LOWER, bar=20),
    ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def main() -> int:
    """Measure, tell and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.earnings", description=__doc__)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--postings", type=int, default=POSTINGS)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    try:
        result = asyncio.run(run(arguments.nodes, arguments.accounts, arguments.postings))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for one in result["checks"]:
        print(f"  {one.figure}: {one.value:g} {one.unit} (<= {one.bar:g}: {one.verdict})", file=sys.stderr)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
