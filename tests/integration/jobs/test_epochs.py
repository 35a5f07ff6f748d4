"""Jobs processes that are killed while they close epochs, on real servers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.system import Command
from support.waiting import eventually

from core.bootstrap import earning_terms, uptime_rules
from core.clock import from_ms
from core.config import Config, load
from services.events import GLOBAL_STREAM, decode_envelope
from storage.base import Opened, Report
from storage.postgres import PostgresEpochs, PostgresLedger

MINUTE = timedelta(minutes=1)
# How long the node was there, and how many epochs are to be closed.
WORKED, EPOCHS = 30, 90


class Town:
    """Processes as they run in production, and epochs of a minute that lie behind."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.settings = {
            "PULSEBOARD_DATABASE_DSN": site.dsn,
            "PULSEBOARD_REDIS_URL": site.redis_url,
            "PULSEBOARD_REDIS_PREFIX": "site",
            "PULSEBOARD_AUTH_SECRET": "Nq7vK2xR9mT4wZ8pL3sY6bH1cJ5gD0fA",
            "PULSEBOARD_ADMIN_LEASE": "0.5",
            "PULSEBOARD_EARNINGS_EPOCH_SECONDS": "60",
        }
        self.config: Config = load(environ=self.settings)
        rules = uptime_rules(self.config)
        self.grace = timedelta(seconds=rules.settling)
        self.epochs = PostgresEpochs(site.pool)
        self.ledger = PostgresLedger(site.pool)
        # Whole hours ago, so that an epoch begins and no hour ends while the test runs.
        self.start = from_ms((site.clock.now_ms() // 3_600_000 - 3) * 3_600_000)
        self.processes: list[Command] = []

    async def begin(self) -> None:
        """Epochs begin; the node is there for half an hour."""
        await self.epochs.set_terms(earning_terms(self.config), self.start)
        await self.epochs.begin(self.start, 60)
        hour = round(self.start.timestamp()) // 3600
        node, connection = self.site.node_id, self.site.connection
        await self.site.append(
            Opened(node, connection, hour * 3_600_000, "198.51.100.7"),
            Report(node, connection, hour, 0, WORKED * 60, hour * 3600 + WORKED * 60),
        )

    async def promise(self, at: datetime) -> None:
        """The worker has told all up to `at`."""
        await self.site.append(until_ms=round(at.timestamp() * 1000))

    async def start_one(self) -> None:
        """One more jobs process."""
        self.processes.append(await Command.start("jobs", environ=self.settings))

    async def kill_the_eldest(self) -> None:
        """It leads: those who came later wait."""
        await self.processes.pop(0).stop(signal.SIGKILL)

    async def closed(self) -> int:
        """How many epochs are closed."""
        newest = await self.epochs.epochs(None, 1)
        return newest[0].number if newest else 0

    async def reached(self, count: int) -> None:
        """Wait until so many are closed."""

        async def enough() -> bool:
            return await self.closed() >= count

        await eventually(enough, 60.0)


@pytest.fixture
async def town(site: Any) -> AsyncIterator[Town]:
    """Two processes, and as many more as a test starts."""
    town = Town(site)
    await town.begin()
    yield town
    for process in town.processes:
        await process.stop(signal.SIGKILL)


async def test_processes_killed_again_and_again_close_each_epoch_once(town: Town) -> None:
    await town.start_one()
    await town.processes[0].printed("leading")
    await town.start_one()
    await asyncio.wait_for(town.site.drained(), 60)
    assert await town.closed() == 0, "a living worker has promised nothing yet"
    await town.promise(town.start + EPOCHS * MINUTE + town.grace)
    for count in (1, 15, 40, 65):
        await town.reached(count)
        await town.kill_the_eldest()
        await town.start_one()
    await town.reached(EPOCHS)

    closed = sorted(await town.epochs.epochs(None, 1000), key=lambda epoch: epoch.number)
    assert [epoch.number for epoch in closed] == list(range(1, EPOCHS + 1))
    assert [epoch.starts_at for epoch in closed] == [town.start + n * MINUTE for n in range(EPOCHS)]
    pool = town.config.earnings.availability_pool // 60
    paid = [each.rewarded for epoch in closed for each in epoch.pools if each.category == "availability"]
    assert paid == [pool] * WORKED + [0] * (EPOCHS - WORKED)
    balances = (await town.ledger.balances([town.site.user_id]))[town.site.user_id]
    work = await town.ledger.earned(town.site.user_id, [town.start, town.start + EPOCHS * MINUTE])
    assert sum(each.amount for each in work if each.category == "availability") == pool * WORKED
    assert balances.earned == sum(each.amount for each in work)
    assert await town.ledger.check() == []

    async def told() -> bool:
        found = await town.site.streams.read({GLOBAL_STREAM: "0-0"}, 10_000, 0)
        envelopes = [decode_envelope(payload) for _, _, payload in found]
        return EPOCHS in {each.offset for each in envelopes if each.channel == "epoch"}

    await eventually(told)


async def test_a_living_worker_that_falls_silent_holds_the_close_back_until_it_speaks(town: Town) -> None:
    await town.start_one()
    await town.promise(town.start + 2 * MINUTE + town.grace)
    await town.reached(2)
    await town.processes[0].printed("a worker is late")
    assert await town.closed() == 2
    await town.promise(town.start + 3 * MINUTE + town.grace)
    await town.reached(3)
    assert await town.closed() == 3
