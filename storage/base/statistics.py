"""What was measured over time: of nodes, of their owners, of countries and of the whole network."""

from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

HourStep = Literal["hour", "day"]

#: Names all countries together where a country is asked for.
EVERYWHERE = "*"


class SessionRecord(Struct, frozen=True, kw_only=True):
    """A stay of a node: one connection, or several with short pauses.

    `closed_at` None: it goes on. A closed one without a `code` ended with its worker. The address, the
    place and the version are those of its newest connection.
    """

    session_id: UUID
    opened_at: datetime
    closed_at: datetime | None
    code: int | None
    worker: str
    address: str
    agent_version: str
    connections: int
    bytes_up: int
    bytes_down: int
    country: str | None
    asn: int | None


class Sums(Struct, frozen=True, kw_only=True):
    """What was counted of some nodes in the step that begins at `at`.

    `seconds` are confirmed ones, of all nodes together. The round trips are percentiles in milliseconds
    (`storage.rtt.percentile`); None: there was none.
    """

    at: datetime
    seconds: int
    bytes_up: int
    bytes_down: int
    errors: int
    answered: int
    missed: int
    refused: int
    rtt_p50_ms: int | None
    rtt_p95_ms: int | None


class NetworkSums(Struct, frozen=True, kw_only=True):
    """What was counted of a country or the network in the step that begins at `at`.

    `nodes` is the most that reported in one hour, `node_hours` the sum over the hours. The rest is as in
    `Sums`.
    """

    at: datetime
    nodes: int
    node_hours: int
    seconds: int
    bytes_up: int
    bytes_down: int
    answered: int
    missed: int
    refused: int
    rtt_p50_ms: int | None
    rtt_p95_ms: int | None


class CountrySums(Struct, frozen=True, kw_only=True):
    """What was counted of a country's nodes; None is the unknown one. As in `NetworkSums`.

    `nodes_online` have an open connection now.
    """

    country: str | None
    nodes_online: int
    nodes: int
    node_hours: int
    seconds: int
    bytes_up: int
    bytes_down: int
    rtt_p50_ms: int | None
    rtt_p95_ms: int | None


class Membership(Struct, frozen=True, kw_only=True):
    """From when to when a node belonged to the network; `retired_at` None: it still does."""

    enrolled_at: datetime
    retired_at: datetime | None


class StatisticsStore(Protocol):
    """What was measured over time, as the reports that were applied have it.

    Every answer counts late reports as soon as they are applied, whether or not their day was rolled up.
    What is older than it is kept (see `DayStore.prune`) is missing. Ranges include `start` and not
    `end`; both are full steps in UTC. `node_id` None asks for all nodes of the user, the retired ones
    too; another user's node has nothing.
    """

    async def sessions(
        self, user_id: UUID, node_id: UUID, before: UUID | None, limit: int
    ) -> list[SessionRecord]:
        """A node's sessions, the newest first, at most `limit`, those with ids less than `before`."""
        ...

    async def memberships(self, user_id: UUID, node_id: UUID | None) -> list[Membership]:
        """When the nodes belonged to the network, in no order."""
        ...

    async def minutes(
        self, user_id: UUID, node_id: UUID | None, start: datetime, end: datetime
    ) -> list[tuple[datetime, int]]:
        """The minutes with a confirmed second, ascending, and how many they have of all nodes together."""
        ...

    async def series(
        self,
        user_id: UUID,
        node_id: UUID | None,
        start: datetime,
        end: datetime,
        step: HourStep,
    ) -> list[Sums]:
        """The hours or days with a report, ascending; the others are left out."""
        ...

    async def network_series(
        self, country: str, start: datetime, end: datetime, step: HourStep
    ) -> list[NetworkSums]:
        """The hours or days of a country with a report, ascending.

        "" is the unknown country, `EVERYWHERE` all together. Takes no longer for a million nodes
        than for one.
        """
        ...

    async def countries(self, start: datetime, end: datetime) -> list[CountrySums]:
        """Every country with a node online or a report in these hours, in no order.

        Takes no longer for a million nodes than for one.
        """
        ...


class Unrolled(Struct, frozen=True, kw_only=True):
    """A day that is not rolled up as it is. `rolled_at` None: it never was; else it changed since."""

    day: date
    rolled_at: datetime | None


class Pruned(Struct, frozen=True, kw_only=True):
    """What was dropped: days of hours, months of days, and sessions.

    `complete` false: somebody used what was to be dropped; it stays until the next time.
    """

    hour_days: int
    day_months: int
    sessions: int
    complete: bool


class DayStore(Protocol):
    """The upkeep of what was measured: days made of hours, closed days made small, old ones dropped.

    All of it may be interrupted at any point and repeated at any time, and changes no answer of
    `StatisticsStore` about what is still kept. Reports are applied and read meanwhile.
    """

    async def open(self, first: date, last: date) -> None:
        """See to it that the hours and days from `first` to `last` have somewhere to go."""
        ...

    async def unrolled(self, before: date) -> list[Unrolled]:
        """The days before `before` with hours that their roll-up lacks, ascending."""
        ...

    async def roll_up(self, day: date) -> None:
        """Sum up the hours of a day, over what was summed up before."""
        ...

    async def unpacked(self, before: date) -> list[date]:
        """The days before `before` that are rolled up but not packed, ascending."""
        ...

    async def pack(self, day: date) -> bool:
        """Rewrite the hours of a closed day so that they take little room.

        False, and nothing changed, if somebody used them for so long that others would have had to wait.
        """
        ...

    async def prune(self, hours_from: date, days_from: date, sessions_from: datetime) -> Pruned:
        """Drop hours and minutes of days before `hours_from`, days before `days_from` (of nodes by
        whole months), and sessions that ended before `sessions_from`.

        Hours stay from the first day on that is not rolled up as it is.
        """
        ...
