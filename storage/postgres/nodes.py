"""Nodes and who owns them."""

from uuid import UUID

from storage.base import Node
from storage.postgres.pool import Pool
from storage.postgres.queries import load

_SQL = load("nodes")


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

    async def of_user(self, user_id: UUID, after: UUID | None, limit: int) -> list[Node]:
        rows = await self._pool.fetch(_SQL["of_user"], user_id, after, limit)
        return [Node(**row) for row in rows]

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        return await self._pool.fetchrow(_SQL["advance_token_time"], node_id, time_ms) is not None
