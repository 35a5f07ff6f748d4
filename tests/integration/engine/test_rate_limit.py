"""Clients that send more than their share, and those who must not suffer for it."""

import msgspec
import pytest
from support.waiting import eventually
from support.websocket import client_frame

from core.errors import CloseCode
from ext import frames
from services.events import INGEST_STREAM
from storage.base import Batch, Report

TOO_OFTEN = (CloseCode.RATE_LIMIT, "sends too often")


@pytest.mark.parametrize(
    "flood",
    [
        client_frame(frames.PING, b"x") * 5000,
        client_frame(frames.PONG, b"x") * 5000,
        client_frame(frames.TEXT, b"", final=False)
        + client_frame(frames.CONTINUATION, b"", final=False) * 1_000_000,
        client_frame(frames.TEXT, b'{"type":"ping"}') * 5000,
    ],
    ids=["pings", "pongs", "a million empty fragments", "messages"],
)
async def test_a_flood_ends_its_connection_and_no_other(engine, flood):
    _, token = await engine.person()
    neighbour, _ = await engine.join(token=token)
    flooding, _ = await engine.join(token=token)
    flooding.send_raw(flood)
    assert await flooding.closed() == TOO_OFTEN
    assert await flooding.ended() == b""
    neighbour.send({"type": "ping"})
    await neighbour.receive("pong")
    await flooding.leave()

    async def gone() -> bool:
        return engine.metric("connections_open") == 1

    await eventually(gone)
    assert engine.metric("rate_limited_total") == 1
    assert engine.metric("closed_4506_total") == 1


async def test_tokens_cannot_be_tried_without_end(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    for _ in range(1000):
        socket.send({"type": "auth", "token": token})
    assert await socket.closed() == TOO_OFTEN


async def test_a_nodes_beats_come_through_however_many_piled_up(engine):
    owner, _ = await engine.person()
    socket, node, _, _ = await engine.join_node(owner)
    for _ in range(150):
        socket.send({"type": "beat", "bytes_up": 1, "bytes_down": 2})
    reported: list[Report] = []

    async def all_came() -> bool:
        entries = await engine.streams.read({INGEST_STREAM: "0-0"}, 1000, 0)
        records = [r for _, _, data in entries for r in msgspec.msgpack.decode(data, type=Batch).records]
        reported[:] = [record for record in records if isinstance(record, Report)]
        return sum(record.bytes_up for record in reported) == 150

    await eventually(all_came)
    assert {record.node_id for record in reported} == {node.node_id}
    assert engine.metric("rate_limited_total") == 0


async def test_the_limit_is_a_setting_and_zero_sets_none(make_engine):
    engine = await make_engine(**{"ws.message_rate": 0})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_raw(client_frame(frames.PONG, b"x") * 10_000 + client_frame(frames.TEXT, b'{"type":"ping"}'))
    await socket.receive("pong")
    strict = await make_engine(**{"ws.message_burst": 3})
    _, token = await strict.person()
    socket, _ = await strict.join(token=token)
    socket.send_raw(client_frame(frames.PONG, b"x") * 10)
    assert await socket.closed() == TOO_OFTEN
