"""From a node's answer on one worker to its owner's socket on another."""

import time
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.system import System
from support.websocket import Socket

from core.clock import SystemClock, to_ms
from core.messages import MSGPACK_SUBPROTOCOL, challenge_bytes, enrol_bytes, token_bytes

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]


async def _join(port: int, token: str, *, not_on: str | None = None) -> tuple[Socket, dict[str, str]]:
    """A msgpack connection, on another worker than `not_on`."""
    for _ in range(200):
        socket = await Socket.open(port, token=token, subprotocols=MSGPACK_SUBPROTOCOL)
        assert socket.status == 101
        welcome = await socket.receive("welcome")
        if welcome["worker"] != not_on:
            return socket, welcome
        await socket.leave()
    raise AssertionError("the kernel never chose the other worker")


def _text(data: bytes) -> str:
    # As in JSON: msgspec writes bytes as base64.
    return str(msgspec.to_builtins(data))


async def test_an_answer_on_one_worker_moves_the_number_on_another_within_a_second(system: System) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    token = await system.token()
    auth = {"Authorization": f"Bearer {token}"}
    user = UUID((await system.http.get("/api/v1/me", headers=auth)).json()["user_id"])
    port = await system.ws_port()

    enrol = {
        "public_key": _text(public),
        "name": "stopwatch",
        "signature": _text(key.sign(enrol_bytes(user, public))),
    }
    node = UUID((await system.http.post("/api/v1/nodes", json=enrol, headers=auth)).json()["node_id"])
    now_ms = to_ms(SystemClock().now())
    proof = {"node_id": str(node), "time_ms": now_ms, "signature": _text(key.sign(token_bytes(node, now_ms)))}
    node_token = (await system.http.post("/api/v1/nodes/token", json=proof)).json()["access_token"]

    owner, welcome = await _join(port, token)
    owner.send({"type": "subscribe", "channel": "me"})
    await owner.receive("snapshot")
    agent, agent_welcome = await _join(port, node_token, not_on=welcome["worker"])
    session = UUID(agent_welcome["session"])
    shown = 0
    delays: list[float] = []
    counted = int(time.time())
    while len(delays) < 3:
        challenge = await agent.receive("challenge")
        nonce = challenge["nonce"]
        signature = key.sign(challenge_bytes(nonce, node, session))
        agent.send({"type": "challenge_reply", "nonce": nonce, "signature": signature})
        answered = time.monotonic()
        if int(time.time()) < counted + 2:
            continue  # it may not confirm a whole second more
        counted = int(time.time())
        before = shown
        while shown == before:
            overview = (await owner.receive("event"))["data"]
            shown = next(n["confirmed_seconds"] for n in overview["nodes"] if n["node_id"] == str(node))
        delays.append(time.monotonic() - answered)
    assert max(delays) < 1.0, delays
    await Socket.leave_all()
