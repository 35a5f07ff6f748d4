"""The connection to the server, and its errors in our own words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.errors import StartupError, StorageUnavailable
from storage.address import describe

# Connections of a process: enough for all blocking readers and the commands beside them.
MAX_CONNECTIONS = 64

# What may pass by itself: no connection, no answer, loading, no memory, a fail-over.
_PASSING = (
    OSError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn passing errors of redis-py within the block into ours; those that only a bug can cause stay.

    Raises:
        StorageUnavailable: the server cannot do it now.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        yield
    except _PASSING as error:
        raise StorageUnavailable(f"Redis does not answer: {error}") from error
    except exceptions.ResponseError as error:
        # The server cannot write to its disk and takes no more changes; it has no class of its own.
        if str(error).startswith("MISCONF"):
            raise StorageUnavailable(f"Redis takes no changes: {error}") from error
        raise
    finally:
        # redis-py sends within `asyncio.wait_for`, which loses a cancellation at times before
        # Python 3.12 (python/cpython#86296): the task would go on for ever.
        if task and task.cancelling() > cancelled:
            raise asyncio.CancelledError


async def call(client: Redis, *command: Any) -> Any:
    """Send one command and return its answer.

    Raises:
        StorageUnavailable: the server cannot do it now.
    """
    with storage_errors():
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


async def connect(url: str, timeout: float) -> Redis:
    """A client for `url`, known to work; `timeout` seconds bound connecting and every command.

    Nothing is sent twice by itself: after a lost connection nobody knows whether a command was done.
    Close it with ``aclose()``.

    Raises:
        StartupError: saying what is wrong with the address, the server or the password.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError:
        # The driver may quote the address, hence no cause.
        raise StartupError("redis.url: is not a valid Redis address") from None
    client = Redis.from_pool(pool)
    try:
        await client.ping()
    except (OSError, exceptions.RedisError) as error:
        await client.aclose()
        raise StartupError(f"Redis at {describe(url)}: {error}") from error
    return client
