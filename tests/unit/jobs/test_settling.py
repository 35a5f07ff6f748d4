"""Up to when everything is in the store: what holds it back, and what takes it back."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core.clock import ManualClock, to_ms
from core.jobs.ingest import GROUP
from core.jobs.settling import Settling
from services.events import INGEST_STREAM
from storage.base import Batch
from storage.memory import MemoryDatabase, MemoryStreams, MemoryUptime

START = datetime(2026, 1, 1, tzinfo=UTC)


class Site:
    """Workers that promise, a stream, and who was judged to live."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.streams = MemoryStreams()
        self.uptime = MemoryUptime(MemoryDatabase())
        self.settling = Settling(self.uptime, self.streams, self.clock)
        self.sequences = {}

    async def promise(self, worker, at):
        """A batch is applied that promises all before `at`."""
        sequence = self.sequences[worker] = self.sequences.get(worker, 0) + 1
        await self.uptime.apply([Batch(worker, sequence, [], to_ms(at) if at else 0)], {})

    def judge(self, *alive, seconds=0):
        self.settling.judge(alive, self.at(seconds))

    async def settled(self):
        """What two looks come to: one for the watermarks, one for the stream."""
        await self.settling.look()
        return await self.settling.look()

    async def append(self):
        """Something is put into the stream."""
        return await self.streams.append(INGEST_STREAM, msgspec.msgpack.encode(Batch("w", 1, [])))

    @staticmethod
    def at(seconds):
        return START + timedelta(seconds=seconds)


@pytest.fixture
async def site():
    return Site()


async def test_nothing_is_known_before_it_was_judged_who_lives(site):
    await site.promise("w", site.at(5))
    assert await site.settled() is None
    assert site.settling.metrics() == {"ingest_settled_age_ms": -1}
    site.judge("w", seconds=9)
    assert await site.settled() == site.at(5)
    site.clock.advance(timedelta(seconds=7))
    assert site.settling.metrics() == {"ingest_settled_age_ms": 2000}
    site.settling.forget()
    assert await site.settled() is None


async def test_the_slowest_living_worker_decides(site):
    await site.promise("slow", site.at(5))
    await site.promise("fast", site.at(8))
    site.judge("slow", "fast", seconds=9)
    assert await site.settled() == site.at(5)
    assert site.settling.behind(site.at(8)) == {"slow": site.at(5)}
    site.judge("fast", seconds=9)
    assert await site.settled() == site.at(8), "a dead one is not waited for"


async def test_a_living_worker_that_told_nothing_yet_is_waited_for(site):
    await site.promise("old", site.at(5))
    site.judge("old", "new", seconds=9)
    assert await site.settled() is None
    assert site.settling.behind(START) == {"new": None}
    await site.promise("new", site.at(6))
    assert await site.settled() == site.at(5)


async def test_it_is_never_later_than_who_lives_was_judged(site):
    site.judge(seconds=3)
    assert await site.settled() == site.at(3), "no worker: nobody saw anything"
    await site.promise("w", site.at(8))
    site.judge("w", seconds=4)
    assert await site.settled() == site.at(4), "there may be one more since then"


async def test_what_waits_in_the_stream_is_waited_for(site):
    await site.append()
    await site.promise("w", site.at(5))
    site.judge("w", seconds=9)
    for _ in range(3):
        assert await site.settling.look() is None
    ((entry, _),) = await site.streams.read_group(INGEST_STREAM, GROUP, 10, 0)
    assert await site.settling.look() is None, "it was read, and not applied"
    await site.streams.acknowledge(INGEST_STREAM, GROUP, [entry])
    assert await site.settling.look() == site.at(5)


async def test_what_is_appended_later_is_not_waited_for(site):
    await site.promise("w", site.at(5))
    site.judge("w", seconds=9)
    await site.settling.look()
    await site.append()
    assert await site.settling.look() == site.at(5)
    await site.promise("w", site.at(6))
    assert await site.settling.look() == site.at(5)


async def test_it_goes_back_with_a_workers_clock_at_once(site):
    await site.promise("w", site.at(7200))
    site.judge("w", seconds=7200)
    assert await site.settled() == site.at(7200)
    await site.promise("w", site.at(3600))
    assert await site.settling.look() == site.at(3600)


async def test_it_goes_back_with_ones_own_clock_at_once(site):
    await site.promise("w", site.at(7200))
    site.judge("w", seconds=7200)
    assert await site.settled() == site.at(7200)
    site.judge("w", seconds=3600)
    assert await site.settling.look() == site.at(3600)


async def test_a_worker_whose_promise_is_void_is_waited_for(site):
    await site.promise("w", site.at(5))
    site.judge("w", seconds=9)
    assert await site.settled() == site.at(5)
    await site.promise("w", None)
    assert await site.settled() is None
    assert site.settling.behind(START) == {"w": None}
