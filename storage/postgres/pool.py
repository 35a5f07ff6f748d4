"""The connections of a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from storage.postgres.errors import startup_errors, storage_errors

APPLICATION_NAME = "pulseboard"

# Connections of a process for what takes long, so that it can never take all of the others.
LONG_SIZE = 4


class Pool:
    """Connections to one database, opened as needed and opened again after a loss.

    `connect_timeout` bounds, in seconds, the wait for a connection; each statement has the bound
    that the asyncpg pool `usual` was made with, none has one in the pool `long`. May be shared by all
    tasks of the event loop it was made in.
    """

    def __init__(self, usual: Any, long: Any, connect_timeout: float) -> None:
        self._pool = usual
        self._long = long
        self._connect_timeout = connect_timeout

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Any]:
        """A connection for the block.

        With `timeout`, in seconds, it is one of a few others, meant for what takes long: that bounds the
        whole block then, and no statement has a bound of its own.

        Raises:
            StorageUnavailable: there is none in time, or it fails within the block.
        """
        pool = self._pool if timeout is None else self._long
        with storage_errors():
            async with (
                asyncio.timeout(timeout),
                pool.acquire(timeout=self._connect_timeout) as connection,
            ):
                yield connection

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Any]:
        """A connection with a transaction around the block, undone if the block raises.

        `timeout` as for `connection`.
        """
        async with self.connection(timeout) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self, timeout: float | None = None) -> AsyncIterator["Pool"]:
        """Everything as it is at this moment, whoever writes within the block. Takes one question at a time.

        `timeout` as for `connection`; nothing can be changed through it.
        """
        async with (
            self.connection(timeout) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield _Snapshot(connection)

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """All rows of one statement."""
        async with self.connection() as connection:
            rows: list[Any] = await connection.fetch(query, *args)
            return rows

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row of one statement, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def ping(self) -> None:
        """Raise `StorageUnavailable` unless the server answers."""
        await self.fetchrow("SELECT 1")

    async def close(self, timeout: float = 5.0) -> None:
        """Close all connections; those still busy after `timeout` seconds are cut."""
        for pool in (self._pool, self._long):
            try:
                async with asyncio.timeout(timeout):
                    await pool.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pool.terminate()


class _Snapshot(Pool):
    """One connection, for whoever takes a pool."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Any]:
        # Its time is bounded by whoever opened it.
        del timeout
        yield self._connection

    @asynccontextmanager
    async def snapshot(self, timeout: float | None = None) -> AsyncIterator[Pool]:
        # It is of one moment already.
        del timeout
        yield self

    async def close(self, timeout: float = 5.0) -> None:
        """Nothing: the connection goes back to where it is from."""


async def connect(
    dsn: str, *, size: int = 8, connect_timeout: float = 10.0, statement_timeout: float = 30.0
) -> Pool:
    """Open a pool of at most `size` connections to `dsn`; one is opened at once. Times are in seconds.

    A few further connections, for what takes long, are opened when they are needed.

    Raises:
        StartupError: saying what is wrong with the address, the server or the rights.
    """

    async def create(size: int, statement_timeout: float | None) -> Any:
        return await asyncpg.create_pool(
            dsn,
            # None is kept open for its own sake: asyncpg would log a traceback for each vain attempt.
            min_size=0,
            max_size=size,
            timeout=connect_timeout,
            command_timeout=statement_timeout,
            reset=_nothing_to_reset,
            server_settings={"application_name": APPLICATION_NAME},
        )

    with startup_errors(dsn):
        usual = await create(size, statement_timeout)
        try:
            await usual.fetchval("SELECT 1")
            long = await create(LONG_SIZE, None)
        except BaseException:
            usual.terminate()
            raise
    return Pool(usual, long, connect_timeout)


async def hang_up(connection: Any, timeout: float) -> None:
    """Close a connection of one's own politely, or cut it after `timeout` seconds. Never raises."""
    try:
        await connection.close(timeout=timeout)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


async def _nothing_to_reset(connection: Any) -> None:
    """We leave no state in a connection, so the default's extra round trip per use is saved."""
