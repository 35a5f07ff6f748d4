"""Measured uptime: who is online, and how long each node was confirmed online."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct


class Opened(Struct, frozen=True, tag="o", array_like=True):
    """A node's connection was authenticated at `at_ms` (milliseconds since the epoch)."""

    node_id: UUID
    session_id: UUID
    at_ms: int
    address: str


class Confirmed(Struct, frozen=True, tag="c", array_like=True):
    """A node answered challenges at both ends of [`from_ms`, `to_ms`) or was opened at its start."""

    node_id: UUID
    session_id: UUID
    from_ms: int
    to_ms: int


class Reported(Struct, frozen=True, tag="b", array_like=True):
    """Sums of a node's beats since the last report."""

    node_id: UUID
    session_id: UUID
    at_ms: int
    bytes_up: int
    bytes_down: int
    errors: int
    agent_version: str


class Closed(Struct, frozen=True, tag="x", array_like=True):
    """A node's connection ended; `code` is the close code."""

    node_id: UUID
    session_id: UUID
    at_ms: int
    code: int


Record = Opened | Confirmed | Reported | Closed


class Batch(Struct, frozen=True, array_like=True):
    """What one worker observed, in order. `sequence` counts this worker's batches from 1."""

    worker: str
    sequence: int
    records: list[Record]


class NodeTotals(Struct, frozen=True, kw_only=True):
    """A node's state now. `since` is when it came or went last; None: it was never online."""

    node_id: UUID
    name: str
    online: bool
    since: datetime | None
    confirmed_ms: int


class UserTotals(Struct, frozen=True, kw_only=True):
    """All nodes of a user by id, as of `revision`."""

    revision: int
    nodes: list[NodeTotals]


class NetworkTotals(Struct, frozen=True, kw_only=True):
    """The whole network as of `revision`.

    `confirmed_seconds` adds up each node's whole seconds: what people see of their nodes sums to it.
    """

    revision: int
    nodes_online: int
    nodes_total: int
    users_total: int
    confirmed_seconds: int


class UptimeStore(Protocol):
    """Measured uptime: who is online, and how long each node was confirmed online.

    Rules. A node's confirmed time is the union of its confirmed intervals: what overlaps counts
    once, and an interval older than what is already counted adds nothing. Hours hold what lies
    within them: an interval is cut at their edges. A node is online while its newest connection is
    open: the end of an older one changes nothing. The newest is the one opened last (of equals the
    one with the greater id), whatever the order in which workers are heard. Records of unknown nodes
    are ignored.
    """

    async def cursor(self) -> str:
        """The stream position behind the last applied batch; "0-0" at first."""
        ...

    async def apply(self, batches: Sequence[Batch], cursor: str) -> set[UUID]:
        """Apply `batches` in order and move the cursor, in one transaction; returns the owners touched.

        A batch is applied exactly once: one whose `sequence` is not above the worker's last is
        skipped. The revision grows by one.
        """
        ...

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        """Take offline every node whose newest connection is on a worker not in `alive`.

        Returns the owners touched; the revision grows if there are any. The end is presumed: a later
        sign of life (`Confirmed`, `Reported`) of that connection, observed after `at`, takes it back.
        """
        ...

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        """The totals of these users, all from one moment. Users without nodes have an empty list."""
        ...

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        """(start of the hour, confirmed milliseconds) of a node, oldest first, empty hours left out."""
        ...

    async def network(self) -> NetworkTotals:
        """The totals of the whole network."""
        ...
