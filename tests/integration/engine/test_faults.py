"""What broken, slow and dead peers get, and what it costs the others."""

import asyncio
import json
import socket as sockets
import struct

import pytest
from support.waiting import eventually
from support.websocket import client_frame

from core.errors import CloseCode
from core.messages import MSGPACK_SUBPROTOCOL, Ping
from ext import frames


async def _alive(engine) -> None:
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "ping"})
    await socket.receive("pong")
    await socket.leave()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(frames.TEXT, b"x", reserved=4), 1002),
        (frames.build(frames.TEXT, b"not masked"), 1002),
        (client_frame(frames.TEXT, b"\xff\xfe"), 1007),
        (client_frame(frames.BINARY, b"binary in a text subprotocol"), 1003),
        (client_frame(frames.CONTINUATION, b"of nothing"), 1002),
        (client_frame(frames.PING, b"x" * 126), 1002),
        (client_frame(frames.CLOSE, b"\x03"), 1002),
        (client_frame(frames.TEXT, b"x" * 65537), 1009),
        (b"\x82\xff" + (1 << 62).to_bytes(8, "big") + b"mask", 1009),
        (b"\x82\xff" + (1 << 63).to_bytes(8, "big") + b"mask", 1002),
    ],
)
async def test_a_corrupt_frame_is_answered_with_its_code_and_the_stream_ends(engine, data, code):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_raw(data)
    assert (await socket.closed())[0] == code
    assert await socket.ended() == b""
    await _alive(engine)


async def test_a_good_frame_before_a_bad_one_is_still_answered(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    ping = client_frame(frames.TEXT, b'{"type":"ping"}')
    socket.send_raw(ping + client_frame(frames.TEXT, b"x", reserved=1) + ping)
    await socket.receive("pong")
    opcode, payload = await socket.frame()
    assert (opcode, payload[:2]) == (frames.CLOSE, (1002).to_bytes(2, "big"))


async def test_a_close_frame_is_answered_with_its_code(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_frame(frames.CLOSE, (4321).to_bytes(2, "big") + b"bye")
    assert await socket.frame() == (frames.CLOSE, (4321).to_bytes(2, "big"))
    assert await socket.ended() == b""


async def test_a_close_frame_without_a_code_is_answered_without_one(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_frame(frames.CLOSE)
    assert await socket.frame() == (frames.CLOSE, b"")


async def test_pings_are_answered_and_pongs_out_of_turn_are_ignored(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_frame(frames.PONG, b"nobody asked")
    socket.send_frame(frames.PING, b"are you there")
    assert await socket.frame() == (frames.PONG, b"are you there")


async def test_a_message_may_come_in_pieces(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    data = client_frame(frames.TEXT, b'{"type":', final=False) + client_frame(frames.CONTINUATION, b'"ping"}')
    for byte in data:
        socket.send_raw(bytes([byte]))
        await socket.writer.drain()
    await socket.receive("pong")


async def test_a_silent_peer_is_pinged_and_then_let_go(make_engine):
    engine = await make_engine(**{"ws.ping_interval": 0.1, "ws.pong_timeout": 0.1})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    assert (await socket.frame())[0] == frames.PING
    assert (await socket.closed())[0] == CloseCode.NO_PONG
    assert engine.metric("lost_pongs_total") == 1


async def test_a_peer_that_answers_pings_stays(make_engine):
    engine = await make_engine(**{"ws.ping_interval": 0.1, "ws.pong_timeout": 0.1})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    for _ in range(5):
        opcode, payload = await socket.frame()
        assert opcode == frames.PING
        socket.send_frame(frames.PONG, payload)
    socket.send({"type": "ping"})
    await socket.receive("pong")


async def test_a_peer_in_the_middle_of_a_frame_is_let_go_too(make_engine):
    engine = await make_engine(**{"ws.ping_interval": 0.1, "ws.pong_timeout": 0.1})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_raw(client_frame(frames.TEXT, b"never finished")[:9])
    assert (await socket.closed())[0] == CloseCode.NO_PONG


async def test_a_reset_connection_is_forgotten_at_once(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.writer.get_extra_info("socket").setsockopt(
        sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0)
    )
    socket.vanish()

    async def gone() -> bool:
        return engine.metric("connections_open") == 0

    await eventually(gone)
    assert engine.metric("closed_1006_total") == 1


async def test_a_reader_that_never_reads_is_let_go_and_costs_the_others_nothing(make_engine):
    engine = await make_engine(**{"ws.max_queue": 65536, "ws.close_timeout": 0.2})
    _, token = await engine.person()
    stuck, _ = await engine.join(token=token)
    reader, _ = await engine.join(token=token)
    for socket in (stuck, reader):
        socket.send({"type": "subscribe", "channel": "network"})
        await socket.receive("snapshot")
    stuck.writer.transport.pause_reading()
    blob = "x" * 60_000
    number = 0

    async def let_go() -> bool:
        nonlocal number
        number += 1
        await engine.events.publish("network", number, blob)
        assert (await reader.receive("event"))["offset"] == number
        assert engine.worker._hub.queued_bytes <= 65536 + 256
        return engine.metric("connections_open") == 1

    await eventually(let_go)
    assert engine.metric("slow_consumers_total") == 1
    assert engine.metric("closed_4008_total") == 1
    assert engine.metric("queued_bytes") == 0


async def test_a_reader_that_catches_up_gets_everything_in_order(make_engine):
    engine = await make_engine(**{"ws.max_queue": 64 * 1024 * 1024})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "network"})
    await socket.receive("snapshot")
    socket.writer.transport.pause_reading()
    sent = 0

    async def queued() -> bool:
        nonlocal sent
        sent += 1
        await engine.events.publish("network", sent, "y" * 50_000)
        return engine.metric("queued_bytes") > 1_000_000

    await eventually(queued)
    socket.writer.transport.resume_reading()
    for number in range(1, sent + 1):
        assert (await socket.receive("event"))["offset"] == number


async def test_a_flood_of_pings_to_a_peer_that_never_reads_is_bounded(make_engine):
    engine = await make_engine(**{"ws.max_queue": 65536, "ws.close_timeout": 0.2, "ws.message_rate": 0})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.writer.transport.pause_reading()
    flood = client_frame(frames.PING, b"x" * 125) * 1000

    async def let_go() -> bool:
        if not socket.writer.transport.is_closing():
            socket.send_raw(flood)
        assert engine.worker._hub.queued_bytes <= 65536 + 256
        return engine.metric("connections_open") == 0

    await eventually(let_go)
    socket.vanish()


async def test_a_bug_in_answering_ends_that_connection_only(engine, monkeypatch):
    _, token = await engine.person()
    victim, _ = await engine.join(token=token)
    other, _ = await engine.join(token=token)
    answers = engine.worker._gateway._answers
    answer = answers[Ping]

    def broken(handle, message):
        raise RuntimeError("a bug with a secret in its text")

    monkeypatch.setitem(answers, Ping, broken)
    victim.send({"type": "ping"})
    assert await victim.closed() == (1011, "internal error")
    monkeypatch.setitem(answers, Ping, answer)
    other.send({"type": "ping"})
    await other.receive("pong")


async def test_msgpack_with_text_that_is_not_utf8_is_a_bad_message(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    socket.send_frame(frames.BINARY, b"\x81\xa4type\xa2\xff\xfe")
    assert (await socket.receive("error"))["code"] == "bad_message"


async def test_a_thousand_sudden_deaths_leave_nothing_behind(engine):
    _, token = await engine.person()
    for _ in range(10):
        joined = await asyncio.gather(*(engine.join(token=token) for _ in range(100)))
        for socket, _ in joined:
            socket.vanish()

    async def empty() -> bool:
        return engine.metric("connections_open") == 0

    await eventually(empty)
    gateway = engine.worker._gateway
    assert not gateway._strangers
    assert not gateway._tasks
    assert json.dumps(engine.worker.metrics())
