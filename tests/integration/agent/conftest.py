"""A Pulseboard that does as it is told: a small HTTP server and a small WebSocket server."""

import asyncio
import base64
import contextlib
import json
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from picows import (
    WSCloseCode,
    WSListener,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from core.agent import Agent
from core.agent.protocol import Reconnects
from core.clock import ManualClock, new_id, to_ms
from core.messages import (
    MSGPACK_SUBPROTOCOL,
    Limits,
    Welcome,
    enrol_bytes,
    msgpack_decode_client,
    msgpack_encode,
    token_bytes,
)

USER = new_id()


def enrol_token():
    claims = base64.urlsafe_b64encode(json.dumps({"sub": str(USER)}).encode()).decode().rstrip("=")
    return f"header.{claims}.signature"


class Peer(WSListener):
    """One WebSocket of an agent, seen from the server."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.session = new_id()
        self.messages = asyncio.Queue()
        self.pongs = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        self.close_code = 1006
        self.received_bytes = 0

    def on_ws_connected(self, transport):
        self.transport = transport
        self.server.peers.put_nowait(self)
        if self.server.welcomes:
            self.welcome()

    def welcome(self):
        now = datetime.now(UTC)
        expires = now + timedelta(minutes=10)
        limits = Limits(65536, 32)
        self.send(Welcome(self.session, "w1", now, self.server.ping_interval, expires, limits))

    def send(self, message):
        self.transport.send(WSMsgType.BINARY, msgpack_encode(message))

    def close(self, code):
        self.transport.send_close(WSCloseCode(code))
        self.transport.disconnect()

    def on_ws_frame(self, transport, frame):
        payload = frame.get_payload_as_bytes()
        self.received_bytes += len(payload) + 6 + (2 if len(payload) >= 126 else 0)
        if frame.msg_type == WSMsgType.BINARY:
            self.messages.put_nowait(msgpack_decode_client(payload))
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs.put_nowait(payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, _transport):
        if not self.closed.done():
            self.closed.set_result(self.close_code)

    async def next(self, kind, timeout=5.0):
        """The next message of this kind."""
        async with asyncio.timeout(timeout):
            while not isinstance(message := await self.messages.get(), kind):
                pass
        return message


class Server:
    """Both servers, what was asked of them and how they shall answer."""

    def __init__(self):
        self.peers = asyncio.Queue()
        self.requests = []
        self.answers = {}
        self.handshakes = []
        self.refuse_handshake = []
        self.welcomes = True
        self.ping_interval = 25.0
        self.beat_interval = 0.05
        self.nodes = {}
        self.tokens = 0
        self.clock = ManualClock(datetime.now(UTC))

    async def peer(self, timeout=5.0):
        """The next WebSocket that is opened."""
        async with asyncio.timeout(timeout):
            return await self.peers.get()

    def paths(self):
        return [path for path, _, _ in self.requests]

    # --- HTTP ---

    async def on_connection(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                _, path, _ = lines[0].split(" ")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                data = json.loads(body) if body else None
                self.requests.append((path, headers, data))
                status, answer = await self.answer(path, headers, data)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(content)}\r\n\r\n".encode()
                    + content
                )
                await writer.drain()
        writer.close()

    async def answer(self, path, headers, data):
        planned = self.answers.get(path)
        if planned:
            answer = planned.pop(0)
            return await answer() if callable(answer) else answer
        match path:
            case "/api/v1/client":
                return 200, {
                    "ws_url": None,
                    "ws_port": self.ws_port,
                    "beat_interval": self.beat_interval,
                    "version": "1",
                }
            case "/api/v1/auth/login":
                return 200, {"access_token": enrol_token(), "expires_at": "2030-01-01T00:00:00Z", "user": {}}
            case "/api/v1/nodes":
                return self.enrol(headers, data)
            case "/api/v1/nodes/token":
                return self.token(data)
        return 404, {"code": "not_found", "detail": "There is nothing here."}

    def enrol(self, headers, data):
        assert headers["authorization"] == f"Bearer {enrol_token()}"
        key = base64.b64decode(data["public_key"])
        _verify(key, data["signature"], enrol_bytes(USER, key))
        node_id = next((node for node, known in self.nodes.items() if known == key), str(new_id()))
        self.nodes[node_id] = key
        return 201, {"node_id": node_id, "name": data["name"]}

    def token(self, data):
        now = to_ms(self.clock.now())
        if abs(now - data["time_ms"]) > 120_000:
            return 401, {"code": "clock_skew", "detail": "Your clock is off.", "server_time": now}
        key = self.nodes.get(data["node_id"])
        if key is None:
            return 401, {"code": "node_rejected", "detail": "There is no such node."}
        _verify(key, data["signature"], token_bytes(UUID(data["node_id"]), data["time_ms"]))
        self.tokens += 1
        expires = self.clock.now() + timedelta(minutes=10)
        return 200, {"access_token": f"token-{self.tokens}", "expires_at": expires.isoformat()}

    # --- WebSocket ---

    def on_upgrade(self, request):
        self.handshakes.append(dict(request.headers))
        if self.refuse_handshake:
            response = WSUpgradeResponse.create_error_response(self.refuse_handshake.pop(0), b"no")
            return WSUpgradeResponseWithListener(response, None)
        response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": MSGPACK_SUBPROTOCOL})
        return WSUpgradeResponseWithListener(response, Peer(self))


class Soon(random.Random):
    """Never waits."""

    def uniform(self, a, b):
        return 0.0


def _verify(key, signature, message):
    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature), message)


@pytest.fixture
async def server():
    made = Server()
    http = await asyncio.start_server(made.on_connection, "127.0.0.1", 0)
    ws = await ws_create_server(made.on_upgrade, "127.0.0.1", 0, enable_auto_pong=False, use_aiofastnet=False)
    made.ws_port = ws.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{http.sockets[0].getsockname()[1]}"
    yield made
    for listener in (http, ws):
        listener.close()


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def start(server, http, tmp_path):
    """Starts agents that never wait between attempts, and ends them."""
    running = []

    def make(name="laptop", *, credentials=True, url=None, clock=None):
        async def token():
            return enrol_token()

        agent = Agent(
            url or server.url,
            tmp_path / "agent" / f"{name}.json",
            name=name,
            http=http,
            enrol_token=token if credentials else None,
            clock=clock or server.clock,
            reconnects=Reconnects(Soon()),
        )
        agent.task = asyncio.create_task(agent.run())
        running.append(agent)
        return agent

    yield make
    for agent in running:
        agent.task.cancel()
    await asyncio.gather(*(agent.task for agent in running), return_exceptions=True)
