"""Password hashes: Argon2id (RFC 9106), computed in threads, never on the event loop."""

import asyncio
import base64
import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from core.errors import TooManyRequests
from core.metrics import Metrics

T = TypeVar("T")

HASH_BYTES = 32
SALT_BYTES = 16
# A queue this long already takes seconds to work off; who comes later is better told so.
WAITING_PER_THREAD = 32
# The least priority there is: 1/68 of the share of a thread that has not stepped back.
NICE = 19


class Passwords:
    """Hashes and verifies passwords with a bounded number of threads and of callers that wait.

    The time of a call is the hash's, plus the wait for a free thread.
    """

    def __init__(self, memory_kib: int, passes: int, threads: int) -> None:
        """`memory_kib` and `passes` are the cost of one hash, `threads` how many run at once."""
        self._hasher = PasswordHasher(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=1,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_step_back)
        self._limit = threads * (1 + WAITING_PER_THREAD)
        self._pending = 0
        # Costs as much as a real hash and matches no password, for addresses that do not exist.
        self._nobody = (
            f"$argon2id$v=19$m={memory_kib},t={passes},p=1${_random(SALT_BYTES)}${_random(HASH_BYTES)}"
        )

    async def hash(self, password: str) -> str:
        """The hash of `password` with a fresh salt, in PHC string format.

        Raises:
            TooManyRequests: "busy", when too many calls wait already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether `password` belongs to `password_hash`.

        None, for an account that does not exist, takes as long and is false.

        Raises:
            TooManyRequests: "busy", when too many calls wait already.
        """
        return await self._run(lambda: self._matches(password_hash or self._nobody, password))

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def metrics(self) -> Metrics:
        """How many calls are being computed or wait."""
        return {"passwords_pending": self._pending}

    def close(self) -> None:
        """Finish what is being computed and drop what waits; no calls afterwards."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerificationError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._limit:
            raise TooManyRequests("busy", "Too many people sign in at this moment.", retry_after=1)
        self._pending += 1
        try:
            return await asyncio.wrap_future(self._pool.submit(work))
        finally:
            self._pending -= 1


def _step_back() -> None:
    """Let the event loop's thread have the processor whenever it wants it.

    On Linux niceness is a thread's own (sched(7)); elsewhere it would be the process's.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _random(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
