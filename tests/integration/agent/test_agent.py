"""The agent against real sockets."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from picows import WSMsgType

from core.agent import AgentStopped
from core.clock import ManualClock, to_ms
from core.errors import ConfigError
from core.messages import (
    MSGPACK_SUBPROTOCOL,
    Auth,
    Beat,
    Challenge,
    ChallengeReply,
    Error,
    Pong,
    Reconnect,
    TokenExpiring,
    challenge_bytes,
    msgpack_encode,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "/api/v1/nodes/token"


async def finish(agent, timeout=5.0):
    async with asyncio.timeout(timeout):
        return await agent.task


class TestLife:
    async def test_it_enrols_connects_beats_and_leaves_properly(self, server, start, tmp_path):
        agent = start()
        peer = await server.peer()
        assert server.paths() == ["/api/v1/nodes", "/api/v1/client", TOKEN]
        assert server.handshakes[0]["Authorization"] == "Bearer token-1"
        assert server.handshakes[0]["Sec-WebSocket-Protocol"] == MSGPACK_SUBPROTOCOL
        await agent.online.wait()
        first = await peer.next(Beat)
        assert first.agent_version
        assert first.bytes_down > 100  # the welcome
        assert first.bytes_up == 0
        second = await peer.next(Beat)
        assert second.bytes_up > 10  # the first beat
        assert second.bytes_down == 0
        agent.stop()
        await finish(agent)
        assert await peer.closed == 1000
        assert not agent.online.is_set()
        assert (tmp_path / "agent" / "laptop.json").exists()

    async def test_the_bytes_it_reports_are_those_that_passed(self, server, start):
        start()
        peer = await server.peer()
        reported = 0
        for _ in range(5):
            before = peer.received_bytes
            beat = await peer.next(Beat)
            reported += beat.bytes_up
            # What the peer has seen up to now, but for this very beat.
            assert reported <= before + (peer.received_bytes - before)
        assert reported > 0

    async def test_the_second_time_it_is_known(self, server, start):
        first = start()
        await server.peer()
        first.stop()
        await finish(first)
        server.requests.clear()
        start(credentials=False)
        await server.peer()
        assert server.paths() == ["/api/v1/client", TOKEN]

    async def test_it_answers_challenges(self, server, start):
        start()
        peer = await server.peer()
        nonce = bytes(range(32))
        peer.send(Challenge(nonce, NOW))
        reply = await peer.next(ChallengeReply)
        [(node_id, key)] = server.nodes.items()
        signed = challenge_bytes(nonce, UUID(node_id), peer.session)
        Ed25519PublicKey.from_public_bytes(key).verify(reply.signature, signed)

    async def test_it_answers_pings_with_their_payload(self, server, start):
        start()
        peer = await server.peer()
        peer.transport.send_ping(b"are you there")
        async with asyncio.timeout(5):
            assert await peer.pongs.get() == b"are you there"

    async def test_it_renews_its_token_on_the_same_socket(self, server, start):
        start()
        peer = await server.peer()
        peer.send(TokenExpiring(NOW))
        assert (await peer.next(Auth)).token == "token-2"
        assert server.peers.empty()

    async def test_a_renewal_that_fails_is_tried_again(self, server, start):
        start()
        peer = await server.peer()
        server.answers[TOKEN] = [(503, {"code": "down", "detail": "Later."})]
        peer.send(TokenExpiring(NOW))
        assert (await peer.next(Auth)).token == "token-2"

    async def test_it_leaves_and_returns_when_told_without_asking_for_anything(self, server, start):
        start()
        peer = await server.peer()
        server.requests.clear()
        begun = asyncio.get_running_loop().time()
        peer.send(Reconnect(200))
        assert await peer.closed == 1000
        await server.peer()
        assert asyncio.get_running_loop().time() - begun >= 0.2
        assert server.requests == []
        assert server.handshakes[1]["Authorization"] == "Bearer token-1"

    async def test_what_it_does_not_know_does_not_disturb_it(self, server, start):
        start()
        peer = await server.peer()
        peer.transport.send(WSMsgType.BINARY, b"\x81\xa4type\xa9fireworks")
        peer.send(Pong(NOW))
        peer.send(Error("rate_limited", "Slowly."))
        assert (await peer.next(Beat)).errors == 1

    async def test_a_message_in_fragments_is_one_message(self, server, start):
        start()
        peer = await server.peer()
        data = msgpack_encode(Challenge(bytes(32), NOW))
        peer.transport.send(WSMsgType.BINARY, data[:10], fin=False)
        peer.transport.send(WSMsgType.CONTINUATION, data[10:20], fin=False)
        peer.transport.send_ping(b"between")
        peer.transport.send(WSMsgType.CONTINUATION, data[20:], fin=True)
        assert (await peer.next(ChallengeReply)).nonce == bytes(32)


class TestBadServers:
    @pytest.mark.parametrize(
        ("kind", "payload", "code"),
        [
            (WSMsgType.BINARY, b"\xc1", 1002),
            (WSMsgType.TEXT, b'{"type":"pong"}', 1003),
            (WSMsgType.BINARY, bytes(1024 * 1024 + 1), 1009),
        ],
    )
    async def test_frames_that_make_no_sense_end_the_connection_with_a_code(
        self, server, start, kind, payload, code
    ):
        start()
        peer = await server.peer()
        peer.transport.send(kind, payload)
        assert await peer.closed == code
        await server.peer()

    async def test_too_many_fragments_are_too_big(self, server, start):
        start()
        peer = await server.peer()
        chunk = bytes(600 * 1024)
        peer.transport.send(WSMsgType.BINARY, chunk, fin=False)
        peer.transport.send(WSMsgType.CONTINUATION, chunk, fin=False)
        assert await peer.closed == 1009

    async def test_a_connection_that_breaks_is_made_again(self, server, start):
        start()
        for _ in range(3):
            (await server.peer()).transport.disconnect(False)
        await (await server.peer()).next(Beat)

    async def test_a_silent_server_is_left(self, server, start):
        server.ping_interval = 0.05
        start()
        peer = await server.peer()
        assert await peer.closed == 1006
        await server.peer()

    async def test_pings_keep_a_quiet_connection_alive(self, server, start):
        server.ping_interval = 0.2
        agent = start()
        peer = await server.peer()
        for _ in range(8):
            peer.transport.send_ping(b"")
            async with asyncio.timeout(5):
                await peer.pongs.get()
            await peer.next(Beat)
            await peer.next(Beat)
        assert agent.online.is_set()
        assert server.peers.empty()

    async def test_an_api_that_fails_for_a_while_is_asked_again(self, server, start):
        server.answers["/api/v1/client"] = [
            (500, {"code": "internal_error", "detail": "Oops."}),
            (502, b"<html>bad gateway</html>"),
            (200, b"not json"),
            (429, {"code": "too_many_requests", "detail": "Slowly."}),
        ]
        start()
        await server.peer()
        assert server.paths().count("/api/v1/client") == 5

    async def test_a_wrong_clock_is_corrected_by_what_the_server_says(self, server, start):
        clock = ManualClock(server.clock.now() - timedelta(days=400))
        start(clock=clock)
        await server.peer()
        asked = [data["time_ms"] for path, _, data in server.requests if path == TOKEN]
        assert asked == [to_ms(clock.now()), to_ms(server.clock.now())]

    async def test_a_suspended_node_waits_and_asks_again(self, server, start, monkeypatch):
        monkeypatch.setattr("core.agent.api.SUSPENDED_WAIT", 0.0)
        server.answers[TOKEN] = [(403, {"code": "node_suspended", "detail": "This node is suspended."})] * 3
        start()
        await server.peer()
        assert server.paths().count(TOKEN) == 4

    async def test_a_suspended_node_waits_long_but_can_be_stopped(self, server, start):
        asked = asyncio.Event()

        async def suspended():
            asked.set()
            return 403, {"code": "node_suspended", "detail": "This node is suspended."}

        server.answers[TOKEN] = [suspended]
        agent = start()
        async with asyncio.timeout(5):
            await asked.wait()
        agent.stop()
        await finish(agent)
        assert server.paths().count(TOKEN) == 1

    async def test_a_handshake_that_is_refused_for_now_is_tried_again(self, server, start):
        server.refuse_handshake = [503, 500, 404]
        start()
        await server.peer()
        assert len(server.handshakes) == 4

    async def test_a_refused_token_is_replaced_in_the_handshake_and_later(self, server, start):
        server.refuse_handshake = [401]
        start()
        peer = await server.peer()
        await peer.next(Beat)
        peer.close(4501)
        await server.peer()
        used = [headers["Authorization"] for headers in server.handshakes]
        assert used == ["Bearer token-1", "Bearer token-2", "Bearer token-3"]


class TestTheEnd:
    async def test_a_token_refused_twice_in_a_row_ends_it(self, server, start):
        server.welcomes = False
        agent = start()
        (await server.peer()).close(4501)
        (await server.peer()).close(4503)
        with pytest.raises(AgentStopped, match=r"laptop.*fresh token"):
            await finish(agent)

    @pytest.mark.parametrize("code", [4502, 4504, 4505, 4506])
    async def test_a_final_code_ends_it_and_is_named(self, server, start, code):
        agent = start()
        (await server.peer()).close(code)
        with pytest.raises(AgentStopped, match=str(code)):
            await finish(agent)

    async def test_a_node_that_the_server_does_not_know_ends_it(self, server, start):
        server.answers[TOKEN] = [(401, {"code": "node_rejected", "detail": "There is no such node."})]
        with pytest.raises(AgentStopped, match="There is no such node"):
            await finish(start())

    async def test_a_forbidden_handshake_ends_it(self, server, start):
        server.refuse_handshake = [403]
        with pytest.raises(AgentStopped, match="403"):
            await finish(start())

    async def test_a_refused_enrolment_ends_it(self, server, start):
        server.answers["/api/v1/nodes"] = [
            (401, {"code": "token_expired", "detail": "The token has expired."})
        ]
        with pytest.raises(AgentStopped, match="The token has expired"):
            await finish(start())

    async def test_without_an_enrolment_token_a_new_node_says_what_is_missing(self, server, start):
        with pytest.raises(ConfigError, match="enrolment token"):
            await finish(start(credentials=False))

    async def test_an_identity_of_another_server_is_not_taken_there_unasked(self, server, start, tmp_path):
        agent = start()
        await server.peer()
        agent.stop()
        await finish(agent)
        path = tmp_path / "agent" / "laptop.json"
        document = json.loads(path.read_text())
        document["server"] = "https://elsewhere.example"
        path.write_text(json.dumps(document))
        with pytest.raises(ConfigError, match=r"elsewhere\.example"):
            await finish(start(credentials=False))
        start()
        await server.peer()
        assert json.loads(path.read_text())["node_id"] == document["node_id"]

    async def test_stopping_does_not_wait_for_a_server_that_hangs(self, server, start):
        asked, never = asyncio.Event(), asyncio.Event()

        async def hang():
            asked.set()
            await never.wait()
            return 200, {}

        server.answers["/api/v1/client"] = [hang]
        agent = start()
        async with asyncio.timeout(5):
            await asked.wait()
        agent.stop()
        await finish(agent, timeout=1.0)
        never.set()
