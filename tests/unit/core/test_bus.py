import asyncio
from collections.abc import Mapping

import pytest

from core.bus import Bus
from core.errors import StorageUnavailable
from services.events import Envelope, encode_envelope
from storage.memory import MemoryStreams


def news(number: int) -> bytes:
    return encode_envelope(Envelope("network", number, None, None))


class Listener:
    """Remembers what a bus delivered."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.returned = 0
        self._news = asyncio.Event()

    def deliver(self, envelopes: list[Envelope]) -> None:
        self.heard += [envelope.offset for envelope in envelopes]
        self._news.set()

    def came_back(self) -> None:
        self.returned += 1

    async def hears(self, count: int) -> list[int]:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard


class Unreliable(MemoryStreams):
    """Streams that are away for as many reads as one likes."""

    failures = 0

    async def read(
        self, positions: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, bytes]]:
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("away")
        return await super().read(positions, count, block_ms)


@pytest.fixture
def streams() -> Unreliable:
    return Unreliable()


@pytest.fixture
def listener() -> Listener:
    return Listener()


async def test_news_begin_with_the_present_and_whole_streams_with_their_start(
    streams: Unreliable, listener: Listener
) -> None:
    await streams.append("broadcasts", news(1))
    for number in range(2, 1000):
        await streams.append("kept", news(number))
    bus = Bus(streams, listener.deliver, news=["broadcasts"], whole=["kept"])
    await bus.open()
    assert listener.heard == list(range(2, 1000))
    running = asyncio.create_task(bus.run())
    await streams.append("broadcasts", news(1000))
    await streams.append("kept", news(1001))
    assert sorted(await listener.hears(1000))[-2:] == [1000, 1001]
    running.cancel()
    assert bus.received == 1000


async def test_after_an_absence_it_goes_on_where_it_was_and_says_that_it_is_back(
    streams: Unreliable, listener: Listener
) -> None:
    bus = Bus(streams, listener.deliver, news=["broadcasts"], returned=listener.came_back)
    await bus.open()
    streams.failures = 2
    await streams.append("broadcasts", news(1))
    running = asyncio.create_task(bus.run())
    assert await listener.hears(1) == [1]
    assert (bus.failures, bus.connected, listener.returned) == (2, True, 1)
    await streams.append("broadcasts", news(2))
    assert await listener.hears(2) == [1, 2]
    assert listener.returned == 1
    running.cancel()


async def test_a_stream_of_its_own_is_removed_in_the_end(streams: Unreliable, listener: Listener) -> None:
    await streams.append("mine", news(1))
    bus = Bus(streams, listener.deliver, own="mine")
    await bus.open()
    running = asyncio.create_task(bus.run())
    await listener.hears(1)
    running.cancel()
    await bus.close()
    assert await streams.last_id("mine") == "0-0"


async def test_what_cannot_be_read_is_counted_and_passed_over(
    streams: Unreliable, listener: Listener
) -> None:
    await streams.append("kept", b"\xc1")
    await streams.append("kept", news(1))
    bus = Bus(streams, listener.deliver, whole=["kept"])
    await bus.open()
    assert (listener.heard, bus.unreadable) == ([1], 1)
