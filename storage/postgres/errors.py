"""The driver's errors in our own words, in this one place."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import asyncpg

from core.errors import InvalidInput, NotFound, StartupError, StorageUnavailable
from storage.address import describe

T = TypeVar("T")

# How often something is tried that others get in the way of.
ATTEMPTS = 5

# What may pass by itself: no connection, no answer, no room, a fail-over, a lost race.
_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    # "Another operation is in progress": the server's farewell met the beginning of a call.
    asyncpg.InternalClientError,
)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn errors of asyncpg within the block into ours; those that only a bug can cause pass as they are.

    Raises:
        StorageUnavailable: PostgreSQL cannot do it now.
        NotFound: the record would belong to a user who does not exist.
        InvalidInput: a text holds what PostgreSQL cannot store.
    """
    try:
        yield
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("user_unknown", "There is no such user.") from error
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise InvalidInput("text_invalid", "A text holds a character that cannot be stored.") from error
    except asyncpg.DataError:
        # An InterfaceError too, but about our arguments.
        raise
    except _PASSING as error:
        raise StorageUnavailable(f"PostgreSQL does not answer: {reason(error)}") from error


async def undeadlocked(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work`, a transaction, again when the server gave it up so that another one could go on.

    Raises:
        StorageUnavailable: too often; or what `work` raises of its own.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await work()
        except StorageUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                raise
    return await work()


@contextmanager
def startup_errors(dsn: str) -> Iterator[None]:
    """Turn what goes wrong while connecting to `dsn` into a `StartupError` without its password."""
    try:
        yield
    except (ValueError, OverflowError, asyncpg.ClientConfigurationError):
        # The driver quotes parts of the address, hence no cause.
        raise StartupError("database.dsn: is not a valid PostgreSQL address") from None
    except asyncpg.InvalidCatalogNameError as error:
        raise StartupError(f"PostgreSQL at {describe(dsn)}: no such database") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StartupError(f"PostgreSQL at {describe(dsn)}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).strip() or type(error).__name__
