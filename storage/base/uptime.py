"""What workers observe of nodes, and what is known of each node by it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

Status = Literal["online", "degraded", "offline", "suspended"]


class Opened(Struct, frozen=True, tag="o", array_like=True):
    """A node's connection was authenticated at `at_ms` (milliseconds since the epoch)."""

    node_id: UUID
    connection_id: UUID
    at_ms: int
    address: str


class Described(Struct, frozen=True, tag="d", array_like=True):
    """The version that the agent of a connection says it has; recorded when it changes."""

    node_id: UUID
    connection_id: UUID
    agent_version: str


class Report(Struct, frozen=True, tag="r", array_like=True):
    """What a connection of a node did since the last report, within one hour.

    `hour` counts hours since the epoch. The node was confirmed in the whole seconds [`start`, `end`)
    of that hour, 0 to 3600; equal means in none. The counts are of this hour, since the last report.
    `rtt` counts round trips by the buckets of `storage.rtt`, one byte each; `rtt_us` is the newest round
    trip and `jitter_us` the smoothed jitter (RFC 3550 §6.4.1), 0 while there is none. `at_s` is when it
    was made, in seconds since the epoch.
    """

    node_id: UUID
    connection_id: UUID
    hour: int
    start: int
    end: int
    at_s: int
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0
    answered: int = 0
    missed: int = 0
    refused: int = 0
    rtt: bytes = b""
    rtt_us: int = 0
    jitter_us: int = 0


class Health(Struct, frozen=True, tag="h", array_like=True):
    """A connected node began to fail its challenges (not `sound`), or to pass them again."""

    node_id: UUID
    connection_id: UUID
    at_ms: int
    sound: bool


class Closed(Struct, frozen=True, tag="x", array_like=True):
    """A node's connection ended; `code` is the close code."""

    node_id: UUID
    connection_id: UUID
    at_ms: int
    code: int


Record = Opened | Described | Report | Health | Closed


class Batch(Struct, frozen=True, array_like=True):
    """What one worker observed, in order. `sequence` counts this worker's batches from 1.

    No later batch of this worker confirms a second before `until_ms` (milliseconds since the epoch) by what
    a connection of its own did; 0 promises nothing. It goes back if the worker's clock is set back.
    """

    worker: str
    sequence: int
    records: list[Record]
    until_ms: int = 0


class Place(Struct, frozen=True, kw_only=True):
    """Where an address is, as far as it is known.

    `country` is an ISO 3166-1 code of two letters. `subnet` is the /24 or /64 around the address, "" for
    what is no public address.
    """

    country: str | None = None
    asn: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    subnet: str = ""


class Applied(Struct, frozen=True, kw_only=True):
    """What became of some batches.

    `touched` are the owners of nodes with a record, `changed` those of nodes whose status changed.
    `duplicates` were skipped; `missing` is by how many the batches known to be missing grew (it is
    negative when some turned up); `unknown` records were of unknown, erased or suspended nodes.
    """

    touched: set[UUID]
    changed: set[UUID]
    duplicates: int = 0
    missing: int = 0
    unknown: int = 0


class NodeTotals(Struct, frozen=True, kw_only=True):
    """A node's state now. `since` is when `status` changed last; None: it was never online.

    `flapping`: it comes and goes too often, and counts as degraded until it has calmed down. `retired`:
    its owner ended it; it is in no list, but its time stays.
    """

    node_id: UUID
    name: str
    status: Status
    since: datetime | None
    confirmed_seconds: int
    flapping: bool = False
    country: str | None = None
    rtt_us: int | None = None
    jitter_us: int | None = None
    retired: bool = False


class UserTotals(Struct, frozen=True, kw_only=True):
    """All nodes of a user by id, as of `revision`."""

    revision: int
    nodes: list[NodeTotals]


class CountryNow(Struct, frozen=True, kw_only=True):
    """Nodes with an open connection in a country now; `country` None: it is not known where."""

    country: str | None
    nodes_online: int


class NetworkTotals(Struct, frozen=True, kw_only=True):
    """The whole network as of `revision`.

    `confirmed_seconds` adds up all nodes' seconds: what people see of their nodes sums to it.
    `countries` are those with a node online, by code, the unknown last.
    """

    revision: int
    nodes_online: int
    nodes_total: int
    users_total: int
    confirmed_seconds: int
    countries: list[CountryNow]


class UptimeStore(Protocol):
    """Who is online, and in which seconds each node was confirmed.

    **Seconds.** A node's confirmed seconds are the union of all intervals reported for it: what overlaps
    counts once, and it does not matter in which order or how often an interval is heard of.

    **Presence.** A node is connected while its newest connection is open: the end of an older one changes
    nothing. The newest is the one opened last (of equals the one with the greater id), whatever the order
    in which workers are heard. A worker's death is a presumed end of its connections: a later sign of
    life (`Report`, `Health`) of such a connection, observed after it, takes it back.

    **Sessions.** A connection that opens within the resume window after the end of the last one continues
    its session, which the first one began. Workers may be heard in any order: sessions that turn out to be
    one become one. While the end of the last connection is not known, it was there when it was reported last.

    If the last one ended by our doing (its worker died, or drained: 4001), the seconds between
    the last confirmed one and the new connection's beginning count as confirmed as soon as the new
    connection's first seconds are. Who dropped a connection otherwise has nothing for the time between.

    **Status.** `suspended` if it is; else `offline` unless connected; `degraded` while it is not sound or
    flaps; else `online`. Each coming and going adds to a penalty that halves every minute; above a
    limit the node flaps, until it has fallen below a lower one. A flapping node is `degraded` even while
    it is away for less than the resume window, so its owner is not told of every turn.

    Records of unknown, erased and suspended nodes are ignored, except that they are counted.
    """

    async def apply(self, batches: Sequence[Batch], places: Mapping[str, Place]) -> Applied:
        """Apply `batches` in one transaction; `places` tells where the addresses in them are.

        Each batch is applied exactly once, by worker and sequence, in whatever order they come and
        however often. The revision grows by one if a record was applied.
        """
        ...

    async def watermarks(self, workers: Sequence[str]) -> dict[str, datetime]:
        """Up to when each of `workers` told all, as its newest applied batch says, if it does."""
        ...

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        """Presume the end of every connection on a worker not in `alive`; returns the owners touched.

        The revision grows if there are any. What is known of such a worker's batches is forgotten a
        day after its last one.
        """
        ...

    async def calm(self, at: datetime) -> set[UUID]:
        """Look at the nodes that flap: those that have calmed down get the status they are in.

        Returns the owners touched; the revision grows if there are any.
        """
        ...

    async def suspend(self, node_id: UUID, suspended: bool, at: datetime) -> UUID | None:
        """Suspend a node, or let it in again; returns its owner, None if nothing changed.

        While suspended nothing it does counts. The revision grows if anything changed.
        """
        ...

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        """The totals of these users, all from one moment. Users without nodes have an empty list.

        Retired nodes are among them.
        """
        ...

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        """(start of the hour, confirmed seconds) of a node, oldest first, empty hours left out."""
        ...

    async def network(self) -> NetworkTotals:
        """The totals of the whole network; takes no longer for a million nodes than for one."""
        ...
