"""The durable stores over one database, and short ways to fill them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from core.clock import new_id
from storage.base import Node, NodeStore, SessionStore, UptimeStore, User, UserStore
from storage.memory import MemoryDatabase, MemoryNodes, MemorySessions, MemoryUptime, MemoryUsers
from storage.postgres import Pool, PostgresNodes, PostgresSessions, PostgresUptime, PostgresUsers

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def make_user(**changes: object) -> User:
    """A user with an id and an address of their own."""
    user_id = new_id()
    facts = {
        "user_id": user_id,
        "email": f"{user_id}@example.org",
        "display_name": "Ada",
        "password_hash": "hash",
        "created_at": CREATED,
    }
    return User(**{**facts, **changes})


def make_node(user_id: UUID, **changes: object) -> Node:
    """A node with an id and a key of its own."""
    facts = {
        "user_id": user_id,
        "node_id": new_id(),
        "public_key": new_id().bytes + new_id().bytes,
        "name": "attic",
        "created_at": CREATED,
    }
    return Node(**{**facts, **changes})


@dataclass
class Stores:
    """Everything that lives in one database."""

    users: UserStore
    sessions: SessionStore
    nodes: NodeStore
    uptime: UptimeStore

    async def add_user(self) -> UUID:
        """Add a user; returns the id."""
        user = make_user()
        assert await self.users.add(user)
        return user.user_id

    async def add_node(self, user_id: UUID, name: str = "attic") -> UUID:
        """Add a node; returns the id."""
        node = make_node(user_id, name=name)
        assert await self.nodes.enrol(node) == node
        return node.node_id


def memory_stores(database: MemoryDatabase | None = None) -> Stores:
    """Stores in memory."""
    database = database or MemoryDatabase()
    return Stores(
        MemoryUsers(database), MemorySessions(database), MemoryNodes(database), MemoryUptime(database)
    )


def postgres_stores(pool: Pool) -> Stores:
    """Stores on PostgreSQL."""
    return Stores(PostgresUsers(pool), PostgresSessions(pool), PostgresNodes(pool), PostgresUptime(pool))
