"""A node that a worker observes, and ways to look at what a store made of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from support.stores import Stores

from storage.base import Applied, Batch, Closed, NodeTotals, Opened, Place, Record, Report
from storage.memory import MemoryUptime
from storage.memory.database import MemoryDatabase
from storage.postgres import PostgresUptime
from storage.uptime import HourSums, NodeSession

HOUR_MS = 3_600_000
# 2026-03-01 12:00 UTC
NOON = 1_772_366_400_000
NOON_S = NOON // 1000
HOUR = NOON // HOUR_MS


class Scene:
    """One user with one node, and workers that observe it."""

    def __init__(self, stores: Stores, user_id: UUID, node_id: UUID) -> None:
        self.stores = stores
        self.user_id = user_id
        self.node_id = node_id
        self._sequences: dict[str, count[int]] = {}

    @classmethod
    async def of(cls, stores: Stores) -> "Scene":
        """A scene with a user and a node of its own."""
        user_id = await stores.add_user()
        return cls(stores, user_id, await stores.add_node(user_id))

    def opened(self, connection: UUID, at: int) -> Opened:
        """The node's connection opens."""
        return Opened(self.node_id, connection, at, "192.0.2.7")

    def closed(self, connection: UUID, at: int, code: int = 1000) -> Closed:
        """The node's connection ends."""
        return Closed(self.node_id, connection, at, code)

    def report(self, connection: UUID, start: int, end: int, hour: int = HOUR, **changes: Any) -> Report:
        """The node was confirmed from second `start` to `end` of an hour, and reported at its end."""
        facts = {"at_s": hour * 3600 + end, **changes}
        return Report(self.node_id, connection, hour, start, end, **facts)

    def batch(self, *records: Record, worker: str = "worker-a") -> Batch:
        """The next batch of `worker`."""
        number = next(self._sequences.setdefault(worker, count(1)))
        return Batch(worker, number, list(records))

    async def observe(
        self, *records: Record, worker: str = "worker-a", places: Mapping[str, Place] | None = None
    ) -> Applied:
        """Apply records as the next batch of `worker`."""
        return await self.stores.uptime.apply([self.batch(*records, worker=worker)], places or {})

    async def node(self) -> NodeTotals:
        """The node's state now."""
        totals = (await self.stores.uptime.totals([self.user_id]))[self.user_id]
        return next(node for node in totals.nodes if node.node_id == self.node_id)

    async def status(self) -> tuple[str, datetime | None]:
        """The node's status and since when."""
        node = await self.node()
        return node.status, node.since

    async def hours(self) -> list[tuple[int, int]]:
        """(hour of the day, confirmed seconds)."""
        hours = await self.stores.uptime.hours(self.user_id, self.node_id)
        return [(hour.hour, confirmed) for hour, confirmed in hours]

    # What has no place in the port is read where an adapter keeps it.

    async def sums(self, hour: int = HOUR) -> HourSums:
        """All that is counted of the node in an hour."""
        if (database := self._memory) is not None:
            return database.hours[self.node_id, hour]
        row = await self._row(
            "SELECT h.* FROM node_hours h JOIN node_state s USING (number)"
            " WHERE s.node_id = $1 AND h.hour = $2",
            self.node_id,
            hour,
        )
        sums = HourSums(
            confirmed=[(span.lower, span.upper) for span in row["confirmed"]],
            bytes_up=row["bytes_up"],
            bytes_down=row["bytes_down"],
            errors=row["errors"],
            answered=row["answered"],
            missed=row["missed"],
            refused=row["refused"],
            rtt=[
                *row["rtt_low"].to_bytes(8, "big", signed=True),
                *row["rtt_high"].to_bytes(8, "big", signed=True),
            ],
        )
        assert (row["seconds"], row["minutes"]) == (sums.seconds, sums.minutes)
        return sums

    async def sessions(self) -> list[NodeSession]:
        """The node's sessions, oldest first; of the newest the bytes are not all there."""
        if (database := self._memory) is not None:
            of_node = [s for (node_id, _), s in database.node_sessions.items() if node_id == self.node_id]
            return sorted(of_node, key=lambda session: session.session_id)
        rows = await self._rows(
            "SELECT * FROM node_session WHERE node_id = $1 ORDER BY session_id", self.node_id
        )
        return [NodeSession(**row) for row in rows]

    async def session_bytes(self, session_id: UUID) -> tuple[int, int]:
        """The bytes up and down of a session."""
        (session,) = [s for s in await self.sessions() if s.session_id == session_id]
        if (database := self._memory) is not None:
            state = database.states[self.node_id]
            newest, up, down = state.session_id, state.session_up, state.session_down
        else:
            newest, up, down = await self._row(
                "SELECT session_id, session_up, session_down FROM node_state WHERE node_id = $1", self.node_id
            )
        if newest != session_id:
            up = down = 0
        return session.bytes_up + up, session.bytes_down + down

    async def network_hours(self) -> dict[tuple[int, str], tuple[int, int, int, list[int]]]:
        """Nodes, seconds, bytes up and round trips of the network by hour and country."""
        if (database := self._memory) is not None:
            return {
                key: (sums.nodes, sums.seconds, sums.bytes_up, sums.rtt)
                for key, sums in database.network_hours.items()
            }
        rows = await self._rows("SELECT * FROM network_hour")
        return {
            (row["hour"], row["country"]): (row["nodes"], row["seconds"], row["bytes_up"], row["rtt"])
            for row in rows
        }

    async def pending(self) -> int:
        """How many connections of the node are not settled."""
        if (database := self._memory) is not None:
            return len(database.states[self.node_id].unsettled)
        return len(await self._rows("SELECT FROM node_unsettled WHERE node_id = $1", self.node_id))

    def now(self) -> datetime:
        """The time by the clock of the store."""
        return self._memory.clock.now() if self._memory is not None else datetime.now(UTC)

    async def forget_after(self, at: datetime) -> None:
        """Let the time that workers wrote last be as long ago as it will be at `at`."""
        age: timedelta = at - self.now()
        if (database := self._memory) is not None:
            for writer in database.writers.values():
                writer.last_at = self.now() - age
        else:
            await self._rows("UPDATE ingest_writer SET last_at = now() - $1::interval", age)

    @property
    def _memory(self) -> MemoryDatabase | None:
        uptime = self.stores.uptime
        return uptime._db if isinstance(uptime, MemoryUptime) else None

    async def _rows(self, query: str, *args: Any) -> list[Any]:
        assert isinstance(self.stores.uptime, PostgresUptime)
        return await self.stores.uptime._pool.fetch(query, *args)

    async def _row(self, query: str, *args: Any) -> Any:
        (row,) = await self._rows(query, *args)
        return row
