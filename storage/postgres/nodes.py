"""Nodes, who owns them, and how each does."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from core.clock import to_ms
from core.errors import CloseCode
from storage.base import Node, NodeLive, Status
from storage.postgres.pool import Pool
from storage.postgres.queries import load

_SQL = load("nodes")
_UPTIME = load("uptime")


class PostgresNodes:
    """`NodeStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def enrol(self, node: Node) -> Node | None:
        async with self._pool.connection() as connection:
            added = await connection.fetchrow(
                _SQL["enrol"], node.user_id, node.node_id, node.public_key, node.name, node.created_at
            )
            if added:
                return node
            row = await connection.fetchrow(_SQL["by_key"], node.public_key)
        return Node(**row) if row and row["user_id"] == node.user_id else None

    async def by_id(self, node_id: UUID) -> Node | None:
        row = await self._pool.fetchrow(_SQL["by_id"], node_id)
        return row and Node(**row)

    async def of_user(
        self, user_id: UUID, after: UUID | None, limit: int, status: Status | None = None
    ) -> list[Node]:
        if status is None:
            rows = await self._pool.fetch(_SQL["of_user"], user_id, after, limit)
        else:
            rows = await self._pool.fetch(_SQL["of_user_in_status"], user_id, after, limit, status)
        return [Node(**row) for row in rows]

    async def live(self, node_ids: Sequence[UUID]) -> dict[UUID, NodeLive]:
        rows = await self._pool.fetch(_SQL["live"], list(node_ids))
        return {row["node_id"]: NodeLive(**row) for row in rows}

    async def rename(self, user_id: UUID, node_id: UUID, name: str) -> Node | None:
        row = await self._pool.fetchrow(_SQL["rename"], user_id, node_id, name)
        return row and Node(**row)

    async def retire(self, user_id: UUID, node_id: UUID, at: datetime) -> bool:
        async with self._pool.transaction() as connection:
            # Whoever applies observations holds this before any node: so do we.
            await connection.fetchval(_UPTIME["lock"])
            if not await connection.fetchrow(_SQL["retire"], user_id, node_id, at):
                return False
            await connection.execute(_SQL["close"], user_id, node_id, to_ms(at), CloseCode.REVOKED)
            await connection.execute(_UPTIME["grow"])
            return True

    async def retired(self, user_id: UUID) -> list[Node]:
        rows = await self._pool.fetch(_SQL["retired"], user_id)
        return [Node(**row) for row in rows]

    async def end_tokens(self, node_ids: Sequence[UUID], at: datetime) -> None:
        await self._pool.fetch(_SQL["end_tokens"], list(node_ids), at)

    async def ended_since(self, at: datetime) -> list[tuple[UUID, UUID, datetime]]:
        return [tuple(row) for row in await self._pool.fetch(_SQL["ended_since"], at)]

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        return await self._pool.fetchrow(_SQL["advance_token_time"], node_id, time_ms) is not None
