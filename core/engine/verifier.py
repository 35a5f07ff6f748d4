"""Verifies signatures beside the event loop, in batches."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ext.signatures import verify

# A batch takes the thread some tens of milliseconds at most.
MAX_BATCH = 256
# Seconds for others to come before the first batch leaves: handing one over costs as much as verifying it.
GATHERING = 0.005

# RFC 8032 §5.1: what a coordinate is reduced by; the coordinates of the points of small order.
P = 2**255 - 19
_EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = (0, 1, P - 1, _EIGHTH, P - _EIGHTH)

T = TypeVar("T")


def is_good(key: bytes, signed: bytes) -> bool:
    """Whether `signed`, a signature of 64 bytes and a message, is by the owner of `key`.

    As strict as `cryptography`, which judges signatures everywhere else.
    """
    return verify([(key, signed)])[0] or _is_good_after_all(key, signed)


def are_good(claims: list[tuple[bytes, bytes]]) -> list[bool]:
    """The same for many (key, signed)."""
    verdicts = verify(claims)
    for index, good in enumerate(verdicts):
        if not good:
            verdicts[index] = _is_good_after_all(*claims[index])
    return verdicts


def _is_good_after_all(key: bytes, signed: bytes) -> bool:
    """libsodium refuses points of an odd form that OpenSSL lets pass: those get a second look."""
    if not (_is_odd(key) or _is_odd(signed[:32])):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signed[:64], signed[64:])
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_odd(point: bytes) -> bool:
    """Whether an encoded point is of small order, or not in canonical form."""
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    return y >= P or y in SMALL_ORDER


class Verifier(Generic[T]):
    """Has signatures verified on a thread of its own and tells `judged` on the event loop.

    Belongs to one event loop. What waits is not bounded here: callers hand in one at a time for each of
    their connections. What waits at `close` is not judged any more.
    """

    def __init__(self, judged: Callable[[T, bool], None]) -> None:
        self._judged = judged
        self._waiting: deque[tuple[T, tuple[bytes, bytes]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verifier")
        self._busy = False

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def put(self, item: T, key: bytes, signed: bytes) -> None:
        """Have `signed`, a signature and what it is over, judged as `item`."""
        self._waiting.append((item, (key, signed)))
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_later(GATHERING, self._next)

    def close(self) -> None:
        """End the thread; waits for the batch it is at."""
        self._waiting.clear()
        self._thread.shutdown()

    def _next(self) -> None:
        if not self._waiting:
            self._busy = False
            return
        size = min(len(self._waiting), MAX_BATCH)
        batch = [self._waiting.popleft() for _ in range(size)]
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, are_good, [claim for _, claim in batch])
        work.add_done_callback(lambda done: self._finished([item for item, _ in batch], done))

    def _finished(self, items: list[T], work: asyncio.Future[list[bool]]) -> None:
        self._next()
        if not work.cancelled():
            for item, good in zip(items, work.result(), strict=True):
                self._judged(item, good)
