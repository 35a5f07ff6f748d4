"""Two API processes and two workers over servers of their own."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.servers import Databases
from support.system import Command
from support.websocket import Socket
from support.workers import SECRET, WorkerProcess

from core.bootstrap import ensure_user
from core.config import load
from storage.embedded import EmbeddedValkey

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"


class SignedIn:
    """A session as a program holds it."""

    def __init__(self, api: httpx.AsyncClient, answer: Mapping[str, Any]) -> None:
        self.api = api
        self.token = str(answer["access_token"])
        self.refresh_token = str(answer["refresh_token"])

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask the API that it signed in at."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.api.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def connect(self, worker: WorkerProcess) -> Socket:
        """A WebSocket that was welcomed."""
        socket = await Socket.open(worker.port, token=self.token)
        await socket.receive("welcome")
        return socket


class Cluster:
    """The processes, and the Redis between them."""

    def __init__(self, redis: EmbeddedValkey, apis: list[Command], workers: list[WorkerProcess]) -> None:
        self.redis = redis
        self.workers = workers
        self.apis: list[httpx.AsyncClient] = []
        self._commands = apis

    @classmethod
    async def start(cls, dsn: str, redis: EmbeddedValkey) -> "Cluster":
        """Start everything and wait until it is ready."""
        environ = {
            "PULSEBOARD_DATABASE_DSN": dsn,
            "PULSEBOARD_REDIS_URL": await redis.start(),
            "PULSEBOARD_REDIS_TIMEOUT": "1.0",
            "PULSEBOARD_AUTH_SECRET": SECRET,
            "PULSEBOARD_AUTH_ARGON2_MEMORY": "8",
            "PULSEBOARD_AUTH_ARGON2_TIME": "1",
        }
        assert await ensure_user(load(environ=environ), EMAIL, PASSWORD, "Ada")
        cluster = cls(redis, [], [])
        try:
            await cluster._start_processes(environ)
        except BaseException:
            await cluster.stop()
            raise
        return cluster

    async def _start_processes(self, environ: dict[str, str]) -> None:
        for _ in range(2):
            self.workers.append(await WorkerProcess.start(environ))
            self._commands.append(await Command.start("api", "--port", "0", environ=environ))
        for command in self._commands:
            url = await command.printed(r'"url": ?"([^"]+)", ?"event": ?"listening"')
            self.apis.append(httpx.AsyncClient(base_url=url[1], timeout=10, trust_env=False))

    async def sign_in(self, api: int = 0) -> SignedIn:
        """A new session of the one person there is."""
        body = {"email": EMAIL, "password": PASSWORD}
        answer = await self.apis[api].post("/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        return SignedIn(self.apis[api], answer.json())

    async def stop(self) -> None:
        """End everything."""
        await Socket.leave_all()
        for client in self.apis:
            await client.aclose()
        codes = [await command.stop() for command in self._commands]
        codes += [await worker.stop() for worker in self.workers]
        await self.redis.stop()
        assert set(codes) <= {0}


@pytest.fixture(scope="module")
async def cluster(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    dsn = await databases.create()
    folder: Path = tmp_path_factory.mktemp("valkey")
    cluster = await Cluster.start(dsn, EmbeddedValkey(folder))
    yield cluster
    await cluster.stop()
    await databases.drop(dsn)
