"""The stores and the jobs process that benches of monitoring use, each in a folder of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from msgspec import Struct

from bench.api import answering, free_port, stopped
from core.bootstrap import migrate
from core.config import Config, load
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

# Seconds that a statement of a bench may take.
PATIENCE = 3600


class Stores(Struct, frozen=True):
    """Servers with the schema: their configuration, as settings too, and a connection."""

    config: Config
    environ: dict[str, str]
    connection: Any


@asynccontextmanager
async def open_stores(folder: Path, further: Mapping[str, str] | None = None) -> AsyncIterator[Stores]:
    """PostgreSQL and Valkey as `pulseboard up` starts them, with `further` settings, until the block ends."""
    async with AsyncExitStack() as stack:
        postgres, valkey = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
        settings = {"PULSEBOARD_DATABASE_DSN": await postgres.start()}
        stack.push_async_callback(postgres.stop)
        settings["PULSEBOARD_REDIS_URL"] = await valkey.start()
        stack.push_async_callback(valkey.stop)
        settings |= {
            "PULSEBOARD_AUTH_SECRET": "Nq7vK2xR9mT4wZ8pL3sY6bH1cJ5gD0fA",
            "PULSEBOARD_NETWORK_REPORT_INTERVAL": "60",
            # What is measured apart.
            "PULSEBOARD_NETWORK_SCORE_INTERVAL": "86400",
            "PULSEBOARD_NETWORK_RULES_INTERVAL": "86400",
            **(further or {}),
        }
        config = load(environ=settings)
        await migrate(config)
        connection = await asyncpg.connect(config.database.dsn, command_timeout=PATIENCE)
        stack.push_async_callback(connection.close)
        yield Stores(config, settings, connection)


class Jobs:
    """A jobs process and what it counts."""

    def __init__(self, pid: int, client: httpx.AsyncClient, url: str) -> None:
        self.pid = pid
        self._client = client
        self._url = url

    async def metrics(self) -> dict[str, Any]:
        """Its metrics now."""
        found: dict[str, Any] = (await self._client.get(f"{self._url}/metrics.json")).json()
        return found


@asynccontextmanager
async def open_jobs(stores: Stores, folder: Path) -> AsyncIterator[Jobs]:
    """The jobs process, until the block ends.

    Raises:
        BenchError: it does not come up.
    """
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "jobs.log").open("wb"))
        port = free_port()
        environ = {**os.environ, **stores.environ, "PULSEBOARD_ADMIN_PORT": str(port)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "core.cli", "jobs", env=environ, stderr=log
        )
        stack.push_async_callback(stopped, process)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        url = f"http://127.0.0.1:{port}"
        await answering(f"{url}/healthz")
        yield Jobs(process.pid, client, url)


@asynccontextmanager
async def open_api(stores: Stores, folder: Path) -> AsyncIterator[int]:
    """The API as it is run in production, until the block ends; yields its port.

    Raises:
        BenchError: it does not come up.
    """
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "api.log").open("wb"))
        port = free_port()
        environ = {
            **os.environ,
            **stores.environ,
            "PULSEBOARD_HTTP_PORT": str(port),
            # The load is far above what one caller may send; it is counted all the same.
            "PULSEBOARD_HTTP_RATE": "1000000",
            "PULSEBOARD_HTTP_BURST": "1000000",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "core.cli", "api", env=environ, stderr=log
        )
        stack.push_async_callback(stopped, process)
        await answering(f"http://127.0.0.1:{port}/readyz")
        yield port
