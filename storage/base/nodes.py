"""The nodes, who owns them, and how each does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.uptime import Status


class Node(Struct, frozen=True, kw_only=True):
    """A machine that is paid for being online. `public_key` is Ed25519, 32 bytes, unique."""

    user_id: UUID
    node_id: UUID
    public_key: bytes
    name: str
    created_at: datetime


class NodeLive(Struct, frozen=True, kw_only=True):
    """How a node does now. What is of a connection is of the newest; "" or None: not known, not measured.

    `since` is when `status` changed last, `seen_at` when its worker reported of it last; `session_id` is
    the session that it is in, or was in last.
    """

    node_id: UUID
    status: Status
    since: datetime | None
    flapping: bool
    confirmed_seconds: int
    seen_at: datetime | None
    session_id: UUID | None
    address: str
    country: str | None
    asn: int | None
    agent_version: str
    rtt_us: int | None
    jitter_us: int | None


class NodeStore(Protocol):
    """The nodes, who owns them, and how each does.

    A retired node is in no answer but those that say so. What was measured of it stays.
    """

    async def enrol(self, node: Node) -> Node | None:
        """Add `node` and return it.

        A key that this user already enrolled returns the node it belongs to, unchanged. A key of
        another user returns None. Of concurrent calls for one key exactly one adds. Whoever enrols the
        key of a retired node gets its suspension too (`AbuseStore`).
        """
        ...

    async def by_id(self, node_id: UUID) -> Node | None:
        """The node with this id."""
        ...

    async def of_user(
        self, user_id: UUID, after: UUID | None, limit: int, status: Status | None = None
    ) -> list[Node]:
        """A user's nodes by id, at most `limit`, those behind `after`; with `status` only those in it."""
        ...

    async def live(self, node_ids: Sequence[UUID]) -> dict[UUID, NodeLive]:
        """How these nodes do now, all from one moment; unknown ones are left out."""
        ...

    async def rename(self, user_id: UUID, node_id: UUID, name: str) -> Node | None:
        """Give a node of this user another name; returns it as it is then, None if there is none."""
        ...

    async def retire(self, user_id: UUID, node_id: UUID, at: datetime) -> bool:
        """End a node of this user for good; false, and nothing changed, if there is none.

        Its key is free again, its tokens up to `at` are void, its session ends, and nothing that is
        observed of it counts any more. What it was confirmed for stays its owner's. The revision of
        the `UptimeStore` grows. All of it happens or nothing.
        """
        ...

    async def retired(self, user_id: UUID) -> list[Node]:
        """A user's retired nodes by id; their `public_key` is empty."""
        ...

    async def end_tokens(self, node_ids: Sequence[UUID], at: datetime) -> None:
        """Make the tokens that these nodes got up to `at` void; a later time than `at` stays."""
        ...

    async def ended_since(self, at: datetime) -> list[tuple[UUID, UUID, datetime]]:
        """Owner, node and time where tokens were made void at or after `at`; of retired nodes too."""
        ...

    async def advance_token_time(self, node_id: UUID, time_ms: int) -> bool:
        """Remember that a token was issued for a signature of `time_ms`.

        False, and nothing changed, unless `time_ms` is greater than every one before: a signature
        serves once, on all processes together.
        """
        ...
