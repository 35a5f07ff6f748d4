"""Messages compressed one by one (RFC 7692), in both directions."""

import json
import zlib

import pytest
from support.websocket import Socket, client_frame

from core.config import load
from core.engine.echo import EchoServer
from core.messages import MSGPACK_SUBPROTOCOL
from ext import frames
from ext.frames import deflate_payload, inflate_payload

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
RSV1 = 4
LIMIT = 65536


async def _join(engine, **request):
    _, token = await engine.person()
    socket = await Socket.open(engine.port, token=token, replace=OFFER, **request)
    assert "permessage-deflate" in socket.headers["sec-websocket-extensions"]
    assert (await socket.raw_frame())[0] in (0x81, 0x82)
    return socket


def _send(socket, payload, opcode=frames.TEXT):
    socket.send_raw(client_frame(opcode, deflate_payload(payload), reserved=RSV1))


async def test_compression_is_used_only_when_it_was_agreed_to(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    assert "sec-websocket-extensions" not in socket.headers
    _send(socket, b'{"type":"ping"}')
    assert (await socket.closed())[0] == 1002


async def test_compression_can_be_switched_off(make_engine):
    engine = await make_engine(**{"ws.compress_above": -1})
    _, token = await engine.person()
    socket = await Socket.open(engine.port, token=token, replace=OFFER)
    assert "sec-websocket-extensions" not in socket.headers


async def test_a_compressed_message_is_understood(engine):
    socket = await _join(engine)
    _send(socket, b'{"type":"ping"}')
    first, payload = await socket.raw_frame()
    assert first == 0x81
    assert json.loads(payload)["type"] == "pong"


async def test_a_compressed_message_may_come_in_fragments_with_controls_between(engine):
    socket = await _join(engine)
    packed = deflate_payload(b'{"type":"ping"}')
    socket.send_raw(client_frame(frames.TEXT, packed[:3], final=False, reserved=RSV1))
    socket.send_raw(client_frame(frames.PING, b"x"))
    socket.send_raw(client_frame(frames.CONTINUATION, packed[3:]))
    assert await socket.raw_frame() == (0x8A, b"x")
    assert json.loads((await socket.raw_frame())[1])["type"] == "pong"


@pytest.mark.parametrize("subprotocol", ["pulseboard.v1.json", MSGPACK_SUBPROTOCOL])
async def test_large_events_are_compressed_once_and_small_ones_are_not(engine, subprotocol):
    socket = await _join(engine, subprotocols=subprotocol)
    socket.send({"type": "subscribe", "channel": "network"})
    for _ in range(2):
        await socket.raw_frame()
    await engine.events.publish("network", 1, "z" * 5000)
    first, payload = await socket.raw_frame()
    assert first & 0x40
    assert len(payload) < 200
    assert b"z" * 5000 in inflate_payload(payload, LIMIT)
    await engine.events.publish("network", 2, "small")
    assert not (await socket.raw_frame())[0] & 0x40


async def test_a_decompression_bomb_is_cut_off_at_the_limit(engine):
    socket = await _join(engine)
    bomb = deflate_payload(b"\0" * 50_000_000)
    assert len(bomb) < 250_000
    cut = client_frame(frames.TEXT, bomb[:LIMIT], reserved=RSV1)
    socket.send_raw(cut)
    assert (await socket.closed())[0] == 1009


@pytest.mark.parametrize(("extra", "code"), [(0, None), (1, 1009)])
async def test_the_limit_is_that_of_the_inflated_message(engine, extra, code):
    socket = await _join(engine)
    padding = b" " * (LIMIT - len(b'{"type":"ping"}') + extra)
    _send(socket, b'{"type":"ping"}' + padding)
    if code is None:
        assert (await socket.raw_frame())[0] == 0x81
    else:
        assert (await socket.closed())[0] == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\xff\xff\xff\xff", 1007), (deflate_payload(b"\xff\xfe"), 1007), (b"\x07" * 30, 1007)],
)
async def test_what_cannot_be_inflated_or_is_no_text_is_refused(engine, payload, code):
    socket = await _join(engine)
    socket.send_raw(client_frame(frames.TEXT, payload, reserved=RSV1))
    assert (await socket.closed())[0] == code


async def test_a_continuation_must_not_say_that_it_is_compressed(engine):
    socket = await _join(engine)
    socket.send_raw(client_frame(frames.TEXT, b"x", final=False, reserved=RSV1))
    socket.send_raw(client_frame(frames.CONTINUATION, b"y", reserved=RSV1))
    assert (await socket.closed())[0] == 1002


async def test_messages_that_end_with_a_final_block_are_understood(engine):
    # RFC 7692 §7.2.3.5: a sender may set BFINAL and append an empty block.
    socket = await _join(engine)
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(b'{"type":"ping"}') + packer.flush(zlib.Z_FINISH) + b"\x00"
    socket.send_raw(client_frame(frames.TEXT, packed, reserved=RSV1))
    assert json.loads((await socket.raw_frame())[1])["type"] == "pong"


class TestEcho:
    """The raw echo mode."""

    @pytest.fixture
    async def engine(self):
        server = EchoServer(load(environ={}, flags={"ws.port": 0, "ws.compress_above": 0}))
        server.start()
        yield server
        await Socket.leave_all()
        server.stop()

    async def test_it_serves_nothing_else(self, engine):
        assert (await Socket.open(engine.port)).status == 404

    async def test_everything_comes_back_without_authentication(self, engine):
        socket = await Socket.open(engine.port, path="/echo", subprotocols=None)
        for opcode, payload in (
            (frames.TEXT, b"text"),
            (frames.BINARY, b"\xff" * 70_000),
            (frames.TEXT, b""),
        ):
            socket.send_frame(opcode, payload)
            assert await socket.frame() == (opcode, payload)
        assert engine.metrics()["connections_open"] == 1

    async def test_sixteen_mebibytes_in_fragments_come_back(self, engine):
        socket = await Socket.open(engine.port, path="/echo", subprotocols=None)
        piece = b"x" * (1 << 20)
        socket.send_frame(frames.TEXT, piece, final=False)
        for number in range(15):
            socket.send_frame(frames.CONTINUATION, piece, final=number == 14)
        opcode, payload = await socket.frame()
        assert (opcode, len(payload)) == (frames.TEXT, 16 << 20)

    async def test_one_byte_more_is_too_big(self, engine):
        socket = await Socket.open(engine.port, path="/echo", subprotocols=None)
        socket.send_raw(b"\x82\xff" + ((16 << 20) + 1).to_bytes(8, "big") + b"mask")
        assert (await socket.closed())[0] == 1009

    @pytest.mark.parametrize("window", [8, 9, 12, 15])
    async def test_compressed_messages_come_back_compressed_within_the_agreed_window(self, engine, window):
        offer = {"Sec-WebSocket-Extensions": f"permessage-deflate; server_max_window_bits={window}"}
        socket = await Socket.open(engine.port, path="/echo", subprotocols=None, replace=offer)
        assert f"server_max_window_bits={window}" in socket.headers["sec-websocket-extensions"]
        text = bytes(range(65, 91)) * 400
        _send(socket, text)
        first, payload = await socket.raw_frame()
        assert first == 0xC1
        assert zlib.decompressobj(-window).decompress(payload + b"\x00\x00\xff\xff") == text
