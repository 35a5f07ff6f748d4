"""A close that is killed at any of its statements leaves nothing behind, and is made up for by the next."""

import asyncio
import sys

from support.crashes import FOREVER
from support.histories import Histories, Work
from support.processes import python_environment

from storage.base.epochs import FirstHours, HoldBack, Streak, Terms
from storage.postgres import (
    Pool,
)
from storage.scores import FIRST_FORMULA

TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=500_000,
    bonus_pool=10_000,
    referral_pool=100_000,
    unmeasured_score=5000,
    hold_seconds=3600,
    holdback=[HoldBack(days=30, share=2500)],
    streak=Streak(days=1, least_seconds=600, amount=777),
    first_hours=FirstHours(hours=1, share=5000),
    minimum_payout=1,
)
# What a close writes to.
TABLES = (
    "epoch",
    "epoch_pool",
    "epoch_node",
    "epoch_person",
    "campaign",
    "campaign_epoch",
    "earner",
    "referral_sum",
    "ledger_entry",
    "ledger_posting",
    "ledger_balance",
    "ledger_sum",
)
EVERYTHING = " UNION ALL ".join(
    f"SELECT '{table}' AS name, md5(string_agg(t::text, ',' ORDER BY t::text)) AS rows FROM {table} t"
    for table in TABLES
)


async def everything(pool: Pool) -> dict[str, str]:
    """All rows of all tables that a close writes, in short."""
    return {row["name"]: row["rows"] for row in await pool.fetch(EVERYTHING)}


async def test_a_process_that_is_killed_anywhere_in_a_close_leaves_all_of_it_or_nothing(
    pool: Pool, postgres_dsn: str
) -> None:
    history = Histories(pool, FIRST_FORMULA)
    await history.begin(TERMS)
    for place in range(3):
        await history.join(place - 1 if place else None, None)
        await history.enrol(place, 24 * 80 * place, "192.0.2.1")
        await history.work(Work(place, place, 0, 0, 1000 + place, 1000), late=False)
    await history.activate(600)
    await history.campaign("DE", range(60, 300), 3333, 1000)
    await history.close()
    # Late: the next close has corrections, and something to release and to pay too.
    for place in range(3):
        await history.work(Work(place, 0, -1, 1500, 100 + place, 9**place), late=False)
        await history.work(Work(place, 0, 0, 0, 100 + place, 9), late=False)
    await history.agree_in_all()
    before, statement, outcome = await everything(pool), 0, "killed"
    closer = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "support.crashes", postgres_dsn),
        env=python_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert closer.stdin is not None
    assert closer.stdout is not None

    while outcome == "killed" and await everything(pool) == before:
        statement += 1
        closer.stdin.write(f"{statement}\n".encode())
        outcome = (await closer.stdout.readline()).decode().strip()
    closer.stdin.close()
    assert await closer.wait() == 0

    # Either the commit was the last that it sent, or nobody killed it any more.
    assert outcome in {"killed", "closed"}
    assert statement > 30
    await history.memory.epochs.close(FOREVER, FOREVER)
    await history.agree_in_all()
    keys = {row["key"] for row in await pool.fetch("SELECT key FROM ledger_entry WHERE epoch = 2")}
    assert keys == {
        "epoch:2:availability",
        "epoch:2:usage",
        "epoch:2:bonus",
        "epoch:2:referral",
        "correction:1:availability",
        "correction:1:usage",
        "epoch:2:release",
        "epoch:2:payable",
    }
    await history.close()
    await history.agree_in_all()
