"""Observations are stored once and told at least once."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from core.clock import from_ms, new_id, to_ms
from core.errors import StorageUnavailable
from core.jobs.ingest import MOST_ENTRIES, READ, REFUSED_STREAM
from services.events import INGEST_STREAM
from storage.base import Batch, Closed, Described, Health, Opened


async def test_what_a_worker_saw_is_stored_and_its_owner_told(cluster, run, me):
    user_id, node_id = await cluster.add_node()
    run(cluster.jobs())
    await cluster.append(cluster.opened(node_id, seconds=5))
    envelope = await me.shows(nodes_online=1, confirmed_seconds=5)
    assert (envelope.channel, envelope.user) == ("me", user_id)
    assert envelope.data["balance"] == "0"
    assert envelope.offset == envelope.data["revision"]


async def test_what_was_applied_is_dropped_from_the_stream(cluster, run, me, until):
    _, node_id = await cluster.add_node()
    run(cluster.jobs())
    await cluster.append(cluster.opened(node_id))
    await me.shows(nodes_online=1)
    await until(cluster.entries, lambda entries: not entries)


async def test_news_arrive_well_under_300_ms(cluster, run, me):
    _, node_id = await cluster.add_node()
    run(cluster.jobs())
    connection = new_id()
    await cluster.append(cluster.opened(node_id, connection=connection))
    await me.shows(nodes_online=1)
    loop = asyncio.get_running_loop()
    best = float("inf")
    for turn in range(1, 6):
        begun = loop.time()
        await cluster.append(Batch("w1", 1 + turn, [cluster.report(node_id, connection, turn)]))
        await me.shows(confirmed_seconds=turn)
        best = min(best, loop.time() - begun)
    assert best < 0.1


async def test_addresses_are_looked_up_once_for_a_transaction(cluster, run, me):
    _, node_id = await cluster.add_node()
    for sequence in (1, 2):
        await cluster.append(cluster.opened(node_id, sequence=sequence, seconds=1))
    run(cluster.jobs())
    envelope = await me.shows(nodes_online=1)
    assert envelope.data["nodes"][0]["country"] == "NL"
    assert cluster.located == ["198.51.100.1"]


class TestBacklog:
    async def test_what_waits_while_a_transaction_runs_goes_into_one(self, cluster, run, until):
        user_id, node_id = await cluster.add_node()
        gate = _Gate(cluster.uptime, "apply")
        applied = _arguments(cluster.uptime, "apply")
        read = _calls(cluster.streams, "read_group")
        for sequence in range(1, 501):
            await cluster.append(cluster.opened(node_id, sequence=sequence))
        await cluster.append(cluster.opened(node_id, sequence=501, seconds=4))
        jobs = cluster.jobs()
        run(jobs)
        await gate.reached.wait()
        first = len(applied[0])
        assert 0 < first <= MOST_ENTRIES
        # What is applied now, a full load that is staged, one that waits, and a read that found no room.
        await until(
            _value(lambda: sum(map(len, read))), lambda count: count == first + 2 * MOST_ENTRIES + READ
        )
        gate.open.set()
        await until(_state(jobs, "ingest_entries_total"), lambda count: count == 501)
        assert len(applied[1]) == len(applied[2]) == MOST_ENTRIES
        assert await cluster.confirmed(user_id) == 4

    async def test_the_next_entries_are_read_while_a_transaction_runs(self, cluster, run, until):
        _, node_id = await cluster.add_node()
        gate = _Gate(cluster.uptime, "apply")
        read = _calls(cluster.streams, "read_group")
        jobs = cluster.jobs()
        run(jobs)
        await cluster.append(cluster.opened(node_id))
        await gate.reached.wait()
        before = len(read)
        for sequence in range(2, 12):
            await cluster.append(cluster.opened(node_id, sequence=sequence))
        await until(_value(lambda: sum(len(found) for found in read[before:])), lambda count: count == 10)
        gate.open.set()
        await until(_state(jobs, "ingest_entries_total"), lambda count: count == 11)
        assert jobs.metrics()["ingest_transactions_total"] == 2

    async def test_a_database_that_is_away_shows_in_what_waits(self, cluster, run, until):
        _, node_id = await cluster.add_node()
        cluster.uptime.off.add("*")
        jobs = cluster.jobs()
        for sequence in range(1, 4):
            await cluster.append(cluster.opened(node_id, sequence=sequence))
        # The ids of the stream tell the machine's time.
        backlog = await cluster.streams.backlog(INGEST_STREAM)
        cluster.clock.advance(timedelta(milliseconds=backlog.oldest_ms + 5000 - to_ms(cluster.clock.now())))
        run(jobs)
        await until(_state(jobs, "ingest_waiting"), lambda count: count == 3)
        assert jobs.metrics()["ingest_oldest_ms"] == 5000


class TestPoison:
    async def test_an_entry_that_is_no_batch_is_passed_over_counted_and_kept(self, cluster, run, me, until):
        user_id, node_id = await cluster.add_node()
        jobs = cluster.jobs()
        whole = msgspec.msgpack.encode(cluster.opened(node_id))
        bad = [b"\xc1 not msgpack", whole[: len(whole) // 2], msgspec.msgpack.encode(["w1", "two", []]), b""]
        for payload in bad:
            await cluster.streams.append(INGEST_STREAM, payload)
        await cluster.append(cluster.opened(node_id))
        run(jobs)
        assert (await me.shows(nodes_online=1)).user == user_id
        await until(cluster.entries, lambda entries: not entries)
        assert jobs.metrics()["ingest_poison_total"] == len(bad)
        kept = await cluster.streams.read({REFUSED_STREAM: "0-0"}, 10, 0)
        assert [payload for _, _, payload in kept] == bad

    async def test_a_batch_that_the_store_cannot_take_does_not_take_others_with_it(
        self, cluster, run, me, until
    ):
        user_id, node_id = await cluster.add_node()
        apply = cluster.uptime.apply

        async def picky(batches, places):
            if any(batch.worker == "monster" for batch in batches):
                raise OverflowError("too large")
            return await apply(batches, places)

        cluster.uptime.apply = picky
        await cluster.append(Batch("monster", 1, []))
        await cluster.append(cluster.opened(node_id, seconds=1))
        await cluster.append(Batch("monster", 2, []))
        jobs = cluster.jobs()
        run(jobs)
        assert (await me.shows(nodes_online=1)).user == user_id
        await until(cluster.entries, lambda entries: not entries)
        assert jobs.metrics()["ingest_poison_total"] == 2
        assert jobs.metrics()["jobs_failures_total"] == 0
        assert await cluster.confirmed(user_id) == 1

    async def test_records_from_the_future_are_dropped_and_the_others_kept(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        batch = cluster.opened(node_id, connection=connection, seconds=3)
        ahead_ms = to_ms(cluster.clock.now()) + 301_000
        present = cluster.report(node_id, connection, 0)
        batch.records.extend(
            [
                cluster.report(node_id, connection, 9, at_s=ahead_ms // 1000),
                cluster.report(node_id, connection, 9, hour=present.hour + 1),
                Opened(node_id, new_id(), ahead_ms, "198.51.100.2"),
                Closed(node_id, connection, ahead_ms, 1000),
                Health(node_id, connection, ahead_ms, False),
                Described(node_id, connection, "1.0"),
            ]
        )
        await cluster.append(batch)
        jobs = cluster.jobs()
        run(jobs)
        envelope = await me.shows(nodes_online=1, confirmed_seconds=3)
        assert envelope.user == user_id
        assert jobs.metrics()["ingest_future_total"] == 5
        assert jobs.metrics()["ingest_records_total"] == 3

    async def test_a_promise_from_the_future_is_void_until_there_is_another(self, cluster, run, until):
        now_ms = to_ms(cluster.clock.now())
        run(cluster.jobs())

        async def watermark():
            return to_ms((await cluster.uptime.watermarks(["w1"])).get("w1", from_ms(0)))

        promises = now_ms + 299_000, now_ms + 301_000, now_ms - 3_600_000, -1, 1 << 62, now_ms
        wanted = now_ms + 299_000, 0, now_ms - 3_600_000, 0, 0, now_ms
        for sequence, (promise, kept) in enumerate(zip(promises, wanted, strict=True), 1):
            await cluster.append(Batch("w1", sequence, [], promise))
            await until(watermark, lambda at_ms, kept=kept: at_ms == kept)

    async def test_a_clock_that_is_ahead_by_less_than_five_minutes_is_no_future(self, cluster, run, me):
        _, node_id = await cluster.add_node()
        connection = new_id()
        batch = cluster.opened(node_id, connection=connection)
        cluster.clock.advance(timedelta(seconds=290))
        batch.records.append(cluster.report(node_id, connection, 5))
        cluster.clock.advance(timedelta(seconds=-290))
        await cluster.append(batch)
        run(cluster.jobs())
        await me.shows(confirmed_seconds=5)

    async def test_records_of_unknown_nodes_are_counted_and_disturb_nobody(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        await cluster.append(cluster.opened(new_id(), seconds=1))
        await cluster.append(cluster.opened(node_id, sequence=2))
        jobs = cluster.jobs()
        run(jobs)
        assert (await me.shows(nodes_online=1)).user == user_id
        assert jobs.metrics()["ingest_unknown_total"] == 2


class TestSequence:
    async def test_a_batch_that_comes_twice_counts_once(self, cluster, run, until):
        user_id, node_id = await cluster.add_node()
        batch = cluster.opened(node_id, seconds=2)
        jobs = cluster.jobs()
        run(jobs)
        for _ in range(3):
            await cluster.append(batch)
        await until(_state(jobs, "ingest_entries_total"), lambda count: count == 3)
        assert jobs.metrics()["ingest_duplicates_total"] == 2
        assert await cluster.confirmed(user_id) == 2

    async def test_a_missing_batch_is_counted_and_applied_when_it_turns_up(self, cluster, run, until):
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        first = cluster.opened(node_id, connection=connection, seconds=2)
        second = Batch("w1", 2, [cluster.report(node_id, connection, 6)])
        third = Batch("w1", 3, [cluster.report(node_id, connection, 7)])
        jobs = cluster.jobs()
        run(jobs)
        for count, batch in enumerate((first, third, second), 1):
            await cluster.append(batch)
            await until(_state(jobs, "ingest_entries_total"), lambda entries, count=count: entries == count)
            assert jobs.metrics()["ingest_missing_total"] == (count > 1)
        assert jobs.metrics()["ingest_found_total"] == 1
        assert await cluster.confirmed(user_id) == 7


class TestCrashes:
    """Between any two steps; the next process does what was left."""

    async def test_before_storing_nothing_is_lost(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        gate = _Gate(cluster.uptime, "apply")
        first = run(cluster.jobs("jobs-1"))
        await cluster.append(cluster.opened(node_id, seconds=7))
        await gate.reached.wait()
        await first.crash()
        gate.open.set()
        run(cluster.jobs("jobs-2"))
        envelope = await me.shows(confirmed_seconds=7)
        assert envelope.user == user_id

    async def test_between_storing_and_acknowledging_nothing_counts_twice(self, cluster, run, me, until):
        user_id, node_id = await cluster.add_node()
        cluster.streams.off.add("acknowledge")
        first = run(cluster.jobs("jobs-1"))
        await cluster.append(cluster.opened(node_id, seconds=7))
        await cluster.streams.refused.wait()
        await first.crash()
        assert await cluster.confirmed(user_id) == 7
        assert len(await cluster.entries()) == 1
        cluster.streams.off.clear()
        second = cluster.jobs("jobs-2")
        run(second)
        await me.shows(confirmed_seconds=7)
        await until(cluster.entries, lambda entries: not entries)
        assert second.metrics()["ingest_duplicates_total"] == 1
        assert await cluster.confirmed(user_id) == 7

    async def test_between_storing_and_telling_all_is_told(self, cluster, run, me, until):
        user_id, node_id = await cluster.add_node()
        cluster.streams.off.add("append_many")
        first = run(cluster.jobs("jobs-1"))
        await cluster.append(cluster.opened(node_id, seconds=7))
        await cluster.streams.refused.wait()
        await until(cluster.entries, lambda entries: not entries)
        await first.crash()
        cluster.streams.off.clear()
        run(cluster.jobs("jobs-2"))
        envelope = await me.next()
        assert envelope.user == user_id
        assert envelope.data["confirmed_seconds"] == 7

    async def test_a_worker_found_dead_by_a_process_that_died_is_told_of_too(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        await cluster.uptime.apply([cluster.opened(node_id, worker="w2")], {})
        await cluster.uptime.close_workers(["w1"], cluster.clock.now())
        run(cluster.jobs())
        envelope = await me.next()
        assert envelope.user == user_id
        assert envelope.data["nodes_online"] == 0

    async def test_many_crashes_in_the_middle_of_much_cost_nothing(self, cluster, run, until, monkeypatch):
        monkeypatch.setattr("core.jobs.ingest.MOST_ENTRIES", 5)
        monkeypatch.setattr("core.jobs.ingest.READ", 5)
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        await cluster.append(cluster.opened(node_id, connection=connection))
        for sequence in range(2, 102):
            await cluster.append(Batch("w1", sequence, [cluster.report(node_id, connection, 1)]))
            cluster.clock.advance(timedelta(seconds=1))
        for number in range(8):
            target = (cluster.uptime, "apply") if number % 2 else (cluster.streams, "acknowledge")
            gate = _Gate(*target, after=1)
            running = run(cluster.jobs(f"jobs-{number}"))
            async with asyncio.timeout(5):
                await gate.reached.wait()
            await running.crash()
            gate.open.set()
        assert await cluster.entries()
        run(cluster.jobs("last"))
        await until(cluster.entries, lambda entries: not entries)
        assert await cluster.confirmed(user_id) == 100


class TestStrays:
    async def test_what_another_process_took_and_died_with_is_found(self, cluster, run, me, monkeypatch):
        monkeypatch.setattr("core.jobs.ingest.RECLAIM_INTERVAL", 0.0)
        monkeypatch.setattr("core.jobs.ingest.BLOCK_MS", 10)
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        read_group, armed, stolen = cluster.streams.read_group, asyncio.Event(), []

        async def steal(*args):
            # Another one that lost the lock, and does not know it yet, is handed the entries.
            found = await read_group(*args)
            if found and armed.is_set() and not stolen:
                stolen.extend(found)
                return []
            return found

        cluster.streams.read_group = steal
        run(cluster.jobs())
        await cluster.append(cluster.opened(node_id, connection=connection))
        await me.shows(nodes_online=1)
        armed.set()
        await cluster.append(Batch("w1", 2, [cluster.report(node_id, connection, 5)]))
        await me.shows(confirmed_seconds=5)
        assert await cluster.confirmed(user_id) == 5
        assert stolen


class TestFailures:
    @pytest.mark.parametrize("store", ["uptime", "streams", "presence"])
    async def test_a_server_that_is_away_for_a_while_costs_nothing(self, cluster, run, me, store, until):
        user_id, node_id = await cluster.add_node()
        jobs = cluster.jobs()
        running = await run(jobs).leading()
        switch = getattr(cluster, store)
        batch = cluster.opened(node_id, seconds=3)
        if store != "streams":
            switch.off.add("*")
        else:
            switch.off.update({"read_group", "claim", "acknowledge", "append_many"})
        await cluster.append(batch)
        await switch.refused.wait()
        await until(_state(jobs, "jobs_failing"), lambda count: count > 0)
        switch.off.clear()
        envelope = await me.shows(confirmed_seconds=3)
        assert envelope.user == user_id
        assert await cluster.confirmed(user_id) == 3
        await until(_state(jobs, "jobs_failing"), lambda count: count == 0)
        assert jobs.metrics()["jobs_failures_total"] >= 1
        assert running.jobs.leading.is_set()

    async def test_a_lost_answer_to_a_stored_batch_is_no_reason_to_store_or_forget_it(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        apply = cluster.uptime.apply
        answers = iter([False])

        async def deaf(batches, places):
            applied = await apply(batches, places)
            if not next(answers, True):
                raise StorageUnavailable("the connection broke before the answer")
            return applied

        cluster.uptime.apply = deaf
        jobs = cluster.jobs()
        run(jobs)
        await cluster.append(cluster.opened(node_id, seconds=2))
        await me.shows(confirmed_seconds=2)
        assert await cluster.confirmed(user_id) == 2

    async def test_a_stream_trimmed_under_the_reader_is_noticed(self, cluster, run, me, until):
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        gate = _Gate(cluster.uptime, "apply")
        first = run(cluster.jobs("jobs-1"))
        await cluster.append(cluster.opened(node_id, connection=connection))
        await gate.reached.wait()
        await first.crash()
        gate.open.set()
        lost = await cluster.append(Batch("w1", 2, [cluster.report(node_id, connection, 1)]))
        await cluster.append(Batch("w1", 3, [cluster.report(node_id, connection, 4)]))
        await cluster.streams.trim(INGEST_STREAM, lost)
        jobs = cluster.jobs("jobs-2")
        run(jobs)
        await until(_state(jobs, "ingest_records_total"), lambda count: count == 1)
        assert jobs.metrics()["ingest_trimmed_total"] == 1
        assert jobs.metrics()["ingest_missing_total"] == 2
        assert await cluster.confirmed(user_id) == 4

    async def test_an_emptied_redis_is_followed_from_its_new_beginning(self, cluster, run, me):
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        run(cluster.jobs())
        await cluster.append(cluster.opened(node_id, connection=connection, seconds=2))
        await me.shows(confirmed_seconds=2)
        await cluster.streams.drop(INGEST_STREAM)
        await cluster.append(Batch("w1", 2, [cluster.report(node_id, connection, 6)]))
        envelope = await me.shows(confirmed_seconds=6)
        assert envelope.user == user_id


class TestTelling:
    async def test_a_publication_that_takes_long_does_not_hold_the_ingest_up(self, cluster, run, until):
        user_id, node_id = await cluster.add_node()
        connection = new_id()
        gate = _Gate(cluster.earnings, "overviews")
        jobs = cluster.jobs()
        run(jobs)
        await cluster.append(cluster.opened(node_id, connection=connection))
        await gate.reached.wait()
        await cluster.append(Batch("w1", 2, [cluster.report(node_id, connection, 6)]))
        await until(_state(jobs, "ingest_entries_total"), lambda count: count == 2)
        assert await cluster.confirmed(user_id) == 6
        gate.open.set()

    async def test_only_those_whom_a_worker_holds_are_told_and_computed(self, cluster, run, me, until):
        here, node_here = await cluster.add_node()
        _, node_elsewhere = await cluster.add_node(worker=None)
        asked = _arguments(cluster.earnings, "overviews")
        jobs = cluster.jobs()
        run(jobs)
        await cluster.append(cluster.opened(node_elsewhere))
        await cluster.append(cluster.opened(node_here, sequence=2))
        await me.shows(nodes_online=1)
        await until(_state(jobs, "overviews_unwanted_total"), lambda count: count == 1)
        assert {user_id for users in asked for user_id in users} == {here}


class _Gate:
    """Holds up a method of `target` until it is opened, and all calls from the one that is counted."""

    def __init__(self, target, name, after=0):
        method = getattr(target, name)
        self.open = asyncio.Event()
        self.reached = asyncio.Event()
        calls = 0

        async def gated(*args):
            nonlocal calls
            calls += 1
            if calls > after and not self.open.is_set():
                self.reached.set()
                await self.open.wait()
            return await method(*args)

        setattr(target, name, gated)


def _calls(target, name):
    """What a method returns from now on, call by call."""
    method, found = getattr(target, name), []

    async def listed(*args):
        found.append(await method(*args))
        return found[-1]

    setattr(target, name, listed)
    return found


def _arguments(target, name):
    """The first argument of a method from now on, call by call."""
    method, found = getattr(target, name), []

    async def listed(*args):
        found.append(args[0])
        return await method(*args)

    setattr(target, name, listed)
    return found


def _value(ask):
    async def read():
        return ask()

    return read


def _state(jobs, name):
    return _value(lambda: jobs.metrics()[name])
