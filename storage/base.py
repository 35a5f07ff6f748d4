"""The ports: what the product asks of its stores, and what a store guarantees.

Every method is a coroutine and atomic: it happens whole or not at all. A store that cannot be
reached raises `StorageUnavailable` and leaves nothing half-written. What a caller got wrong is a
`Refusal`: `NotFound` for what would belong to an unknown user, `InvalidInput` for a text with a NUL.
Times are aware and UTC; ids are UUIDv7; amounts of time are whole milliseconds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

# --- people ---------------------------------------------------------------------------------------


class User(Struct, frozen=True, kw_only=True):
    """A person. `email` is normalised and unique; `role` is user, support or operator."""

    user_id: UUID
    email: str
    display_name: str
    password_hash: str
    role: str = "user"
    created_at: datetime


class UserStore(Protocol):
    """The people."""

    async def add(self, user: User) -> bool:
        """Add `user`; false, and nothing changed, if the address is taken.

        Of concurrent calls for one address exactly one returns true.
        """
        ...

    async def by_email(self, email: str) -> User | None:
        """The user with this normalised address."""
        ...

    async def by_id(self, user_id: UUID) -> User | None:
        """The user with this id."""
        ...

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Replace the password's hash."""
        ...


# --- sign-in sessions -------------------------------------------------------------------------------


class LoginSession(Struct, frozen=True, kw_only=True):
    """One sign-in of a person. `token_hash` is SHA-256 of the current refresh token (32 bytes)."""

    user_id: UUID
    session_id: UUID
    token_hash: bytes
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Rotation(Struct, frozen=True):
    """The outcome of `SessionStore.rotate`.

    `outcome` is "rotated"; "unknown" (no living session has or had this token); "raced" (the token
    was replaced less than the grace ago: the newer one is on its way); or "reused" (it was replaced
    before that: the session was ended by this call).
    """

    outcome: str
    session: LoginSession | None = None


class SessionStore(Protocol):
    """Sign-in sessions and their rotating refresh tokens."""

    async def add(self, session: LoginSession) -> None:
        """Start a session."""
        ...

    async def rotate(
        self, token_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime, grace_ms: int
    ) -> Rotation:
        """Replace the refresh token `token_hash` by `new_hash`.

        Every token that a session ever had is remembered for as long as the session lives. Of
        concurrent calls with the same token exactly one is "rotated".
        """
        ...

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """End a session for good; false if it is not this user's or already gone."""
        ...

    async def end_all(self, user_id: UUID) -> int:
        """End all sessions of a user; returns how many."""
        ...

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        """The living sessions of a user, the newest first."""
        ...


# --- nodes ------------------------------------------------------------------------------------------


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


# --- uptime -----------------------------------------------------------------------------------------


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


# --- between processes ------------------------------------------------------------------------------


class StreamLog(Protocol):
    """Bounded, ordered logs that any process appends to and any process follows."""

    async def append(self, stream: str, payload: bytes, max_length: int | None = None) -> str:
        """Append `payload` and return its id; ids of a stream grow in order of appending.

        With `max_length` older entries are dropped, approximately, so that about that many stay.
        """
        ...

    async def append_many(self, entries: Sequence[tuple[str, bytes]], max_length: int) -> None:
        """Append (stream, payload) pairs, in order per stream, in one round trip."""
        ...

    async def read(
        self, positions: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, bytes]]:
        """Up to `count` (stream, id, payload) of each stream behind its position, in order per stream.

        Waits up to `block_ms` for the first. The position "0-0" is the start.
        """
        ...

    async def last_id(self, stream: str) -> str:
        """The id of the newest entry ever appended; "0-0" if there was none."""
        ...

    async def trim(self, stream: str, before: str) -> None:
        """Drop the entries up to and including the id `before`."""
        ...

    async def drop(self, stream: str) -> None:
        """Remove a stream altogether."""
        ...


class Process(Struct, frozen=True, kw_only=True):
    """A living process: its kind (worker, api, jobs), id, admin address and last metrics snapshot."""

    kind: str
    process_id: str
    admin_url: str
    metrics: dict[str, int | float | str]


class Presence(Protocol):
    """Who is alive and who is connected where.

    A process's lease and everything it announced end when it stops renewing: no explicit farewell
    is needed, and a killed process is forgotten within the lease.
    """

    async def renew(self, process: Process, lease_ms: int) -> None:
        """Announce the process, or prolong its lease, with its newest metrics."""
        ...

    async def leave(self, kind: str, process_id: str) -> None:
        """Forget the process at once."""
        ...

    async def processes(self) -> list[Process]:
        """The living processes, by kind and id."""
        ...

    async def hold(self, worker: str, users: Sequence[UUID], ttl_ms: int) -> None:
        """`worker` has connections of `users` for the next `ttl_ms`."""
        ...

    async def release(self, worker: str, user_id: UUID) -> None:
        """`worker` has no connection of the user any more."""
        ...

    async def holders(self, users: Sequence[UUID]) -> dict[UUID, list[str]]:
        """The living workers that hold each user; users held nowhere are left out."""
        ...


class Lock(Protocol):
    """A cluster-wide lock with one holder, released when the holder's connection ends."""

    async def acquire(self) -> None:
        """Wait until this process is the holder."""
        ...

    async def held(self) -> bool:
        """Whether this process still is the holder."""
        ...

    async def release(self) -> None:
        """Let the next one in."""
        ...
