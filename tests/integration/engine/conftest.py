"""A worker on a free port over memory adapters, with a clock that stands still."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House, public_bytes
from support.websocket import Socket

from core.clock import new_id
from core.config import load
from core.engine.worker import Worker
from core.messages import MSGPACK_SUBPROTOCOL
from services.events import Events
from services.revocations import Revocations
from storage.base import Node, Process, User
from storage.memory import MemoryPresence, MemoryStreams

QUICK = {
    "ws.port": 0,
    "ws.ping_interval": 60.0,
    "ws.pong_timeout": 5.0,
    "ws.drain_timeout": 0.5,
    "network.flush_interval": 0.001,
    "network.report_interval": 0.01,
    "network.challenge_interval": 3600.0,
    "http.port": 18080,
}


class Engine:
    """A worker and what it works with."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.house = House()
        self.streams = MemoryStreams()
        self.presence = MemoryPresence()
        self.events = Events(self.streams, self.presence, 1000)
        self.config = load(environ={}, flags={**QUICK, **settings})
        self.workers: list[Worker] = []

    async def start(self) -> Worker:
        """One more worker."""
        worker = Worker(
            self.config,
            tokens=self.house.tokens,
            revocations=Revocations(
                self.house.stores.sessions, self.house.stores.nodes, self.house.clock, 3600
            ),
            earnings=self.house.earnings,
            networks=self.house.networks,
            streams=self.streams,
            presence=self.presence,
            clock=self.house.clock,
            worker_id=f"worker-{len(self.workers) + 1}",
        )
        await worker.start()
        lease = Process(kind="worker", process_id=worker.worker_id, admin_url="", metrics={})
        await self.presence.renew(lease, 600_000)
        self.workers.append(worker)
        return worker

    @property
    def worker(self) -> Worker:
        """The first worker."""
        return self.workers[0]

    @property
    def port(self) -> int:
        """Its port."""
        return self.worker.port

    async def stop(self) -> None:
        """Stop everything."""
        for worker in self.workers:
            await worker.stop()
        self.house.close()

    def user_token(self, user: User) -> str:
        """An access token of a person."""
        return self.house.tokens.for_user(user.user_id, new_id(), user.role)[0]

    async def person(self) -> tuple[User, str]:
        """A new account and its token."""
        user = await self.house.person(f"{new_id().hex}@example.com")
        return user, self.user_token(user)

    async def node(self, owner: User) -> tuple[Node, Ed25519PrivateKey, str]:
        """A new node, its key and its token."""
        key = Ed25519PrivateKey.generate()
        node = await self.house.node(owner, key)
        token, _ = self.house.tokens.for_node(node.node_id, owner.user_id, public_bytes(key))
        return node, key, token

    async def join(self, **request: Any) -> tuple[Socket, dict[str, Any]]:
        """A connection that was welcomed, with the welcome."""
        socket = await Socket.open(self.port, **request)
        assert socket.status == 101, socket.body
        return socket, await socket.receive("welcome")

    async def join_node(self, owner: User) -> tuple[Socket, Node, Ed25519PrivateKey, UUID]:
        """A node's connection, with its session."""
        node, key, token = await self.node(owner)
        socket, welcome = await self.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
        return socket, node, key, UUID(welcome["session"])

    def advance(self, **delta: float) -> None:
        """Move the wall clock."""
        self.house.clock.advance(timedelta(**delta))

    def metric(self, name: str) -> int | float | str:
        """A metric of the first worker, 0 while nothing was counted."""
        return self.worker.metrics().get(name, 0)


@pytest.fixture
async def make_engine() -> AsyncIterator[Callable[..., Any]]:
    """Engines with settings of the test's own, `**{"section.key": value}`."""
    engines: list[Engine] = []

    async def make(**settings: Any) -> Engine:
        engine = Engine(settings)
        engines.append(engine)
        await engine.start()
        return engine

    yield make
    await Socket.leave_all()
    for engine in engines:
        await engine.stop()


@pytest.fixture
async def engine(make_engine: Callable[..., Any]) -> Engine:
    """An engine with the usual settings."""
    made: Engine = await make_engine()
    return made


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[..., Any]]:
    """The engine runs on uvloop, here as in production."""
    return {"uvloop": uvloop.new_event_loop}
