"""Sessions and processes that end in the middle of a transaction.

As a program, with the address of a database: for every line of its input a child closes one epoch and is
killed when it has sent the statement of that number (the commit is the last); it prints "killed" or "closed".
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from storage.postgres import Pool, PostgresEpochs

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
Call = Callable[[], Awaitable[Any]]


class Counted:
    """A connection of which `at_last` makes the call of number `at`."""

    def __init__(self, connection: Any, at: int, at_last: Callable[[Call], Awaitable[Any]]) -> None:
        self._connection = connection
        self._left = at
        self._at_last = at_last

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def call(*args: Any) -> Any:
            return await self.run(lambda: method(*args))

        return call

    async def run(self, call: Call) -> Any:
        """Make a call, unless it is the one that `at_last` makes."""
        self._left -= 1
        return await (self._at_last(call) if self._left == 0 else call())


class Dangerous(Pool):
    """A pool of which each transaction's session ends before its statement of number `at`."""

    def __init__(self, pool: Pool, at: int) -> None:
        self.pool = pool
        self.at = at

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Any]:
        """As of the pool."""
        async with self.pool.transaction(timeout) as connection:

            async def end(call: Call) -> Any:
                await self.pool.fetch("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
                return await call()

            yield Counted(connection, self.at, end)


class Deadly(Pool):
    """A pool of which each transaction kills this process: its statement of number `at` was sent by then."""

    def __init__(self, dsn: str, at: int) -> None:
        self.dsn = dsn
        self.at = at

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Any]:
        """As of the pool, on a connection of its own."""
        connection = await asyncpg.connect(self.dsn, command_timeout=timeout)
        transaction = connection.transaction()
        await transaction.start()
        counted = Counted(connection, self.at, _die)
        yield counted
        await counted.run(transaction.commit)
        await connection.close()


async def _die(call: Call) -> None:
    sending = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)
    await sending


async def _close(dsn: str, statement: int) -> None:
    assert await PostgresEpochs(Deadly(dsn, statement)).close(FOREVER, FOREVER) is not None


def _main(dsn: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_close(dsn, int(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        outcomes = {0: "closed", -signal.SIGKILL: "killed"}
        print(outcomes.get(os.waitstatus_to_exitcode(status), f"failed: {status}"), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
