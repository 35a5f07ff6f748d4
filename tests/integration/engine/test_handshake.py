"""The upgrade request: who is let in, and what the others are told."""

import asyncio
import json

import pytest
from support.websocket import Socket, upgrade_request

from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from ext import frames

PAGE = "http://pulseboard.test:18080"


async def test_a_browser_like_firefox_is_let_in(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(
        subprotocols=f"{JSON_SUBPROTOCOL}, {BEARER_PREFIX}{token}",
        replace={"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Origin": PAGE},
    )
    assert socket.headers["sec-websocket-protocol"] == JSON_SUBPROTOCOL


async def test_the_token_of_a_browser_is_never_echoed(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(subprotocols=f"{BEARER_PREFIX}{token}, {JSON_SUBPROTOCOL}")
    assert token not in json.dumps(socket.headers)


@pytest.mark.parametrize("subprotocol", [JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL])
async def test_the_agreed_subprotocol_is_named_and_spoken(engine, subprotocol):
    _, token = await engine.person()
    socket, welcome = await engine.join(subprotocols=subprotocol, token=token)
    assert socket.headers["sec-websocket-protocol"] == subprotocol
    assert welcome["worker"] == "worker-1"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"path": "/elsewhere"}, 404, "not_found"),
        ({"replace": {"Upgrade": None, "Connection": None}}, 426, "upgrade_required"),
        ({"replace": {"Connection": "close"}}, 426, "upgrade_required"),
        ({"replace": {"Sec-WebSocket-Version": "8"}}, 426, "version_unsupported"),
        ({"replace": {"Sec-WebSocket-Version": None}}, 426, "version_unsupported"),
        ({"subprotocols": None}, 400, "subprotocol_required"),
        ({"subprotocols": "chat"}, 400, "subprotocol_required"),
        ({"replace": {"Host": None}}, 400, "host_required"),
        ({"extra": [("Host", "other")]}, 400, "duplicate_header"),
        ({"extra": [("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]}, 400, "duplicate_header"),
        ({"replace": {"Origin": "http://evil.test"}}, 403, "origin_refused"),
        ({"replace": {"Origin": "http://pulseboard.test:99999999"}}, 403, "origin_refused"),
        ({"replace": {"Origin": "null"}}, 403, "origin_refused"),
    ],
)
async def test_a_wrong_request_gets_a_problem(engine, change, status, code):
    socket = await Socket.open(engine.port, **change)
    assert socket.status == status
    assert socket.headers["content-type"] == "application/problem+json"
    assert json.loads(socket.body)["code"] == code
    assert engine.metric(f"handshake_{code}_total") == 1


@pytest.mark.parametrize("key", ["", "short", "!" * 24, "é" * 12])
async def test_a_wrong_key_is_refused(engine, key):
    socket = await Socket.open(engine.port, replace={"Sec-WebSocket-Key": key})
    assert socket.status == 400


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /ws HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_what_is_no_such_request_is_refused(engine, request_bytes):
    socket = await Socket.connect(engine.port)
    await socket.request(request_bytes)
    assert socket.status == 400


async def test_a_header_of_a_megabyte_is_refused_with_words(engine):
    socket = await Socket.connect(engine.port)
    request = upgrade_request(extra=[("X-Filler", "x" * (1 << 20))])
    await socket.request(request)
    assert socket.status == 431
    assert json.loads(socket.body)["code"] == "header_too_long"
    _, token = await engine.person()
    await engine.join(token=token)


async def test_half_a_request_is_dropped_after_the_time_out(make_engine):
    engine = await make_engine(**{"ws.handshake_timeout": 0.05})
    socket = await Socket.connect(engine.port)
    socket.send_raw(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    assert await socket.ended() == b""


async def test_a_frame_that_comes_with_the_request_is_refused(engine):
    socket = await Socket.connect(engine.port)
    await socket.request(upgrade_request() + frames.build(frames.TEXT, b"not masked either"))
    assert socket.status == 101
    assert (await socket.closed())[0] == 1002


async def test_a_full_worker_says_so(make_engine):
    engine = await make_engine(**{"ws.max_connections": 1})
    _, token = await engine.person()
    await engine.join(token=token)
    socket = await Socket.open(engine.port, token=token)
    assert socket.status == 503
    assert socket.headers["retry-after"] == "5"
    assert json.loads(socket.body)["code"] == "full"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz?from=balancer"])
async def test_a_load_balancer_is_answered(engine, path):
    socket = await Socket.connect(engine.port)
    await socket.request(f"GET {path} HTTP/1.1\r\nHost: lb\r\n\r\n".encode())
    assert socket.status == 200


async def test_allowed_origins_replace_the_pages_own(make_engine):
    engine = await make_engine(**{"ws.allowed_origins": ["https://app.example.com"]})
    _, token = await engine.person()
    await engine.join(token=token, replace={"Origin": "https://app.example.com"})
    refused = await Socket.open(engine.port, token=token, replace={"Origin": PAGE})
    assert refused.status == 403


async def test_many_come_at_once(engine):
    _, token = await engine.person()
    sockets = await asyncio.gather(*(engine.join(token=token) for _ in range(200)))
    assert len({welcome["session"] for _, welcome in sockets}) == 200
    assert engine.metric("connections_open") == 200
