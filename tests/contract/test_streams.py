"""What every `StreamLog` guarantees."""

import asyncio
from time import monotonic

from storage.base import Backlog, StreamLog


async def payloads(streams: StreamLog, stream: str, position: str = "0-0") -> list[bytes]:
    return [payload for _, _, payload in await streams.read({stream: position}, 1000, 0)]


def order(entry: str) -> tuple[int, ...]:
    return tuple(map(int, entry.split("-")))


async def test_what_is_appended_is_read_in_order_with_growing_ids(streams: StreamLog) -> None:
    ids = [await streams.append("log", b"%d\0\xff" % number) for number in range(20)]
    assert sorted(ids, key=order) == ids
    entries = await streams.read({"log": "0-0"}, 1000, 0)
    assert entries == [("log", entry, b"%d\0\xff" % number) for number, entry in enumerate(ids)]


async def test_reading_goes_on_behind_a_position(streams: StreamLog) -> None:
    ids = [await streams.append("log", bytes([number])) for number in range(5)]
    assert await payloads(streams, "log", ids[2]) == [b"\3", b"\4"]
    assert await payloads(streams, "log", ids[4]) == []


async def test_the_count_bounds_each_stream(streams: StreamLog) -> None:
    await streams.append_many([(name, b"x") for name in "aab" * 3], 100)
    entries = await streams.read({"a": "0-0", "b": "0-0"}, 2, 0)
    assert sorted(stream for stream, _, _ in entries) == ["a", "a", "b", "b"]


async def test_many_are_appended_in_order_per_stream(streams: StreamLog) -> None:
    await streams.append_many([("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"4")], 100)
    assert await payloads(streams, "a") == [b"1", b"3"]
    assert await payloads(streams, "b") == [b"2", b"4"]


async def test_an_empty_stream_is_read_without_waiting_when_told_so(streams: StreamLog) -> None:
    started = monotonic()
    assert await streams.read({"log": "0-0"}, 10, 0) == []
    assert await streams.read({}, 10, 5_000) == []
    assert monotonic() - started < 4


async def test_a_reader_waits_no_longer_than_it_said(streams: StreamLog) -> None:
    started = monotonic()
    assert await streams.read({"log": "0-0"}, 10, 200) == []
    assert 0.2 <= monotonic() - started < 10


async def test_a_waiting_reader_is_woken_and_delays_nobody(streams: StreamLog) -> None:
    await streams.append("other", b"old")
    last = await streams.last_id("other")
    readers = [
        asyncio.ensure_future(streams.read({"log": "0-0", "other": last}, 10, 60_000)) for _ in range(5)
    ]
    # One turn for each reader to ask; whoever asks later finds the entry at once.
    await asyncio.sleep(0)
    started = monotonic()
    entry = await streams.append("log", b"news")
    assert await asyncio.gather(*readers) == [[("log", entry, b"news")]] * 5
    assert monotonic() - started < 10


async def test_a_reader_that_gives_up_leaves_the_stream_usable(streams: StreamLog) -> None:
    reader = asyncio.ensure_future(streams.read({"log": "0-0"}, 10, 60_000))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await streams.append("log", b"news")
    assert await payloads(streams, "log") == [b"news"]


async def test_the_bound_drops_the_oldest(streams: StreamLog) -> None:
    for number in range(1000):
        await streams.append("log", b"%d" % number, 100)
    left = await payloads(streams, "log")
    assert 100 <= len(left) <= 300
    assert left == [b"%d" % number for number in range(1000 - len(left), 1000)]


async def test_trimming_drops_up_to_and_including_an_id(streams: StreamLog) -> None:
    ids = [await streams.append("log", bytes([number])) for number in range(5)]
    await streams.trim("log", ids[2])
    assert await payloads(streams, "log") == [b"\3", b"\4"]
    await streams.trim("log", ids[4])
    assert await payloads(streams, "log") == []
    assert await streams.last_id("log") == ids[4]
    await streams.trim("nothing", ids[4])


async def test_the_last_id_is_that_of_the_newest_entry(streams: StreamLog) -> None:
    assert await streams.last_id("log") == "0-0"
    entry = await streams.append("log", b"x")
    assert await streams.last_id("log") == entry


async def test_a_dropped_stream_is_gone_and_can_begin_again(streams: StreamLog) -> None:
    before = await streams.append("log", b"old")
    await streams.append("other", b"kept")
    await streams.drop("log")
    await streams.drop("nothing")
    assert await streams.last_id("log") == "0-0"
    assert await payloads(streams, "log") == []
    await streams.append("log", b"new")
    assert await payloads(streams, "log", before) in ([b"new"], [])
    assert await payloads(streams, "log") == [b"new"]
    assert await payloads(streams, "other") == [b"kept"]


async def test_concurrent_appends_all_arrive(streams: StreamLog) -> None:
    ids = await asyncio.gather(*(streams.append("log", b"%d" % number) for number in range(200)))
    assert len(set(ids)) == 200
    assert sorted(await payloads(streams, "log")) == sorted(b"%d" % number for number in range(200))


async def numbers(streams: StreamLog, group: str = "readers", count: int = 1000) -> list[bytes]:
    return [payload for _, payload in await streams.read_group("log", group, count, 0)]


async def claimed(streams: StreamLog, group: str = "readers") -> list[bytes]:
    return [payload for _, payload in (await streams.claim("log", group, "0-0", 1000)).entries]


class TestGroups:
    async def test_each_entry_is_handed_out_once_in_order(self, streams: StreamLog) -> None:
        ids = [await streams.append("log", b"%d" % number) for number in range(5)]
        assert await streams.read_group("log", "readers", 2, 0) == [(ids[0], b"0"), (ids[1], b"1")]
        assert await numbers(streams) == [b"2", b"3", b"4"]
        assert await numbers(streams) == []

    async def test_groups_do_not_take_from_each_other(self, streams: StreamLog) -> None:
        await streams.append("log", b"x")
        assert await numbers(streams, "ours") == [b"x"]
        assert await numbers(streams, "theirs") == [b"x"]

    async def test_a_reader_waits_for_the_first_and_no_longer_than_it_said(self, streams: StreamLog) -> None:
        started = monotonic()
        assert await streams.read_group("log", "readers", 10, 200) == []
        assert 0.2 <= monotonic() - started < 10
        reader = asyncio.ensure_future(streams.read_group("log", "readers", 10, 60_000))
        await asyncio.sleep(0)
        entry = await streams.append("log", b"news")
        assert await reader == [(entry, b"news")]
        assert monotonic() - started < 10

    async def test_what_a_killed_reader_had_goes_to_the_next_in_order(self, streams: StreamLog) -> None:
        ids = [await streams.append("log", b"%d" % number) for number in range(5)]
        await streams.read_group("log", "readers", 4, 0)
        await streams.acknowledge("log", "readers", [ids[1]])
        first = await streams.claim("log", "readers", "0-0", 2)
        assert first.entries == [(ids[0], b"0"), (ids[2], b"2")]
        assert first.position is not None
        second = await streams.claim("log", "readers", first.position, 2)
        assert second.entries == [(ids[3], b"3")]
        assert second.position is not None
        last = await streams.claim("log", "readers", second.position, 2)
        assert (last.entries, last.lost, last.position) == ([], [], None)
        # Claimed is not acknowledged.
        assert await claimed(streams) == [b"0", b"2", b"3"]
        assert await numbers(streams) == [b"4"]

    async def test_nothing_is_claimed_of_what_was_never_handed_out(self, streams: StreamLog) -> None:
        assert (await streams.claim("log", "readers", "0-0", 10)).position is None
        await streams.append("log", b"x")
        assert await claimed(streams) == []
        assert await numbers(streams) == [b"x"]

    async def test_what_all_groups_have_done_with_is_dropped(self, streams: StreamLog) -> None:
        ids = [await streams.append("log", b"%d" % number) for number in range(4)]
        await numbers(streams, "ours")
        await numbers(streams, "theirs", 3)
        await streams.acknowledge("log", "ours", ids[:3])
        assert await payloads(streams, "log") == [b"0", b"1", b"2", b"3"]
        await streams.acknowledge("log", "theirs", [ids[0], ids[2]])
        assert await payloads(streams, "log") == [b"1", b"2", b"3"]
        await streams.acknowledge("log", "theirs", [ids[1]])
        assert await payloads(streams, "log") == [b"3"]
        await streams.acknowledge("log", "ours", [ids[3]])
        assert await payloads(streams, "log") == [b"3"]
        assert await numbers(streams, "theirs") == [b"3"]
        await streams.acknowledge("log", "theirs", [ids[3]])
        assert await payloads(streams, "log") == []
        assert await streams.last_id("log") == ids[3]

    async def test_acknowledging_again_or_the_unknown_does_no_harm(self, streams: StreamLog) -> None:
        ids = [await streams.append("log", b"%d" % number) for number in range(2)]
        await numbers(streams, count=1)
        for _ in range(2):
            await streams.acknowledge("log", "readers", [ids[0]])
        await streams.acknowledge("nothing", "readers", [ids[0]])
        await streams.append("ungrouped", b"x")
        await streams.acknowledge("ungrouped", "readers", [ids[0]])
        assert await payloads(streams, "ungrouped") == [b"x"]
        await streams.acknowledge("log", "readers", [])
        assert await numbers(streams) == [b"1"]

    async def test_thousands_are_acknowledged_at_once(self, streams: StreamLog) -> None:
        await streams.append_many([("log", b"x")] * 3000, 10_000)
        entries = await streams.read_group("log", "readers", 10_000, 0)
        await streams.acknowledge("log", "readers", [entry for entry, _ in entries])
        assert await streams.backlog("log") == Backlog(0, None)

    async def test_entries_that_were_trimmed_away_are_told_as_lost(self, streams: StreamLog) -> None:
        ids = [await streams.append("log", b"%d" % number) for number in range(4)]
        await numbers(streams, count=3)
        await streams.trim("log", ids[1])
        found = await streams.claim("log", "readers", "0-0", 2)
        assert (found.entries, found.lost, found.position) == ([], ids[:2], ids[1])
        assert await claimed(streams) == [b"2"]
        assert (await streams.claim("log", "readers", "0-0", 10)).lost == []

    async def test_a_stream_that_began_anew_is_read_from_its_beginning(self, streams: StreamLog) -> None:
        old = await streams.append("log", b"old")
        await numbers(streams)
        await streams.drop("log")
        await streams.acknowledge("log", "readers", [old])
        assert await claimed(streams) == []
        await streams.append("log", b"new")
        assert await numbers(streams) == [b"new"]

    async def test_a_stream_dropped_under_a_waiting_reader_is_read_again(self, streams: StreamLog) -> None:
        await numbers(streams)
        reader = asyncio.ensure_future(streams.read_group("log", "readers", 10, 10_000))
        await asyncio.sleep(0)
        await streams.drop("log")
        await streams.append("log", b"new")
        assert await reader + await streams.read_group("log", "readers", 10, 0)

    async def test_the_backlog_is_what_nobody_acknowledged(self, streams: StreamLog) -> None:
        assert await streams.backlog("log") == Backlog(0, None)
        ids = [await streams.append("log", b"%d" % number) for number in range(3)]
        times = [int(entry.partition("-")[0]) for entry in ids]
        assert await streams.backlog("log") == Backlog(3, times[0])
        await numbers(streams, count=2)
        assert await streams.backlog("log") == Backlog(3, times[0])
        await streams.acknowledge("log", "readers", ids[:1])
        assert await streams.backlog("log") == Backlog(2, times[1])
