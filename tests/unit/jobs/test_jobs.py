"""One leads, the others wait; everybody hears how the network does."""

import asyncio

from core.clock import new_id
from core.errors import StorageUnavailable
from core.jobs.summary import REPEAT_AFTER, Summary
from storage.memory import MemoryLock


class TestLock:
    async def test_a_second_waits_and_takes_over(self, cluster, run):
        first = await run(cluster.jobs("jobs-1")).leading()
        second = run(cluster.jobs("jobs-2"))
        assert not second.jobs.leading.is_set()
        assert second.jobs.metrics()["jobs_leading"] == 0
        await first.crash()
        await second.leading()
        assert second.jobs.metrics()["jobs_leading"] == 1
        assert first.jobs.metrics()["jobs_leading"] == 0

    async def test_losing_the_lock_stops_the_duties_until_it_is_had_again(self, cluster, run, me, until):
        lock = MemoryLock(cluster.mutex)
        jobs = cluster.jobs(lock=lock)
        await run(jobs).leading()
        await lock.release()
        await cluster.mutex.acquire()
        await until(_leading(jobs), lambda leading: not leading)
        _, node_id = await cluster.add_node()
        await cluster.append(cluster.opened(node_id))
        assert len(await cluster.entries()) == 1
        assert (await cluster.uptime.network()).nodes_online == 0
        cluster.mutex.release()
        await me.shows(nodes_online=1)
        assert jobs.leading.is_set()

    async def test_a_lock_that_cannot_be_asked_for_counts_as_lost(self, cluster, run, until):
        lock = _BrokenLock(cluster.mutex)
        jobs = cluster.jobs(lock=lock)
        await run(jobs).leading()
        lock.broken = True
        await until(_leading(jobs), lambda leading: not leading)
        lock.broken = False
        async with asyncio.timeout(5):
            await jobs.leading.wait()

    async def test_a_database_that_is_away_at_first_is_waited_for(self, cluster, run):
        lock = _BrokenLock(cluster.mutex)
        lock.broken = True
        jobs = cluster.jobs(lock=lock)
        running = run(jobs)
        async with asyncio.timeout(5):
            await lock.asked.wait()
        lock.broken = False
        await running.leading()


class TestSummary:
    async def test_a_change_is_told_to_everybody(self, cluster, run, everybody):
        _, node_id = await cluster.add_node()
        run(cluster.jobs())
        first = await everybody.next()
        assert (first.channel, first.user) == ("network", None)
        assert first.data["nodes_total"] == 1
        await cluster.append(cluster.opened(node_id))
        second = await everybody.next()
        assert second.data["nodes_online"] == 1
        assert second.data["countries"] == [{"country": "NL", "nodes_online": 1}]
        assert second.offset > first.offset

    async def test_the_same_again_is_told_only_now_and_then(self, cluster, everybody):
        summary = Summary(cluster.networks, cluster.events)
        await summary.step(100.0)
        await summary.step(101.0)
        # What is heard of an unknown node moves the revision and nothing that shows.
        await cluster.uptime.apply([cluster.opened(new_id())], {})
        await summary.step(100.0 + REPEAT_AFTER - 0.1)
        assert summary.metrics()["summaries_published_total"] == 1
        await summary.step(100.0 + REPEAT_AFTER)
        assert summary.metrics()["summaries_published_total"] == 2
        assert [(await everybody.next()).offset for _ in range(2)] == [0, 1]


async def test_a_duty_that_meets_the_unforeseen_leaves_the_others_alone(cluster, run, me, until):
    async def broken():
        raise ZeroDivisionError

    cluster.networks.summary = broken
    _, node_id = await cluster.add_node()
    jobs = cluster.jobs()
    run(jobs)
    await until(_failing(jobs), lambda failing: failing == ["summary"])
    await cluster.append(cluster.opened(node_id))
    await me.shows(nodes_online=1)


class _BrokenLock(MemoryLock):
    def __init__(self, mutex):
        super().__init__(mutex)
        self.broken = False
        self.asked = asyncio.Event()

    async def acquire(self):
        self._fail()
        await super().acquire()

    async def held(self):
        self._fail()
        return await super().held()

    def _fail(self):
        if self.broken:
            self.asked.set()
            raise StorageUnavailable("switched off")


def _leading(jobs):
    async def read():
        return jobs.leading.is_set()

    return read


def _failing(jobs):
    async def read():
        return jobs.failing()

    return read
