"""PostgreSQL is killed during a commit: all of it happened or nothing, and doing it again is safe."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.crashes import FOREVER
from support.histories import START, Histories, Work
from support.stores import Stores, postgres_stores
from support.waiting import eventually

from core.clock import ManualClock
from core.errors import Conflict, StorageUnavailable
from services.rewards import Claims
from storage.base.epochs import Streak, Terms
from storage.embedded import EmbeddedPostgres
from storage.postgres import Pool, connect, migrate
from storage.scores import FIRST_FORMULA

TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=500_000,
    bonus_pool=10_000,
    referral_pool=100_000,
    unmeasured_score=5000,
    hold_seconds=0,
    holdback=[],
    streak=Streak(days=1, least_seconds=600, amount=777),
    first_hours=None,
    minimum_payout=1,
)
ENDED = START + timedelta(hours=1)
# A commit waits for a standby that there is not: what it wrote is there, its answer never comes.
STANDBY = {"synchronous_standby_names": "nobody", "synchronous_commit": "local"}
# Of those who shall wait for it.
WRITTEN = "&synchronous_commit=on"
# A commit waits before it writes anything, for whoever holds the lock.
GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION gate();
"""


COMMITTING = """
SELECT count(*) FROM pg_stat_activity WHERE query ~ '^COMMIT' AND state = 'active' AND wait_event = $1
"""


class Site:
    """A server that is killed while something commits, and what should be on it."""

    def __init__(self, server: EmbeddedPostgres, dsn: str, pool: Pool) -> None:
        self.server = server
        self.dsn = dsn
        self.history = Histories(pool, FIRST_FORMULA)

    async def dies_during(self, commit: Callable[[Stores], Awaitable[object]], *, written: bool) -> None:
        """Kill the server while `commit` commits, before or after that is `written`, and start it again."""
        pool = await connect(self.dsn + (WRITTEN if written else ""))
        gate = await asyncpg.connect(self.dsn)
        waits_for = "SyncRep" if written else "advisory"

        async def committing() -> bool:
            return bool(await gate.fetchval(COMMITTING, waits_for))

        try:
            if not written:
                await gate.execute("SELECT pg_advisory_lock(77)")
            doomed = asyncio.create_task(_outcome(commit(postgres_stores(pool))))
            await eventually(committing)
            assert self.server.pid is not None
            os.kill(self.server.pid, signal.SIGKILL)
            assert await doomed == "unavailable"
        finally:
            gate.terminate()
            await pool.close()
        await self.server.stop()
        await self.server.start()


async def _outcome(commit: Awaitable[object]) -> object:
    try:
        return await commit
    except StorageUnavailable:
        return "unavailable"


@pytest.fixture
async def site(data: Path) -> AsyncIterator[Site]:
    """People who brought one another and work, in an epoch that is over."""
    server = EmbeddedPostgres(data, settings={"fsync": "off", **STANDBY})
    databases = await server.start()
    admin = await asyncpg.connect(databases)
    await admin.execute("DROP DATABASE IF EXISTS commits")
    await admin.execute("CREATE DATABASE commits")
    await admin.close()
    dsn = urlsplit(databases)._replace(path="/commits").geturl()
    await migrate(dsn)
    pool = await connect(dsn)
    await pool.fetch("SELECT 1")
    async with pool.connection() as connection:
        await connection.execute(GATE)
    site = Site(server, dsn, pool)
    await site.history.begin(TERMS)
    for place in range(3):
        await site.history.join(place - 1 if place else None, None)
        await site.history.enrol(place, 9000)
        await site.history.work(Work(place, place, 0, 0, 1000 + place, 1000), late=False)
    await site.history.activate(600)
    yield site
    await pool.close()
    await server.stop()


@pytest.mark.parametrize("written", [False, True], ids=["before_it_is_written", "after_it_is_written"])
async def test_postgresql_killed_during_commit_leaves_all_of_it_or_nothing(site: Site, written: bool) -> None:
    history, epochs = site.history, site.history.postgres.epochs

    await site.dies_during(lambda stores: stores.epochs.close(FOREVER, ENDED), written=written)

    if written:
        assert await epochs.close(FOREVER, ENDED) is None, "it is done"
        await history.memory.epochs.close(FOREVER, ENDED)
    await history.agree_in_all()
    if not written:
        await history.close()
        await history.agree_in_all()
    user_id = history.people[0]
    claimable = (await history.postgres.ledger.balances([user_id]))[user_id].claimable
    assert claimable > 0

    await site.dies_during(lambda stores: _claims(stores).claim(user_id), written=written)

    after = (await history.postgres.ledger.balances([user_id]))[user_id]
    assert (after.claimable, after.claimed) == ((0, claimable) if written else (claimable, 0))
    assert await history.postgres.ledger.check() == []
    if written:
        with pytest.raises(Conflict, match="nothing"):
            await _claims(history.postgres).claim(user_id)
    else:
        assert (await _claims(history.postgres).claim(user_id)).amount == str(claimable)
    assert await history.postgres.ledger.check() == []


def _claims(stores: Stores) -> Claims:
    return Claims(ledger=stores.ledger, epochs=stores.epochs, users=stores.users, clock=ManualClock(START))
