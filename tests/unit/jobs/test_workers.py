"""Dead workers are noticed; living ones are never taken for dead."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import to_ms
from core.jobs.workers import Vigil
from services.events import worker_stream
from storage.base import Batch


async def nodes_online(cluster):
    return (await cluster.uptime.network()).nodes_online


class TestVigil:
    def test_nobody_is_judged_within_the_first_lease(self):
        vigil = Vigil(lease=3.0, now=0.0)
        assert vigil.look([], 0.0) is None
        assert vigil.look(["w1"], 2.9) is None
        assert vigil.look(["w1"], 3.0) == ["w1"]

    def test_a_worker_is_given_up_after_two_leases(self):
        vigil = Vigil(lease=3.0, now=0.0)
        vigil.look(["w1", "w2"], 10.0)
        assert vigil.look(["w1"], 15.9) == ["w1", "w2"]
        assert vigil.look(["w1"], 16.0) == ["w1"]

    def test_a_worker_that_comes_back_counts_from_then(self):
        vigil = Vigil(lease=3.0, now=0.0)
        vigil.look(["w1"], 10.0)
        vigil.look([], 14.0)
        vigil.look(["w1"], 15.0)
        assert vigil.look([], 20.9) == ["w1"]

    def test_time_without_sight_counts_against_nobody(self):
        vigil = Vigil(lease=3.0, now=0.0)
        vigil.look(["w1"], 10.0)
        vigil.blind(60.0)
        assert vigil.look([], 60.0) is None
        assert vigil.look([], 63.0) == ["w1"]
        assert vigil.look([], 66.0) == []

    @given(st.lists(st.tuples(st.sampled_from(["seen", "missing", "blind"]), st.floats(0.01, 2.0))))
    def test_whoever_was_seen_within_two_leases_is_never_given_up(self, steps):
        vigil, now, seen = Vigil(lease=3.0, now=0.0), 0.0, None
        for what, pause in steps:
            now += pause
            if what == "blind":
                vigil.blind(now)
                continue
            if what == "seen":
                seen = now
            alive = vigil.look(["w1"] if what == "seen" else [], now)
            if alive is not None and seen is not None and now - seen < 6.0:
                assert alive == ["w1"]


class TestDeadWorkers:
    @pytest.fixture(autouse=True)
    async def _own_lease(self, cluster):
        await cluster.announce("jobs-1", kind="jobs")

    async def test_the_nodes_of_a_killed_worker_go_offline_and_their_owners_are_told(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        await cluster.announce("w2")
        run(cluster.jobs())
        await cluster.append(cluster.opened(node_id, worker="w2"))
        await me.shows(nodes_online=1)
        await cluster.presence.leave("worker", "w2")
        envelope = await me.shows(nodes_online=0)
        assert envelope.user == user_id
        assert await nodes_online(cluster) == 0

    async def test_the_stream_that_only_a_killed_worker_read_is_removed(self, cluster, run, until):
        await cluster.announce("w2")
        looks = _passes(cluster)
        run(cluster.jobs())
        await until(looks, lambda passes: passes >= 2)
        await cluster.streams.append(worker_stream("w2"), b"news")
        await cluster.presence.leave("worker", "w2")

        async def left():
            return await cluster.streams.read({worker_stream("w2"): "0-0"}, 1, 0)

        await until(left, lambda entries: not entries)

    async def test_a_worker_that_died_while_nobody_looked_is_noticed(self, cluster, run, me):
        _, node_id = await cluster.add_node()
        await cluster.uptime.apply([cluster.opened(node_id, worker="forgotten")], {})
        run(cluster.jobs())
        await me.shows(nodes_online=0)

    async def test_who_lives_is_told_once_the_others_are_closed(self, cluster, run):
        await cluster.announce("w1")
        await cluster.uptime.apply([cluster.opened((await cluster.add_node())[1], worker="forgotten")], {})
        judged = asyncio.Queue()
        judge = cluster.settling.judge

        def noting(alive, at):
            judged.put_nowait((list(alive), at))
            judge(alive, at)

        cluster.settling.judge = noting
        run(cluster.jobs())
        async with asyncio.timeout(5):
            assert await judged.get() == (["w1"], cluster.clock.now())
        assert await nodes_online(cluster) == 0

    async def test_nobody_is_waited_for_or_passed_over_while_the_presence_is_away(self, cluster, run, until):
        await cluster.announce("w1")
        await cluster.append(Batch("w1", 1, [], to_ms(cluster.clock.now())))
        run(cluster.jobs())
        await until(cluster.settling.look, lambda settled: settled == cluster.clock.now())
        cluster.presence.off.add("*")
        await until(cluster.settling.look, lambda settled: settled is None)
        cluster.presence.off.clear()
        await until(cluster.settling.look, lambda settled: settled == cluster.clock.now())

    async def test_an_emptied_redis_closes_nothing_while_workers_renew(self, cluster, run, me, until):
        _, node_id = await cluster.add_node()
        jobs = cluster.jobs()
        run(jobs)
        await cluster.append(cluster.opened(node_id))
        await me.shows(nodes_online=1)
        await until(_passes(cluster), lambda passes: passes >= 3)
        for kind, name in (("worker", "w1"), ("jobs", "jobs-1")):
            await cluster.presence.leave(kind, name)
        await until(_looks(cluster), lambda looks: looks >= 5)
        await cluster.announce("jobs-1", kind="jobs")
        await cluster.announce("w1")
        await until(_passes(cluster), lambda passes: passes >= 3)
        assert await nodes_online(cluster) == 1

    async def test_a_redis_out_of_reach_closes_nothing(self, cluster, run, me, until):
        _, node_id = await cluster.add_node()
        run(cluster.jobs())
        await cluster.append(cluster.opened(node_id))
        await me.shows(nodes_online=1)
        await until(_passes(cluster), lambda passes: passes >= 3)
        cluster.presence.off.add("*")
        # Longer than two leases, so that only the grace can save the worker.
        await asyncio.wait_for(cluster.presence.refused.wait(), 5)
        begun = asyncio.get_running_loop().time()
        await until(_time, lambda now: now - begun > 0.15)
        cluster.presence.off.clear()
        await until(_passes(cluster), lambda passes: passes >= 3)
        assert await nodes_online(cluster) == 1


def _counter(cluster, store, name):
    """Counts the calls of a method from now on."""
    switch = getattr(cluster, store)
    method = getattr(switch, name)
    count = 0

    async def counted(*args):
        nonlocal count
        count += 1
        return await method(*args)

    setattr(switch, name, counted)

    async def read():
        return count

    return read


def _passes(cluster):
    return _counter(cluster, "uptime", "close_workers")


def _looks(cluster):
    return _counter(cluster, "presence", "processes")


async def _time():
    return asyncio.get_running_loop().time()
