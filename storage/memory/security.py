"""Second factors, the audit log, and answers kept for repeated requests."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from storage.base import AuditEvent, KeptAnswer, SecondFactor
from storage.memory.database import MemoryDatabase, require_storable


class MemorySecondFactors:
    """`SecondFactorStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def get(self, user_id: UUID) -> SecondFactor | None:
        return self._db.factors.get(user_id)

    async def offer(self, factor: SecondFactor) -> bool:
        self._db.require_user(factor.user_id)
        if self._confirmed(factor.user_id):
            return False
        self._db.factors[factor.user_id] = SecondFactor(
            user_id=factor.user_id, secret=factor.secret, created_at=factor.created_at
        )
        return True

    async def confirm(self, user_id: UUID, step: int, recovery: Sequence[bytes], now: datetime) -> bool:
        factor = self._db.factors.get(user_id)
        if factor is None or factor.confirmed_at is not None:
            return False
        self._db.factors[user_id] = replace(
            factor, confirmed_at=now, last_step=step, recovery=tuple(recovery)
        )
        return True

    async def use_step(self, user_id: UUID, step: int) -> bool:
        factor = self._confirmed(user_id)
        if factor is None or step <= factor.last_step:
            return False
        self._db.factors[user_id] = replace(factor, last_step=step)
        return True

    async def use_recovery(self, user_id: UUID, code_hash: bytes) -> bool:
        factor = self._confirmed(user_id)
        if factor is None or code_hash not in factor.recovery:
            return False
        left = tuple(code for code in factor.recovery if code != code_hash)
        self._db.factors[user_id] = replace(factor, recovery=left)
        return True

    async def set_recovery(self, user_id: UUID, recovery: Sequence[bytes]) -> bool:
        factor = self._confirmed(user_id)
        if factor is None:
            return False
        self._db.factors[user_id] = replace(factor, recovery=tuple(recovery))
        return True

    async def remove(self, user_id: UUID) -> bool:
        return self._db.factors.pop(user_id, None) is not None

    def _confirmed(self, user_id: UUID) -> SecondFactor | None:
        factor = self._db.factors.get(user_id)
        return factor if factor and factor.confirmed_at else None


class MemoryAuditLog:
    """`AuditLog` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def append(self, event: AuditEvent) -> None:
        require_storable(event)
        # Processes write at the same time, so that an older id may come later.
        index = bisect_left(self._db.events, event.event_id, key=lambda event: event.event_id)
        self._db.events.insert(index, event)

    async def read(
        self, *, user_id: UUID | None, kind: str | None, before: UUID | None, limit: int
    ) -> list[AuditEvent]:
        require_storable(kind)
        found: list[AuditEvent] = []
        for event in reversed(self._db.events):
            if len(found) == limit:
                break
            if (
                (before is None or event.event_id < before)
                and (user_id is None or event.user_id == user_id)
                and (kind is None or event.kind == kind or (kind[-1:] == "." and event.kind.startswith(kind)))
            ):
                found.append(event)
        return found

    async def prune(self, before: datetime) -> int:
        kept = [event for event in self._db.events if event.at >= before]
        removed = len(self._db.events) - len(kept)
        self._db.events = kept
        return removed


class MemoryIdempotency:
    """`IdempotencyStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def begin(
        self, user_id: UUID, key: str, fingerprint: bytes, now: datetime, stale: datetime
    ) -> KeptAnswer | None:
        require_storable(key)
        self._db.require_user(user_id)
        kept = self._db.answers.get((user_id, key))
        if kept and (kept.status or kept.created_at >= stale):
            return kept
        self._db.answers[user_id, key] = KeptAnswer(
            fingerprint=fingerprint, status=0, body=b"", created_at=now
        )
        return None

    async def finish(self, user_id: UUID, key: str, status: int, body: bytes) -> None:
        kept = self._db.answers.get((user_id, key))
        if kept and not kept.status:
            self._db.answers[user_id, key] = replace(kept, status=status, body=body)

    async def abandon(self, user_id: UUID, key: str) -> None:
        kept = self._db.answers.get((user_id, key))
        if kept and not kept.status:
            del self._db.answers[user_id, key]

    async def prune(self, before: datetime) -> int:
        old = [key for key, kept in self._db.answers.items() if kept.created_at < before]
        for key in old:
            del self._db.answers[key]
        return len(old)
