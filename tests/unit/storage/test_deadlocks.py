"""Transactions that the server gives up so that another one can go on."""

import asyncpg
import pytest

from core.errors import StorageUnavailable
from storage.postgres.errors import ATTEMPTS, storage_errors, undeadlocked


class Work:
    """Meets so many errors before it is done."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        with storage_errors():
            if self.errors:
                raise self.errors.pop(0)
        return "done"


async def test_what_was_given_up_for_another_one_is_done_again() -> None:
    work = Work(*(asyncpg.DeadlockDetectedError("deadlock detected") for _ in range(ATTEMPTS - 1)))
    assert await undeadlocked(work) == "done"
    assert work.calls == ATTEMPTS


async def test_what_is_given_up_again_and_again_is_told() -> None:
    work = Work(*(asyncpg.DeadlockDetectedError("deadlock detected") for _ in range(99)))
    with pytest.raises(StorageUnavailable):
        await undeadlocked(work)
    assert work.calls == ATTEMPTS


@pytest.mark.parametrize("error", [OSError("gone"), asyncpg.SerializationError("changed meanwhile")])
async def test_what_fails_for_another_reason_is_not_done_again(error: Exception) -> None:
    work = Work(error)
    with pytest.raises(StorageUnavailable):
        await undeadlocked(work)
    assert work.calls == 1
