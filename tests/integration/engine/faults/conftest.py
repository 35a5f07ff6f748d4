"""Worker processes of their own, to be attacked and stopped."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from support.servers import Databases
from support.workers import WorkerProcess

Start = Callable[..., Awaitable[WorkerProcess]]


@pytest.fixture(scope="module")
async def start_worker(databases: Databases, redis_url: str) -> AsyncIterator[Start]:
    """Starts worker processes, `**{"ws.ping_interval": 1.0}` being their settings."""
    dsn = await databases.create()
    started: list[WorkerProcess] = []

    async def start(*, echo: bool = False, **settings: float) -> WorkerProcess:
        environ = {
            "PULSEBOARD_DATABASE_DSN": dsn,
            "PULSEBOARD_REDIS_URL": redis_url,
            "PULSEBOARD_REDIS_PREFIX": f"test-{uuid4().hex}",
            **{f"PULSEBOARD_{key.replace('.', '_').upper()}": str(value) for key, value in settings.items()},
        }
        started.append(await WorkerProcess.start(environ, echo=echo))
        return started[-1]

    yield start
    codes = [await worker.stop() for worker in started]
    await databases.drop(dsn)
    assert codes == [0] * len(started), [worker.command.lines for worker in started]
