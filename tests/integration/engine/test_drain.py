"""Leaving: a worker that drains, and the bus that comes and goes."""

import asyncio

from support.waiting import eventually
from support.websocket import Socket

from core.errors import CloseCode, StorageUnavailable


async def test_a_draining_worker_asks_everybody_to_come_back_later(engine):
    _, token = await engine.person()
    joined = [await engine.join(token=token) for _ in range(3)]
    draining = asyncio.create_task(engine.worker.drain())
    for socket, _ in joined:
        assert 0 <= (await socket.receive("reconnect"))["after_ms"] <= 250
        socket.send_frame(8, (1000).to_bytes(2, "big"))
    await draining
    assert engine.metric("connections_open") == 0
    assert engine.worker.reasons() == ["draining"]


async def test_who_does_not_leave_is_let_go_at_the_deadline(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    draining = asyncio.create_task(engine.worker.drain())
    await socket.receive("reconnect")
    assert (await socket.closed())[0] == CloseCode.DRAIN
    socket.send_frame(8, CloseCode.DRAIN.to_bytes(2, "big"))
    await draining


async def test_events_go_on_behind_the_last_one_when_the_bus_comes_back(engine, monkeypatch):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "network"})
    await socket.receive("snapshot")
    read = engine.streams.read
    away = True

    async def flaky(positions, count, block_ms):
        if away:
            raise StorageUnavailable("Redis is away")
        return await read(positions, count, block_ms)

    monkeypatch.setattr(engine.streams, "read", flaky)
    # The read that is under way still delivers this one.
    await engine.events.publish("network", 1, "first")
    assert (await socket.receive("event"))["data"] == "first"

    async def noticed() -> bool:
        return not engine.worker.ready()

    await eventually(noticed)
    await engine.events.publish("network", 2, "second")
    away = False
    assert (await socket.receive("event"))["data"] == "second"
    assert engine.worker.ready()


async def test_an_unreadable_event_is_skipped(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "network"})
    await socket.receive("snapshot")
    await engine.streams.append("bus:global", b"\xc1 nonsense")
    await engine.events.publish("network", 1, "good")
    assert (await socket.receive("event"))["data"] == "good"
    assert engine.metric("bus_unreadable_total") == 1


async def test_workers_share_a_port(make_engine):
    first = await make_engine()
    second = await make_engine(**{"ws.port": first.port})
    assert second.port == first.port
    statuses = set()
    for _ in range(40):
        socket = await Socket.connect(first.port)
        await socket.request(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        statuses.add(socket.status)
    assert statuses == {200}
