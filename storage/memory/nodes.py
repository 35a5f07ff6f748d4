"""Nodes, who owns them, and how each does."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from core.clock import from_ms
from storage.base import Node, NodeLive, Status, Trait
from storage.memory.abuse import follow_key
from storage.memory.database import MemoryDatabase, require_storable
from storage.memory.referrals import see
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
        follow_key(self._db, node)
        see(self._db, node.user_id, [Trait("node_key", node.public_key.hex())], self._db.clock.now())
        return node

    async def by_id(self, node_id: UUID) -> Node | None:
        return self._db.nodes.get(node_id)

    async def of_user(
        self, user_id: UUID, after: UUID | None, limit: int, status: Status | None = None
    ) -> list[Node]:
        behind = sorted(
            (
                node
                for node in self._db.nodes.values()
                if node.user_id == user_id
                and (after is None or node.node_id > after)
                and status in (None, self._db.states[node.node_id].status)
            ),
            key=lambda node: node.node_id,
        )
        return behind[:limit]

    async def live(self, node_ids: Sequence[UUID]) -> dict[UUID, NodeLive]:
        states = self._db.states
        return {node_id: _live(states[node_id]) for node_id in node_ids if node_id in states}

    async def rename(self, user_id: UUID, node_id: UUID, name: str) -> Node | None:
        require_storable(name)
        node = self._db.nodes.get(node_id)
        if node is None or node.user_id != user_id:
            return None
        self._db.nodes[node_id] = replace(node, name=name)
        return self._db.nodes[node_id]

    async def retire(self, user_id: UUID, node_id: UUID, at: datetime) -> bool:
        db = self._db
        node = db.nodes.get(node_id)
        if node is None or node.user_id != user_id:
            return False
        db.end_node(node_id, at)
        db.retired[node_id] = replace(node, public_key=b"")
        db.retired_at[node_id] = at
        db.revision += 1
        return True

    async def retired(self, user_id: UUID) -> list[Node]:
        mine = [node for node in self._db.retired.values() if node.user_id == user_id]
        return sorted(mine, key=lambda node: node.node_id)

    async def end_tokens(self, node_ids: Sequence[UUID], at: datetime) -> None:
        for node_id in node_ids:
            node = self._db.nodes.get(node_id)
            if node is not None:
                self._db.end_tokens(node, at)

    async def ended_since(self, at: datetime) -> list[tuple[UUID, UUID, datetime]]:
        ended = [(owner, node_id, end) for node_id, (owner, end) in self._db.token_ends.items() if end >= at]
        return sorted(ended, key=lambda each: each[2])

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        if node_id not in self._db.nodes or time_ms <= self._db.token_times.get(node_id, 0):
            return False
        self._db.token_times[node_id] = time_ms
        return True


def _live(state: NodeState) -> NodeLive:
    return NodeLive(
        node_id=state.node_id,
        status=state.status,
        since=None if state.since_ms is None else from_ms(state.since_ms),
        flapping=state.flapping,
        confirmed_seconds=state.confirmed_s,
        seen_at=from_ms(state.seen_s * 1000) if state.seen_s else None,
        session_id=state.session_id,
        address=state.address,
        country=state.place.country,
        asn=state.place.asn,
        agent_version=state.agent_version,
        rtt_us=state.rtt_us or None,
        jitter_us=state.jitter_us or None,
    )
