"""Second factors, the audit log, and answers kept for repeated requests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from storage.base import AuditEvent, KeptAnswer, SecondFactor
from storage.postgres.pool import Pool
from storage.postgres.queries import load, prefix_range

_FACTORS = load("second_factors")
_AUDIT = load("audit")
_IDEMPOTENCY = load("idempotency")
_GREATEST_ID = UUID(int=(1 << 128) - 1)


class PostgresSecondFactors:
    """`SecondFactorStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, user_id: UUID) -> SecondFactor | None:
        row = await self._pool.fetchrow(_FACTORS["get"], user_id)
        return row and SecondFactor(**{**row, "recovery": tuple(row["recovery"])})

    async def offer(self, factor: SecondFactor) -> bool:
        return await self._done("offer", factor.user_id, factor.secret, factor.created_at)

    async def confirm(self, user_id: UUID, step: int, recovery: Sequence[bytes], now: datetime) -> bool:
        return await self._done("confirm", user_id, step, recovery, now)

    async def use_step(self, user_id: UUID, step: int) -> bool:
        return await self._done("use_step", user_id, step)

    async def use_recovery(self, user_id: UUID, code_hash: bytes) -> bool:
        return await self._done("use_recovery", user_id, code_hash)

    async def set_recovery(self, user_id: UUID, recovery: Sequence[bytes]) -> bool:
        return await self._done("set_recovery", user_id, recovery)

    async def remove(self, user_id: UUID) -> bool:
        return await self._done("remove", user_id)

    async def _done(self, statement: str, *args: Any) -> bool:
        return await self._pool.fetchrow(_FACTORS[statement], *args) is not None


class PostgresAuditLog:
    """`AuditLog` on PostgreSQL. A trigger of the schema refuses every change."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def append(self, event: AuditEvent) -> None:
        await self._pool.fetchrow(
            _AUDIT["append"],
            event.event_id,
            event.at,
            event.kind,
            event.user_id,
            event.actor_id,
            event.address,
            event.request_id,
            msgspec.json.encode(event.facts).decode(),
        )

    async def read(
        self, *, user_id: UUID | None, kind: str | None, before: UUID | None, limit: int
    ) -> list[AuditEvent]:
        statement, args = "read", [before or _GREATEST_ID, limit]
        if user_id is not None:
            statement += "_user"
            args.append(user_id)
        if kind is not None:
            statement += "_kind"
            args.extend(prefix_range(kind) if kind.endswith(".") else (kind, kind))
        rows = await self._pool.fetch(_AUDIT[statement], *args)
        return [AuditEvent(**{**row, "facts": msgspec.json.decode(row["facts"])}) for row in rows]

    async def prune(self, before: datetime) -> int:
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(_AUDIT["prune"], before))


class PostgresIdempotency:
    """`IdempotencyStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(
        self, user_id: UUID, key: str, fingerprint: bytes, now: datetime, stale: datetime
    ) -> KeptAnswer | None:
        async with self._pool.connection() as connection:
            while True:
                claim = user_id, key, fingerprint, now, stale
                if await connection.fetchrow(_IDEMPOTENCY["claim"], *claim):
                    return None
                row = await connection.fetchrow(_IDEMPOTENCY["kept"], user_id, key)
                # It may have been given up in between: then it is free again.
                if row:
                    return KeptAnswer(**row)

    async def finish(self, user_id: UUID, key: str, status: int, body: bytes) -> None:
        await self._pool.fetchrow(_IDEMPOTENCY["finish"], user_id, key, status, body)

    async def abandon(self, user_id: UUID, key: str) -> None:
        await self._pool.fetchrow(_IDEMPOTENCY["abandon"], user_id, key)

    async def prune(self, before: datetime) -> int:
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(_IDEMPOTENCY["prune"], before))
