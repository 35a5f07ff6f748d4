"""Who is alive and who is connected where, within one process."""

from collections.abc import Callable, Sequence
from uuid import UUID

from core.clock import monotonic_ms
from storage.base import Process


class MemoryPresence:
    """`Presence` in memory. `now_ms` is a clock that never goes back, in milliseconds."""

    def __init__(self, now_ms: Callable[[], int] = monotonic_ms) -> None:
        self._now_ms = now_ms
        self._leases: dict[tuple[str, str], tuple[Process, int]] = {}
        self._holds: dict[UUID, dict[str, int]] = {}

    async def renew(self, process: Process, lease_ms: int) -> None:
        self._leases[process.kind, process.process_id] = process, self._now_ms() + lease_ms

    async def leave(self, kind: str, process_id: str) -> None:
        self._leases.pop((kind, process_id), None)

    async def processes(self) -> list[Process]:
        now = self._now_ms()
        for key in [key for key, (_, expiry) in self._leases.items() if expiry <= now]:
            del self._leases[key]
        return [process for _, (process, _) in sorted(self._leases.items(), key=lambda item: item[0])]

    async def hold(self, worker: str, users: Sequence[UUID], ttl_ms: int) -> None:
        expiry = self._now_ms() + ttl_ms
        for user_id in users:
            self._holds.setdefault(user_id, {})[worker] = expiry

    async def release(self, worker: str, user_id: UUID) -> None:
        holds = self._holds.get(user_id, {})
        holds.pop(worker, None)
        if not holds:
            self._holds.pop(user_id, None)

    async def holders(self, users: Sequence[UUID]) -> dict[UUID, list[str]]:
        now = self._now_ms()
        alive = {process.process_id for process in await self.processes() if process.kind == "worker"}
        found = {}
        for user_id in users:
            holds = self._holds.get(user_id, {})
            for worker in [worker for worker, expiry in holds.items() if expiry <= now]:
                del holds[worker]
            workers = sorted(alive.intersection(holds))
            if workers:
                found[user_id] = workers
        return found

    async def held(self, cursor: int) -> tuple[int, list[UUID]]:
        return 0, list(self._holds)
