"""Gathering observations and handing them on, once each."""

import asyncio

import msgspec
import pytest
from support.waiting import eventually

from core.clock import new_id
from core.engine.recorder import MAX_BATCH, Recorder
from core.errors import StorageUnavailable
from services.events import INGEST_STREAM
from storage.base import Batch, Closed
from storage.memory import MemoryStreams

NODE, SESSION = new_id(), new_id()


def _recorder(streams: MemoryStreams, backlog: int = 100, length: int = 1000) -> Recorder:
    return Recorder(streams, "w", interval=0.001, backlog=backlog, length=length)


def _record(number: int) -> Closed:
    return Closed(NODE, SESSION, number, 1000)


async def _batches(streams: MemoryStreams) -> list[Batch]:
    entries = await streams.read({INGEST_STREAM: "0-0"}, 10_000, 0)
    return [msgspec.msgpack.decode(payload, type=Batch) for _, _, payload in entries]


async def test_records_leave_in_order_in_numbered_batches():
    streams = MemoryStreams()
    recorder = _recorder(streams, backlog=10_000)
    for number in range(MAX_BATCH + 5):
        recorder.add(_record(number))
    await recorder.flush()
    batches = await _batches(streams)
    assert [batch.sequence for batch in batches] == [1, 2]
    assert [record.at_ms for batch in batches for record in batch.records] == list(range(MAX_BATCH + 5))
    assert len(recorder) == 0


async def test_a_batch_that_failed_is_appended_again_under_its_number():
    class Flaky(MemoryStreams):
        failures = 2

        async def append(self, stream, payload, max_length=None):
            if self.failures:
                self.failures -= 1
                raise StorageUnavailable("away")
            return await super().append(stream, payload, max_length)

    streams = Flaky()
    recorder = _recorder(streams)
    recorder.add(_record(1))
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await recorder.flush()
        assert len(recorder) == 1
    recorder.add(_record(2))
    await recorder.flush()
    batches = await _batches(streams)
    assert [(batch.sequence, [r.at_ms for r in batch.records]) for batch in batches] == [(1, [1]), (2, [2])]


async def test_the_backlog_is_bounded_and_drops_the_oldest():
    streams = MemoryStreams()
    recorder = _recorder(streams, backlog=3)
    for number in range(5):
        recorder.add(_record(number))
    await recorder.flush()
    (batch,) = await _batches(streams)
    assert [record.at_ms for record in batch.records] == [2, 3, 4]
    assert recorder.dropped == 2


async def test_the_loop_appends_what_comes():
    streams = MemoryStreams()
    recorder = _recorder(streams)
    task = asyncio.create_task(recorder.run())
    recorder.add(_record(1))
    ((stream, _, _),) = await streams.read({INGEST_STREAM: "0-0"}, 10, 5000)
    assert stream == INGEST_STREAM
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Sums:
    """A source that has `size` records due, of `nodes`."""

    def __init__(self, size: int, nodes: int = 1) -> None:
        self.left = size
        self.nodes = nodes
        self.settled = 1
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.nodes

    def settled_ms(self) -> int:
        return self.settled

    def due(self, limit: int) -> list[Closed]:
        self.asked.append(limit)
        size = min(limit, self.left)
        self.left -= size
        return [_record(number) for number in range(size)]


async def test_sums_that_are_due_go_behind_what_was_recorded_in_as_many_batches_as_they_fill():
    streams = MemoryStreams()
    recorder = _recorder(streams)
    recorder.source = source = Sums(2 * MAX_BATCH)
    recorder.add(_record(-1))
    await recorder.flush()
    batches = await _batches(streams)
    assert [len(batch.records) for batch in batches] == [MAX_BATCH, MAX_BATCH, 1]
    assert batches[0].records[0].at_ms == -1
    assert source.asked == [MAX_BATCH - 1, MAX_BATCH, MAX_BATCH, MAX_BATCH]


async def test_while_the_stream_is_away_sums_stay_where_they_are():
    class Away(MemoryStreams):
        async def append(self, stream, payload, max_length=None):
            raise StorageUnavailable("away")

    recorder = _recorder(Away())
    recorder.source = source = Sums(10 * MAX_BATCH)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await recorder.flush()
    assert len(source.asked) == 1
    assert len(recorder) == MAX_BATCH
    assert source.left == 9 * MAX_BATCH


async def test_the_source_is_asked_again_and_again_while_it_follows_anybody():
    streams = MemoryStreams()
    recorder = _recorder(streams)
    recorder.source = source = Sums(0)
    task = asyncio.create_task(recorder.run())

    async def asked_thrice() -> bool:
        return len(source.asked) >= 3

    await eventually(asked_thrice)
    position = await streams.last_id(INGEST_STREAM)
    source.left = 1
    ((_, _, payload),) = await streams.read({INGEST_STREAM: position}, 10, 5000)
    assert len(msgspec.msgpack.decode(payload, type=Batch).records) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_stream_keeps_as_many_batches_as_the_setting_says():
    lengths: list[int | None] = []

    class Noting(MemoryStreams):
        async def append(self, stream, payload, max_length=None):
            lengths.append(max_length)
            return await super().append(stream, payload, max_length)

    recorder = _recorder(Noting(), length=123)
    recorder.add(_record(1))
    await recorder.flush()
    assert lengths == [123]


async def test_what_is_recorded_while_an_append_waits_is_not_forgotten():
    happened = False

    class Slow(MemoryStreams):
        async def append(self, stream, payload, max_length=None):
            nonlocal happened
            if not happened:
                # While Redis takes its time.
                happened = True
                recorder.add(_record(2))
            return await super().append(stream, payload, max_length)

    streams = Slow()
    recorder = _recorder(streams)
    recorder.add(_record(1))
    task = asyncio.create_task(recorder.run())

    async def both_came() -> bool:
        return recorder.appended == 2

    await eventually(both_came)
    batches = await _batches(streams)
    assert [record.at_ms for batch in batches for record in batch.records] == [1, 2]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- promises -----------------------------------------------------------------------------------------


async def test_a_batch_promises_what_holds_when_nothing_waits_behind_it():
    streams = MemoryStreams()
    recorder = _recorder(streams, backlog=10_000)
    recorder.source = source = Sums(0)
    recorder.add(_record(0))
    source.settled = 1000
    await recorder.flush()
    for number in range(MAX_BATCH + 1):
        recorder.add(_record(number))
    source.settled = 2000
    await recorder.flush()
    batches = await _batches(streams)
    assert [(len(batch.records), batch.until_ms) for batch in batches] == [
        (1, 1000),
        (MAX_BATCH, 1000),
        (1, 2000),
    ]


async def test_a_promise_that_failed_is_not_another_one_the_next_time():
    class Flaky(MemoryStreams):
        away = True

        async def append(self, stream, payload, max_length=None):
            if self.away:
                raise StorageUnavailable("away")
            return await super().append(stream, payload, max_length)

    streams = Flaky()
    recorder = _recorder(streams)
    recorder.source = source = Sums(0)
    recorder.add(_record(1))
    with pytest.raises(StorageUnavailable):
        await recorder.flush()
    source.settled, streams.away = 2000, False
    recorder.add(_record(2))
    await recorder.flush()
    assert [(batch.sequence, batch.until_ms) for batch in await _batches(streams)] == [(1, 1), (2, 2000)]


async def test_a_promise_goes_back_with_the_clock():
    streams = MemoryStreams()
    recorder = _recorder(streams)
    recorder.source = source = Sums(0)
    for settled in (7_200_000, 3_600_000):
        source.settled = settled
        recorder.add(_record(1))
        await recorder.flush()
    assert [batch.until_ms for batch in await _batches(streams)] == [7_200_000, 3_600_000]


@pytest.mark.parametrize("nodes", [0, 1])
async def test_who_has_nothing_to_tell_promises_now_and_then(nodes, monkeypatch):
    now = 0.0
    monkeypatch.setattr("core.engine.recorder.monotonic", lambda: now)
    streams = MemoryStreams()
    recorder = _recorder(streams)
    recorder.source = source = Sums(0, nodes)
    for tenths in range(25):
        now = tenths / 10
        source.settled = 1000 + tenths
        await recorder.flush()
    batches = await _batches(streams)
    assert [(batch.sequence, batch.until_ms, batch.records) for batch in batches] == [
        (1, 1000, []),
        (2, 1010, []),
        (3, 1020, []),
    ]


async def test_a_worker_without_nodes_goes_on_promising_by_itself(monkeypatch):
    monkeypatch.setattr("core.engine.recorder.PROMISE_INTERVAL", 0.01)
    streams = MemoryStreams()
    recorder = _recorder(streams)
    recorder.source = Sums(0, nodes=0)
    task = asyncio.create_task(recorder.run())

    async def promised_thrice() -> bool:
        return len(await _batches(streams)) >= 3

    await eventually(promised_thrice)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_batch_of_a_former_release_promises_nothing():
    former = msgspec.msgpack.encode(["w", 1, []])
    assert msgspec.msgpack.decode(former, type=Batch) == Batch("w", 1, [], 0)
