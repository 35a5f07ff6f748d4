"""Gathering observations and handing them on, once each."""

import asyncio

import msgspec
import pytest

from core.clock import new_id
from core.engine.recorder import MAX_BATCH, Recorder
from core.errors import StorageUnavailable
from services.events import INGEST_STREAM
from storage.base import Batch, Closed
from storage.memory import MemoryStreams

NODE, SESSION = new_id(), new_id()


def _record(number: int) -> Closed:
    return Closed(NODE, SESSION, number, 1000)


async def _batches(streams: MemoryStreams) -> list[Batch]:
    entries = await streams.read({INGEST_STREAM: "0-0"}, 10_000, 0)
    return [msgspec.msgpack.decode(payload, type=Batch) for _, _, payload in entries]


async def test_records_leave_in_order_in_numbered_batches():
    streams = MemoryStreams()
    recorder = Recorder(streams, "w", 0.001, 10_000)
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
    recorder = Recorder(streams, "w", 0.001, 100)
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
    recorder = Recorder(streams, "w", 0.001, 3)
    for number in range(5):
        recorder.add(_record(number))
    await recorder.flush()
    (batch,) = await _batches(streams)
    assert [record.at_ms for record in batch.records] == [2, 3, 4]
    assert recorder.dropped == 2


async def test_the_loop_appends_what_comes():
    streams = MemoryStreams()
    recorder = Recorder(streams, "w", 0.001, 100)
    task = asyncio.create_task(recorder.run())
    recorder.add(_record(1))
    ((stream, _, _),) = await streams.read({INGEST_STREAM: "0-0"}, 10, 5000)
    assert stream == INGEST_STREAM
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_gathered_while_an_append_waits_is_not_forgotten():
    gathered: list[Closed] = []

    class Slow(MemoryStreams):
        async def append(self, stream, payload, max_length=None):
            if not gathered and not seen:
                # Something happens while Redis takes its time.
                gathered.append(_record(2))
                recorder.wake()
            return await super().append(stream, payload, max_length)

    def gather() -> list[Closed]:
        records = gathered[:]
        gathered.clear()
        seen.extend(records)
        return records

    seen: list[Closed] = []
    streams = Slow()
    recorder = Recorder(streams, "w", 0.001, 100)
    recorder.gather = gather
    recorder.add(_record(1))
    task = asyncio.create_task(recorder.run())
    entries = await streams.read({INGEST_STREAM: "0-0"}, 10, 5000)
    entries += await streams.read({INGEST_STREAM: entries[-1][1]}, 10, 5000)
    batches = [msgspec.msgpack.decode(payload, type=Batch) for _, _, payload in entries]
    assert [record.at_ms for batch in batches for record in batch.records] == [1, 2]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
