"""A lock among the tasks of one process."""

import asyncio


class MemoryLock:
    """`Lock` in memory: those made from the same `mutex` exclude each other."""

    def __init__(self, mutex: asyncio.Lock) -> None:
        self._mutex = mutex
        self._held = False

    async def acquire(self) -> None:
        if not self._held:
            await self._mutex.acquire()
            self._held = True

    async def held(self) -> bool:
        return self._held

    async def release(self) -> None:
        if self._held:
            self._held = False
            self._mutex.release()
