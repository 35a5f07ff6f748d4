"""The real servers that tests run against, one of each for the whole run."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from storage.postgres import migrate

# Nothing that a test writes has to survive the machine.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Databases:
    """Makes databases with the current schema in no time, from a template migrated once."""

    TEMPLATE = "pulseboard_template"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._admin: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Make the template."""
        self._admin = await asyncpg.connect(self._dsn)
        await self._admin.execute(f"CREATE DATABASE {self.TEMPLATE}")
        await migrate(self._named(self.TEMPLATE))

    async def close(self) -> None:
        """Leave the server."""
        if self._admin:
            with suppress(OSError, asyncpg.PostgresError):
                await self._admin.close(timeout=5)

    async def create(self, template: str = TEMPLATE) -> str:
        """A fresh database; `template` "template1" makes an empty one. Returns its address."""
        name = f"test_{uuid4().hex}"
        await self._do(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        return self._named(name)

    async def drop(self, dsn: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = urlsplit(dsn).path[1:]
        # WITH (FORCE) is refused when autovacuum is at work there; without it the server ends that by itself.
        await self._do(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await self._do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND backend_type = 'client backend'"
        )
        await self._do(f"DROP DATABASE {name}")

    async def _do(self, statement: str) -> None:
        async with self._turn:
            assert self._admin is not None
            await self._admin.execute(statement)

    def _named(self, name: str) -> str:
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()
