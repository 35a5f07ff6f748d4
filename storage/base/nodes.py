"""The nodes and who owns them."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct


class Node(Struct, frozen=True, kw_only=True):
    """A machine that is paid for being online. `public_key` is Ed25519, 32 bytes, unique."""

    user_id: UUID
    node_id: UUID
    public_key: bytes
    name: str
    created_at: datetime


class NodeStore(Protocol):
    """The nodes and who owns them."""

    async def enrol(self, node: Node) -> Node | None:
        """Add `node` and return it.

        A key that this user already enrolled returns the node it belongs to, unchanged. A key of
        another user returns None. Of concurrent calls for one key exactly one adds.
        """
        ...

    async def by_id(self, node_id: UUID) -> Node | None:
        """The node with this id."""
        ...

    async def of_user(self, user_id: UUID, after: UUID | None, limit: int) -> list[Node]:
        """A user's nodes by id, at most `limit`, those behind `after`."""
        ...

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        """Remember that a token was issued for a signature of `time_ms`.

        False, and nothing changed, unless `time_ms` is greater than every one before: a signature
        serves once, on all processes together.
        """
        ...
