"""Observations are stored once and told at least once."""

import asyncio

import msgspec
import pytest

from core.clock import new_id
from core.errors import StorageUnavailable
from services.events import INGEST_STREAM
from storage.base import Batch, Confirmed


async def confirmed_ms(cluster, user_id):
    totals = await cluster.uptime.totals([user_id])
    return totals[user_id].nodes[0].confirmed_ms


async def test_what_a_worker_saw_is_stored_and_its_owner_told(cluster, run, me):
    user_id, node_id = await cluster.add_node()
    run(cluster.jobs())
    await cluster.append(cluster.opened(node_id, confirmed_ms=5000))
    envelope = await me.next()
    assert (envelope.channel, envelope.user) == ("me", user_id)
    assert envelope.data["nodes_online"] == 1
    assert envelope.data["confirmed_seconds"] == 5
    assert envelope.data["accruing"] == "5000"
    assert envelope.offset == envelope.data["revision"]


async def test_the_stream_is_emptied_behind_the_cursor(cluster, run, me, until):
    _, node_id = await cluster.add_node()
    run(cluster.jobs())
    await cluster.append(cluster.opened(node_id))
    await me.next()
    await until(cluster.entries, lambda entries: not entries)


async def test_news_arrive_well_under_300_ms(cluster, run, me):
    _, node_id = await cluster.add_node()
    await run(cluster.jobs()).leading()
    loop = asyncio.get_running_loop()
    best = float("inf")
    for sequence in range(1, 6):
        begun = loop.time()
        await cluster.append(cluster.opened(node_id, sequence=sequence))
        await me.next()
        best = min(best, loop.time() - begun)
    assert best < 0.1


class TestPoison:
    async def test_an_entry_that_is_no_batch_is_passed_over_and_counted(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        jobs = cluster.jobs()
        await cluster.streams.append(INGEST_STREAM, b"\xc1 not msgpack")
        await cluster.append(cluster.opened(node_id))
        await cluster.streams.append(INGEST_STREAM, msgspec.msgpack.encode(["w1", "two", []]))
        run(jobs)
        assert (await me.next()).user == user_id
        await cluster.append(cluster.opened(node_id, sequence=2))
        await me.next()
        assert jobs.metrics()["ingest_poison_total"] == 2

    async def test_nothing_but_poison_still_moves_the_cursor(self, cluster, run, until):
        jobs = cluster.jobs()
        last = await cluster.streams.append(INGEST_STREAM, b"")
        run(jobs)
        await until(cluster.uptime.cursor, lambda cursor: cursor == last)

    async def test_a_batch_that_the_store_cannot_take_does_not_take_others_with_it(
        self, cluster, run, me, until
    ):
        user_id, node_id = await cluster.add_node()
        apply = cluster.uptime.apply

        async def picky(batches, cursor):
            if any(batch.worker == "monster" for batch in batches):
                raise OverflowError("too large")
            return await apply(batches, cursor)

        cluster.uptime.apply = picky
        await cluster.append(Batch("monster", 1, []))
        await cluster.append(cluster.opened(node_id, confirmed_ms=1000))
        last = await cluster.append(Batch("monster", 2, []))
        jobs = cluster.jobs()
        run(jobs)
        assert (await me.next()).user == user_id
        await until(cluster.uptime.cursor, lambda cursor: cursor == last)
        assert jobs.metrics()["ingest_poison_total"] == 2
        assert jobs.metrics()["jobs_failures_total"] == 0
        assert await confirmed_ms(cluster, user_id) == 1000


class TestFailures:
    async def test_after_a_crash_between_storing_and_telling_nothing_counts_twice_and_all_is_told(
        self, cluster, run, me
    ):
        user_id, node_id = await cluster.add_node()
        cluster.streams.off.add("append_many")
        first = run(cluster.jobs("jobs-1"))
        await cluster.append(cluster.opened(node_id, confirmed_ms=7000))
        await cluster.streams.refused.wait()
        await first.crash()
        assert await confirmed_ms(cluster, user_id) == 7000
        cluster.streams.off.clear()
        run(cluster.jobs("jobs-2"))
        envelope = await me.next()
        assert envelope.user == user_id
        assert envelope.data["confirmed_seconds"] == 7
        assert await confirmed_ms(cluster, user_id) == 7000

    @pytest.mark.parametrize("store", ["uptime", "streams", "presence"])
    async def test_a_server_that_is_away_for_a_while_costs_nothing(self, cluster, run, me, store, until):
        user_id, node_id = await cluster.add_node()
        jobs = cluster.jobs()
        running = await run(jobs).leading()
        switch = getattr(cluster, store)
        batch = cluster.opened(node_id, confirmed_ms=3000)
        if store != "streams":
            switch.off.add("*")
            await cluster.append(batch)
            await switch.refused.wait()
        else:
            switch.off.update({"read", "trim", "append_many"})
            await cluster.append(batch)
            await switch.refused.wait()
        await until(_state(jobs, "jobs_failing"), lambda count: count > 0)
        switch.off.clear()
        envelope = await me.until(lambda envelope: envelope.data["confirmed_seconds"] == 3)
        assert envelope.user == user_id
        assert await confirmed_ms(cluster, user_id) == 3000
        await until(_state(jobs, "jobs_failing"), lambda count: count == 0)
        assert jobs.metrics()["jobs_failures_total"] >= 1
        assert running.jobs.leading.is_set()

    async def test_a_lost_answer_to_a_stored_batch_is_no_reason_to_store_or_forget_it(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        apply = cluster.uptime.apply
        answers = iter([False])

        async def deaf(batches, cursor):
            touched = await apply(batches, cursor)
            if not next(answers, True):
                raise StorageUnavailable("the connection broke before the answer")
            return touched

        cluster.uptime.apply = deaf
        await cluster.append(cluster.opened(node_id, confirmed_ms=2000))
        run(cluster.jobs())
        assert (await me.next()).data["confirmed_seconds"] == 2
        assert await confirmed_ms(cluster, user_id) == 2000

    async def test_an_emptied_redis_whose_ids_begin_anew_is_followed(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        await cluster.uptime.apply([], "99999999999999-0")
        run(cluster.jobs())
        await cluster.append(cluster.opened(node_id))
        assert (await me.next()).user == user_id

    async def test_records_of_unknown_nodes_disturb_nobody(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        await cluster.append(Batch("w1", 1, [Confirmed(new_id(), new_id(), 0, 1000)]))
        await cluster.append(cluster.opened(node_id, sequence=2))
        run(cluster.jobs())
        assert (await me.next()).user == user_id


def _state(jobs, name):
    async def read():
        return jobs.metrics()[name]

    return read
