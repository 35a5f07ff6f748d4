"""Nodes and who owns them."""

from uuid import UUID

from storage.base import Node
from storage.memory.database import MemoryDatabase, require_storable
from storage.uptime import NodeState


class MemoryNodes:
    """`NodeStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def enrol(self, node: Node) -> Node | None:
        require_storable(node)
        self._db.require_user(node.user_id)
        known = self._db.keys.get(node.public_key)
        if known is not None:
            existing = self._db.nodes[known]
            return existing if existing.user_id == node.user_id else None
        self._db.nodes[node.node_id] = node
        self._db.keys[node.public_key] = node.node_id
        self._db.states[node.node_id] = NodeState(user_id=node.user_id, node_id=node.node_id)
        return node

    async def by_id(self, node_id: UUID) -> Node | None:
        return self._db.nodes.get(node_id)

    async def of_user(self, user_id: UUID, after: UUID | None, limit: int) -> list[Node]:
        behind = sorted(
            (
                node
                for node in self._db.nodes.values()
                if node.user_id == user_id and (after is None or node.node_id > after)
            ),
            key=lambda node: node.node_id,
        )
        return behind[:limit]

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        if node_id not in self._db.nodes or time_ms <= self._db.token_times.get(node_id, 0):
            return False
        self._db.token_times[node_id] = time_ms
        return True
