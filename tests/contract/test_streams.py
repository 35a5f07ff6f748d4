"""What every `StreamLog` guarantees."""

import asyncio
from time import monotonic

from storage.base import StreamLog


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
