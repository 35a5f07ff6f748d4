import asyncio
from uuid import UUID

import pytest
from support.waiting import eventually

from core import endings
from core.clock import SystemClock, new_id
from core.endings import Announcer, Endings, exchange
from core.errors import StorageUnavailable
from services.events import SESSIONS_CHANNEL, SESSIONS_STREAM, Envelope, Events, decode_envelope
from services.revocations import Revocations, Revoked, mark
from storage.memory import MemoryDatabase, MemoryNodes, MemoryPresence, MemorySessions, MemoryStreams


def revoked(session_id: UUID | None = None, at_ms: int = 1) -> Revoked:
    return Revoked(user_id=new_id(), at_ms=at_ms, sessions=[mark(session_id or new_id())])


class Streams(MemoryStreams):
    """Streams that can be away."""

    away = False

    async def append(self, stream: str, payload: bytes, max_length: int | None = None) -> str:
        if self.away:
            raise StorageUnavailable("away")
        return await super().append(stream, payload, max_length)

    async def told(self) -> list[int]:
        """The times of what was announced."""
        entries = await self.read({SESSIONS_STREAM: "0-0"}, 1000, 0)
        return [decode_envelope(payload).offset for _, _, payload in entries]


class Store(MemorySessions):
    """A database in which sessions just end."""

    def __init__(self) -> None:
        super().__init__(MemoryDatabase())
        self.ended: list[UUID] = []
        self.away = False
        self.asked = 0

    async def ended_since(self, at: object) -> list[UUID]:
        self.asked += 1
        if self.away:
            raise StorageUnavailable("away")
        return self.ended


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
def announcer(streams: Streams) -> Announcer:
    return Announcer(Events(streams, MemoryPresence(), 1000))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def revocations(store: Store) -> Revocations:
    return Revocations(store, MemoryNodes(MemoryDatabase()), SystemClock(), 600)


class TestAnnouncer:
    """Tells of ended sessions without holding anybody up."""

    async def test_what_ended_is_told_in_order(self, announcer: Announcer, streams: Streams) -> None:
        running = asyncio.create_task(announcer.run())
        for number in range(3):
            announcer.put(revoked(at_ms=number))

        async def all_told() -> bool:
            return await streams.told() == [0, 1, 2]

        await eventually(all_told)
        running.cancel()

    async def test_while_redis_is_away_it_waits_and_is_told_afterwards(
        self, announcer: Announcer, streams: Streams
    ) -> None:
        streams.away = True
        running = asyncio.create_task(announcer.run())
        announcer.put(revoked(at_ms=1))
        announcer.put(revoked(at_ms=2))
        with pytest.raises(StorageUnavailable):
            await announcer.flush()
        assert announcer.metrics() == {"endings_waiting": 2}
        streams.away = False

        async def all_told() -> bool:
            return await streams.told() == [1, 2]

        await eventually(all_told)
        assert announcer.metrics() == {"endings_waiting": 0}
        running.cancel()

    async def test_it_does_not_wait_without_bounds(
        self, announcer: Announcer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endings, "WAITING", 2)
        for _ in range(3):
            announcer.put(revoked())
        assert announcer.metrics() == {"endings_waiting": 2}


class TestEndings:
    """Keeps a process up to date."""

    def test_what_the_bus_brings_is_news_once(self, revocations: Revocations) -> None:
        news: list[Revoked] = []
        follower = Endings(revocations, news.append)
        ended = revoked()
        data = {"user_id": str(ended.user_id), "at_ms": 1, "sessions": ended.sessions}
        envelope = Envelope(SESSIONS_CHANNEL, 1, ended.user_id, data)
        follower.on_events([envelope, envelope])
        assert news == [ended]

    @pytest.mark.parametrize("data", [None, 1, {}, {"user_id": "x", "at_ms": 1}, {"at_ms": "1"}])
    def test_what_is_no_end_of_a_session_is_passed_over(self, revocations: Revocations, data: object) -> None:
        news: list[Revoked] = []
        follower = Endings(revocations, news.append)
        follower.on_events([Envelope("network", 1, None, data), Envelope(SESSIONS_CHANNEL, 1, None, data)])
        assert news == []

    async def test_what_was_missed_is_read_up_when_the_bus_is_back(
        self, revocations: Revocations, store: Store
    ) -> None:
        news: asyncio.Queue[Revoked] = asyncio.Queue()
        follower = Endings(revocations, news.put_nowait)
        await follower.open()
        running = asyncio.create_task(follower.run())
        store.ended = [new_id()]
        follower.look()
        assert (await asyncio.wait_for(news.get(), 5)).sessions == [mark(store.ended[0])]
        running.cancel()

    async def test_what_nobody_told_is_read_up_in_time(
        self, revocations: Revocations, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endings, "LOOK_INTERVAL", 0.01)
        news: asyncio.Queue[Revoked] = asyncio.Queue()
        follower = Endings(revocations, news.put_nowait)
        running = asyncio.create_task(follower.run())
        store.ended = [new_id()]
        assert (await asyncio.wait_for(news.get(), 5)).sessions == [mark(store.ended[0])]
        running.cancel()

    async def test_a_database_that_is_away_is_asked_again(
        self, revocations: Revocations, store: Store
    ) -> None:
        news: asyncio.Queue[Revoked] = asyncio.Queue()
        follower = Endings(revocations, news.put_nowait)
        store.away = True
        running = asyncio.create_task(follower.run())
        follower.look()

        async def refused() -> bool:
            return store.asked > 0

        await eventually(refused)
        store.ended, store.away = [new_id()], False
        assert (await asyncio.wait_for(news.get(), 5)).sessions == [mark(store.ended[0])]
        running.cancel()


async def test_processes_tell_each_other_and_those_that_begin_later_hear_it_too(
    streams: Streams, store: Store
) -> None:
    events = Events(streams, MemoryPresence(), 1000)
    ended = revoked()
    here, there, later = (
        Revocations(store, MemoryNodes(MemoryDatabase()), SystemClock(), 600) for _ in range(3)
    )
    announcer = Announcer(events)
    async with (
        exchange(streams, Endings(here), announcer),
        exchange(streams, Endings(there), Announcer(events)),
    ):
        announcer.put(ended)

        async def both_know() -> bool:
            return len(here) == len(there) == 1

        await eventually(both_know)
    async with exchange(streams, Endings(later), Announcer(events)):
        assert len(later) == 1


async def test_what_waits_in_the_end_is_told_before_the_process_leaves(
    streams: Streams, revocations: Revocations, announcer: Announcer
) -> None:
    async with exchange(streams, Endings(revocations), announcer):
        announcer.put(revoked(at_ms=7))
    assert await streams.told() == [7]


async def test_a_process_can_leave_while_redis_is_away(
    streams: Streams, revocations: Revocations, announcer: Announcer
) -> None:
    async with exchange(streams, Endings(revocations), announcer):
        streams.away = True
        announcer.put(revoked())
    assert announcer.metrics() == {"endings_waiting": 1}
