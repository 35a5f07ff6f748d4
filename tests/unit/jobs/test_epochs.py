"""Epochs are closed when nothing can be missing, once each, and told of, whatever dies in between."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock, to_ms
from core.errors import StorageUnavailable
from core.jobs.epochs import Epochs
from core.jobs.settling import Settling
from storage.base import Batch
from storage.base.epochs import Terms
from storage.memory import MemoryDatabase, MemoryStreams, MemoryUptime
from storage.memory.epochs import MemoryEpochs

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRACE = timedelta(seconds=100)
PATIENCE = timedelta(seconds=50)
TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=1_000_000,
    bonus_pool=0,
    referral_pool=0,
    unmeasured_score=5000,
    hold_seconds=86400,
    holdback=[],
    streak=None,
    first_hours=None,
    minimum_payout=0,
)


class Killed(BaseException):
    """The process ends here."""


class Told:
    """Stands for `Overviews`."""

    def __init__(self):
        self.times = 0

    def everybody(self):
        self.times += 1

    def told(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, StorageUnavailable):
            self.everybody()


class Fragile:
    """Passes calls on; at the one whose turn it is the process dies, before it or after it."""

    def __init__(self, site, target):
        self._site = site
        self._target = target

    def __getattr__(self, name):
        method = getattr(self._target, name)

        async def call(*args):
            self._site.tick(f"before {name}")
            result = await method(*args)
            self._site.tick(f"after {name}")
            return result

        return call


class Site:
    """Stores, one worker's promises, and processes that may die."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.database = MemoryDatabase(clock=self.clock)
        self.uptime = MemoryUptime(self.database)
        self.streams = MemoryStreams()
        self.store = MemoryEpochs(self.database)
        self.told = []
        self.overviews = Told()
        self.settlings = []
        self.sequence = 0
        self.watermark = START
        # Calls until the process dies.
        self.left = None
        self.dead = ""

    def tick(self, what):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left, self.dead = None, what
                raise Killed

    def process(self, **changes):
        """What a process has of it; the others stay as they are."""
        settling = Settling(Fragile(self, self.uptime), Fragile(self, self.streams), self.clock)
        self.settlings.append(settling)
        options = {
            "store": Fragile(self, self.store),
            "settling": settling,
            "overviews": self.overviews,
            "tell": self.tell,
            "clock": self.clock,
            "terms": TERMS,
            "seconds": 3600,
            "grace": GRACE,
            "patience": PATIENCE,
        }
        return Epochs(**options | changes)

    async def tell(self, epoch):
        self.tick("before tell")
        self.told.append(epoch.number)
        self.tick("after tell")

    async def at(self, moment, watermark=None):
        """It is `moment`; the worker has told all up to `watermark`, by default up to then."""
        self.clock.advance(moment - self.clock.now())
        self.watermark = moment if watermark is None else watermark
        await self.promise()

    async def promise(self, until_ms=None):
        self.sequence += 1
        until_ms = to_ms(self.watermark) if until_ms is None else until_ms
        await self.uptime.apply([Batch("w", self.sequence, [], until_ms)], {})
        for settling in self.settlings:
            settling.judge(["w"], self.clock.now())

    async def numbers(self):
        """The closed epochs' numbers; each begins where the one before ended."""
        closed = sorted(await self.store.epochs(None, 1000), key=lambda epoch: epoch.number)
        for before, after in pairwise(closed):
            assert before.ends_at == after.starts_at
        return [epoch.number for epoch in closed]


async def settle(epochs):
    """Two steps: the first may have to wait for the stream."""
    await epochs.step()
    await epochs.step()


@pytest.fixture
async def site():
    return Site()


# --- when -------------------------------------------------------------------------------------------


async def test_an_epoch_is_closed_at_its_end_and_the_grace_after_it(site):
    epochs = site.process()
    await site.at(START)
    await settle(epochs)
    for moment, closed in (
        (START + HOUR, []),
        (START + HOUR + GRACE - timedelta(milliseconds=1), []),
        (START + HOUR + GRACE, [1]),
        (START + 2 * HOUR, [1]),
    ):
        await site.at(moment)
        await settle(epochs)
        assert (await site.numbers(), site.told) == (closed, closed)
    assert site.overviews.times == 1
    metrics = epochs.metrics()
    assert (metrics["epoch_open"], metrics["epochs_closed_total"]) == (2, 1)


async def test_after_a_pause_all_that_is_due_is_closed_in_one_step(site):
    epochs = site.process()
    await site.at(START)
    await settle(epochs)
    await site.at(START + 5 * HOUR + GRACE)
    await settle(epochs)
    assert await site.numbers() == site.told == [1, 2, 3, 4, 5]


async def test_a_late_worker_holds_the_close_back_and_is_named(site):
    epochs = site.process()
    await site.at(START)
    await settle(epochs)
    due = START + HOUR + GRACE
    with capture_logs() as logs:
        await site.at(due, watermark=due - timedelta(seconds=1))
        await settle(epochs)
        assert epochs.metrics()["epoch_workers_late"] == 0
        await site.at(due + PATIENCE + timedelta(seconds=1), watermark=due - timedelta(seconds=1))
        await settle(epochs)
        await settle(epochs)
    assert await site.numbers() == []
    metrics = epochs.metrics()
    assert (metrics["epoch_workers_late"], metrics["epoch_overdue_ms"]) == (1, 51_000)
    named = [line for line in logs if line.get("worker")]
    assert [(line["worker"], line["epoch"]) for line in named] == [("w", 1)], "said once, not in each step"
    await site.promise(to_ms(due))
    await settle(epochs)
    assert await site.numbers() == [1]
    assert epochs.metrics()["epoch_overdue_ms"] == 0


async def test_that_nobody_could_judge_who_lives_is_said(site, monkeypatch):
    monkeypatch.setattr("core.jobs.epochs.LOG_INTERVAL", 0.0)
    epochs = site.process()
    await site.at(START)
    site.settlings[0].forget()
    await settle(epochs)
    site.clock.advance(2 * HOUR)
    with capture_logs() as logs:
        await epochs.step()
    assert await site.numbers() == []
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_a_clock_set_back_by_an_hour_closes_nothing_early_or_twice(site):
    epochs = site.process()
    await site.at(START)
    await settle(epochs)
    await site.at(START + HOUR + GRACE)
    await settle(epochs)
    site.clock.advance(-HOUR)
    await site.at(site.clock.now())
    await settle(epochs)
    assert await site.numbers() == [1]
    for minutes in range(0, 60, 10):
        await site.at(START + GRACE + timedelta(minutes=minutes))
        await settle(epochs)
        assert await site.numbers() == [1]
    await site.at(START + 2 * HOUR + GRACE - timedelta(seconds=1))
    await settle(epochs)
    assert await site.numbers() == [1]
    await site.at(START + 2 * HOUR + GRACE)
    await settle(epochs)
    assert await site.numbers() == site.told == [1, 2]


async def test_a_worker_whose_clock_was_an_hour_ahead_closes_nothing_early(site):
    epochs = site.process()
    await site.at(START, watermark=START + HOUR + GRACE)
    await settle(epochs)
    assert await site.numbers() == []
    # Its clock is right again, and it tells of what it saw by the right one.
    await site.at(START + HOUR + GRACE, watermark=START + HOUR)
    await settle(epochs)
    assert await site.numbers() == []


async def test_other_terms_hold_from_the_next_start_on(site):
    await site.at(START)
    await settle(site.process())
    other = msgspec.structs.replace(TERMS, availability_pool=5)
    await settle(site.process(terms=other))
    assert [version.terms for version in await site.store.terms()] == [TERMS, other]


async def test_the_open_epoch_is_summed_up_at_once_and_after_each_close(site):
    epochs = site.process()
    await site.at(START)
    await epochs.step()
    assert (await site.store.open()).measured_at == START
    await site.at(START + HOUR + GRACE)
    await settle(epochs)
    assert (await site.store.open()).measured_at == START + HOUR + GRACE


# --- what dies ----------------------------------------------------------------------------------------


async def test_a_process_may_die_between_any_two_steps(site):
    deaths = set()
    for left in range(1000):
        site = Site()
        first = site.process()
        await site.at(START)
        await settle(first)
        await site.at(START + 2 * HOUR + GRACE)
        site.left, site.dead = left, ""
        try:
            await settle(first)
        except Killed:
            deaths.add(site.dead)
        site.left = None
        second = site.process()
        await site.promise()
        await settle(second)
        assert await site.numbers() == [1, 2]
        assert {2} <= set(site.told) <= {1, 2}, "the newest was told in any case"
        if not site.dead:
            break
    assert {"before close", "after close", "before tell", "after tell"} <= deaths
    assert {"after watermarks", "after backlog", "after open"} <= deaths


async def test_two_processes_that_both_believe_to_lead_close_each_epoch_once(site):
    first, second = site.process(), site.process()
    await site.at(START)
    await asyncio.gather(settle(first), settle(second))
    await site.at(START + 3 * HOUR + GRACE)
    await asyncio.gather(settle(first), settle(second))
    assert await site.numbers() == [1, 2, 3]
    closed = [each.metrics()["epochs_closed_total"] for each in (first, second)]
    assert sum(closed) == 3
    assert set(site.told) <= {1, 2, 3}
    assert site.told.count(3) <= 2


async def test_a_close_whose_answer_was_lost_is_told_of(site):
    class Lost(MemoryEpochs):
        async def close(self, at, settled_to):
            if await super().close(at, settled_to):
                raise StorageUnavailable("the connection is gone")

    epochs = site.process(store=Lost(site.database))
    await site.at(START)
    await settle(epochs)
    await site.at(START + HOUR + GRACE)
    await epochs.step()
    with pytest.raises(StorageUnavailable):
        await epochs.step()
    assert site.overviews.times == 1
    await epochs.step()
    assert await site.numbers() == site.told == [1]


async def test_what_could_not_be_told_is_told_in_the_next_step(site):
    async def away(epoch):
        raise StorageUnavailable("away")

    epochs = site.process()
    await site.at(START)
    await settle(epochs)
    await site.at(START + HOUR + GRACE)
    epochs._tell = away
    await epochs.step()
    with pytest.raises(StorageUnavailable):
        await epochs.step()
    epochs._tell = site.tell
    await epochs.step()
    assert await site.numbers() == site.told == [1]
