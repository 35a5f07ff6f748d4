"""A lock that one process of all holds."""

import asyncio
import hashlib
from typing import Any

import asyncpg

from core.errors import StorageUnavailable
from storage.postgres.errors import storage_errors
from storage.postgres.pool import APPLICATION_NAME, hang_up
from storage.postgres.queries import load

_SQL = load("lock")


class PostgresLock:
    """`Lock` as a session-level advisory lock on a connection of its own.

    Locks of one `name` exclude each other. The connection must be direct, not through a transaction
    pooler. Nobody waits inside PostgreSQL, where an open statement would hold back vacuum: whoever
    waits asks again every `interval` seconds. `timeout`, in seconds, bounds connecting and each
    question; a holder that gets no answer in that time counts the lock as lost.
    """

    def __init__(self, dsn: str, name: str, *, timeout: float = 5.0, interval: float = 0.5) -> None:
        self._dsn = dsn
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._timeout = timeout
        self._interval = interval
        self._connection: Any = None
        self._held = False
        self._asking = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until this process is the holder.

        Raises:
            StorageUnavailable: the server cannot be asked; call again.
        """
        if await self.held():
            return
        try:
            with storage_errors():
                connection = await self._connected()
                while not self._held:
                    self._held = await connection.fetchval(_SQL["try_acquire"], self._key)
                    if not self._held:
                        await asyncio.sleep(self._interval)
        except BaseException:
            self._drop()
            raise

    async def held(self) -> bool:
        """Whether this process still is the holder: asks the server."""
        async with self._asking:
            if self._held:
                try:
                    with storage_errors():
                        await self._connection.fetchval(_SQL["alive"])
                except StorageUnavailable:
                    self._drop()
            return self._held

    async def release(self) -> None:
        """Let the next one in; closes the connection."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            await hang_up(connection, self._timeout)

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=self._timeout,
                command_timeout=self._timeout,
                server_settings={"application_name": APPLICATION_NAME},
            )
        return self._connection

    def _drop(self) -> None:
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            connection.terminate()
