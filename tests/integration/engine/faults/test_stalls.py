"""A worker that did not run for a while, and clocks that jump: nobody is let go for what was our fault."""

import asyncio
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import public_bytes
from support.processes import frozen
from support.waiting import eventually
from support.websocket import Socket, upgrade_request
from support.workers import WorkerProcess, node_token, person_token

from core.clock import new_id
from core.messages import MSGPACK_SUBPROTOCOL, challenge_bytes
from ext import frames

HASTE = 0.6  # seconds of every deadline
STALL = 1.3  # longer than a ping and its pong may take, and than the hub takes for granted


@pytest.fixture(scope="module")
async def worker(start_worker) -> WorkerProcess:
    """A worker with short deadlines."""
    names = ("ws.handshake_timeout", "ws.auth_timeout", "ws.ping_interval", "ws.pong_timeout")
    return await start_worker(
        **dict.fromkeys(names, HASTE),
        **{
            "ws.expiry_notice": 0.5,
            "network.challenge_interval": 0.1,
            "network.challenge_timeout": HASTE,
        },
    )


@pytest.fixture(autouse=True)
async def nobody_stays():
    """Leave what a test has opened."""
    yield
    await Socket.leave_all()


async def _join(worker: WorkerProcess, **request: str) -> tuple[Socket, dict[str, object]]:
    socket = await Socket.open(worker.port, **request)
    assert socket.status == 101, socket.body
    return socket, await socket.receive("welcome")


async def _hears_nothing(socket: Socket, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await socket.reader.readexactly(1)


async def _is_served(socket: Socket) -> None:
    socket.send({"type": "ping"})
    await socket.receive("pong")


async def test_a_stopped_worker_lets_nobody_go_when_it_runs_again(worker):
    before = await worker.metrics()
    quiet, _ = await _join(worker, token=person_token())
    pinged, _ = await _join(worker, token=person_token())
    assert (await pinged.frame())[0] == frames.PING
    await _is_served(quiet)
    stranger = await Socket.open(worker.port)
    beginner = await Socket.connect(worker.port)
    request = upgrade_request(token=person_token())
    beginner.send_raw(request[:-20])

    async def knows_the_beginner() -> bool:
        return int((await worker.metrics())["accepted_total"]) == int(before["accepted_total"]) + 4

    await eventually(knows_the_beginner)
    with frozen(worker.pid):
        stranger.send({"type": "auth", "token": person_token()})
        await _hears_nothing(quiet, STALL)
        beginner.send_raw(request[-20:])
    await stranger.receive("welcome")
    await beginner.request(b"")
    assert beginner.status == 101
    for socket in (quiet, pinged, stranger, beginner):
        await _is_served(socket)
    after = await worker.metrics()
    assert after["late_ticks_total"] > before["late_ticks_total"]
    assert after["connections_open"] == before["connections_open"] + 4


async def test_a_peer_that_is_silent_after_the_stall_is_still_let_go(worker):
    socket, _ = await _join(worker, token=person_token())
    with frozen(worker.pid):
        await _hears_nothing(socket, STALL)
    assert (await socket.closed())[0] == 4012


async def test_a_token_that_ended_during_the_stall_can_be_renewed(worker):
    user_id = new_id()
    socket, _ = await _join(worker, token=person_token(2, user_id))
    with frozen(worker.pid):
        await _hears_nothing(socket, 2.2)
    await socket.receive("token_expiring")
    socket.send({"type": "auth", "token": person_token(60, user_id)})
    await socket.receive("welcome")
    await _is_served(socket)


async def test_a_challenge_that_was_answered_during_the_stall_counts(worker):
    key, node_id = Ed25519PrivateKey.generate(), new_id()
    before = await worker.metrics()
    token = node_token(node_id, public_bytes(key))
    socket, welcome = await _join(worker, token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    challenge = await socket.receive("challenge")
    with frozen(worker.pid):
        signature = key.sign(challenge_bytes(challenge["nonce"], node_id, UUID(str(welcome["session"]))))
        socket.send({"type": "challenge_reply", "nonce": challenge["nonce"], "signature": signature})
        await _hears_nothing(socket, STALL)
    await socket.receive("challenge")
    after = await worker.metrics()
    assert after["challenges_answered_total"] == before["challenges_answered_total"] + 1
    assert after["challenges_missed_total"] == before["challenges_missed_total"]


@pytest.mark.parametrize("days", [400, -400])
async def test_a_wall_clock_that_jumps_disconnects_nobody(make_engine, days):
    engine = await make_engine(**{"ws.ping_interval": 0.2, "ws.pong_timeout": 0.2})
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    engine.advance(days=days)
    for _ in range(5):
        opcode, payload = await socket.frame()
        assert opcode == frames.PING
        socket.send_frame(frames.PONG, payload)
    await _is_served(socket)
    assert engine.metric("connections_open") == 1
