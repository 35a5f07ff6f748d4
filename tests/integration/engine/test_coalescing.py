"""Several messages due to one socket in one tick leave in one write."""

from support.waiting import eventually

from services.events import GLOBAL_STREAM, Envelope, encode_envelope, worker_stream


async def _subscribed(engine):
    user, token = await engine.person()
    socket, _ = await engine.join(token=token)
    for channel in ("me", "network"):
        socket.send({"type": "subscribe", "channel": channel})
        await socket.receive("snapshot")
    return user, socket


async def test_ten_events_of_a_user_leave_in_one_write(engine):
    user, socket = await _subscribed(engine)
    before = engine.metric("writes_total")
    stream = worker_stream(engine.worker.worker_id)
    entries = [
        (stream, encode_envelope(Envelope("me", number, user.user_id, number))) for number in range(1, 11)
    ]
    await engine.streams.append_many(entries, 1000)
    for number in range(1, 11):
        assert (await socket.receive("event"))["data"] == number
    assert engine.metric("writes_total") == before + 1


async def test_ten_broadcasts_leave_in_one_write_per_socket(engine):
    _, first = await _subscribed(engine)
    _, second = await _subscribed(engine)
    before = engine.metric("writes_total")
    entries = [
        (GLOBAL_STREAM, encode_envelope(Envelope("network", number, None, number))) for number in range(1, 11)
    ]
    await engine.streams.append_many(entries, 1000)
    for socket in (first, second):
        for number in range(1, 11):
            assert (await socket.receive("event"))["data"] == number
    assert engine.metric("writes_total") == before + 2


async def test_answers_to_messages_that_came_together_leave_together(engine):
    _, socket = await _subscribed(engine)
    before = engine.metric("writes_total")
    for _ in range(5):
        socket.send({"type": "ping"})
    for _ in range(5):
        await socket.receive("pong")

    async def counted() -> bool:
        return engine.metric("frames_out_total") >= 5

    await eventually(counted)
    assert engine.metric("writes_total") <= before + 2
