"""What processes share while they live: streams, presence, locks, throttles."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct


class Claimed(Struct, frozen=True):
    """Entries (id, payload) that were handed out before, in order of id.

    `lost` are the ids of those that were dropped from the stream meanwhile. `position` is the id to go on
    behind; None: that was all.
    """

    entries: list[tuple[str, bytes]]
    lost: list[str]
    position: str | None


class Backlog(Struct, frozen=True):
    """How many entries a stream holds, and when its oldest was appended: None if there is none.

    `oldest_ms` is in milliseconds since the epoch, by the server's clock.
    """

    entries: int
    oldest_ms: int | None


class StreamLog(Protocol):
    """Bounded, ordered logs that any process appends to and any process follows.

    A **group** shares a stream out: what was handed to it is remembered until it is acknowledged, also when
    whoever took it dies. A group has one reader at a time: one that takes over claims first what its
    predecessor left. A group that is not there begins at the oldest entry, be it new or that the server
    lost its memory.
    """

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

    async def read_group(self, stream: str, group: str, count: int, block_ms: int) -> list[tuple[str, bytes]]:
        """Hand the next entries (id, payload) to `group`, at most `count`, in order.

        Waits up to `block_ms` for the first. What a lost answer held can be claimed.
        """
        ...

    async def claim(self, stream: str, group: str, after: str, count: int) -> Claimed:
        """What was handed to `group` and is not acknowledged: up to `count` entries behind the id `after`.

        What turns out to be lost is acknowledged thereby.
        """
        ...

    async def acknowledge(self, stream: str, group: str, ids: Sequence[str]) -> None:
        """`group` has done with these entries. Those that all groups have done with are dropped."""
        ...

    async def backlog(self, stream: str) -> Backlog:
        """What waits in a stream: of one that is read by groups, all that is not acknowledged."""
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

    async def held(self, cursor: int) -> tuple[int, list[UUID]]:
        """Some of the users who are held somewhere, and the cursor for more; 0 begins and ends.

        Whoever is held from the first call to the last is told, perhaps twice; others may be.
        """
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


class Limit(Struct, frozen=True):
    """At most `burst` at once, and one more every `interval_ms` (GCRA, ITU-T I.371)."""

    burst: int
    interval_ms: int


class Verdict(Struct, frozen=True):
    """Whether a call is within its limit; `retry_ms` until it would be, 0 if it is.

    `remaining` more would be let through now; after `reset_ms` the whole burst is there again.
    """

    allowed: bool
    remaining: int
    retry_ms: int
    reset_ms: int


class Throttle(Protocol):
    """Counts calls against limits, over all processes together."""

    async def hit(self, key: str, limit: Limit) -> Verdict:
        """Count one call under `key`, unless it is over `limit`: what is refused is not counted."""
        ...

    async def peek(self, key: str, limit: Limit) -> Verdict:
        """What `hit` would say, without counting."""
        ...

    async def forgive(self, key: str) -> None:
        """Forget what was counted under `key`."""
        ...
