"""The rules of measured uptime, apart from any store: what is kept of a node, and the arithmetic of it.

How records change it is in `storage.fold`. The rules themselves stand in the docstring of the port
`UptimeStore`. A span is a pair (start, end): the whole numbers from start up to, not including, end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from core.errors import CloseCode
from storage.base import Place, Report, Status
from storage.rtt import BUCKETS, MOST

HOUR_S = 3600
DAY_MS = 86_400_000

# Counts are a node's own claims: whatever it claims, two of these must fit a 64-bit column.
COUNT_LIMIT = (1 << 62) - 1
ERRORS_LIMIT = (1 << 31) - 1
CHALLENGES_LIMIT = (1 << 15) - 1

Span = tuple[int, int]


class Rules(Struct, frozen=True, kw_only=True):
    """What an operator decides. Times are in seconds.

    `resume_window` is how long a node may be away and still continue its session. `tail` is how long a
    living connection may be without a reported confirmation: what a worker's death can leave unheard.
    """

    resume_window: float = 60.0
    tail: float = 45.0

    @property
    def window_ms(self) -> int:
        """The resume window in milliseconds."""
        return round(self.resume_window * 1000)

    @property
    def longest_gap(self) -> int:
        """The most seconds that can count for the time between two connections."""
        return int(self.settling)

    @property
    def settling(self) -> float:
        """The seconds after which nothing more is credited to a time."""
        return self.resume_window + self.tail


# --- spans ----------------------------------------------------------------------------------------


def united(spans: Iterable[Span]) -> list[Span]:
    """The union of spans: ascending, disjoint, neighbours joined, empty ones left out."""
    union: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], end)
        else:
            union.append((start, end))
    return union


def length(spans: Iterable[Span]) -> int:
    """How many numbers are in disjoint spans."""
    return sum(end - start for start, end in spans)


def contains(spans: Iterable[Span], number: int) -> bool:
    """Whether `number` is in one of the spans."""
    return any(start <= number < end for start, end in spans)


def minutes_of(spans: Iterable[Span]) -> int:
    """The minutes of an hour with a second in `spans`, minute m as bit m."""
    minutes = 0
    for start, end in spans:
        first, last = start // 60, (end - 1) // 60
        minutes |= ((1 << (last - first + 1)) - 1) << first
    return minutes


def split_hours(start: int, end: int) -> Iterable[tuple[int, Span]]:
    """Cut the seconds [`start`, `end`) since the epoch at full hours: (hour, span of seconds in it)."""
    while start < end:
        hour = start // HOUR_S
        edge = min(end, (hour + 1) * HOUR_S)
        yield hour, (start - hour * HOUR_S, edge - hour * HOUR_S)
        start = edge


def since_epoch(hour: int, spans: Iterable[Span]) -> list[Span]:
    """Spans of seconds in an hour as seconds since the epoch."""
    return [(hour * HOUR_S + start, hour * HOUR_S + end) for start, end in spans]


def is_sane(report: Report) -> bool:
    """Whether a report's span lies within an hour, and the hour in a time that there are calendars for."""
    return 0 <= report.start <= report.end <= HOUR_S and 0 <= report.hour < 2_000_000


# --- what is kept ---------------------------------------------------------------------------------


class HourSums(Struct):
    """What is counted of a node in one hour. `confirmed` are seconds within it, ascending and disjoint."""

    confirmed: list[Span] = []
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0
    answered: int = 0
    missed: int = 0
    refused: int = 0
    rtt: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    @property
    def seconds(self) -> int:
        """How many seconds were confirmed."""
        return length(self.confirmed)

    @property
    def minutes(self) -> int:
        """The minutes with a confirmed second, minute m as bit m."""
        return minutes_of(self.confirmed)

    def confirm(self, span: Span) -> int:
        """Add the seconds of `span`; returns how many of them are new."""
        before = self.seconds
        self.confirmed = united([*self.confirmed, span])
        return self.seconds - before

    def add(self, report: Report) -> None:
        """Add the counts of `report`; each stops at its limit."""
        self.bytes_up = limited(self.bytes_up, report.bytes_up, COUNT_LIMIT)
        self.bytes_down = limited(self.bytes_down, report.bytes_down, COUNT_LIMIT)
        self.errors = limited(self.errors, report.errors, ERRORS_LIMIT)
        self.answered = limited(self.answered, report.answered, CHALLENGES_LIMIT)
        self.missed = limited(self.missed, report.missed, CHALLENGES_LIMIT)
        self.refused = limited(self.refused, report.refused, CHALLENGES_LIMIT)
        for bucket, count in enumerate(report.rtt[:BUCKETS]):
            self.rtt[bucket] = min(self.rtt[bucket] + count, MOST)


class Unsettled(Struct, kw_only=True):
    """A connection that was followed by another one, while it is not settled what the time between is.

    `opened_ms` None: its end was heard of before its beginning. `closed_ms` None: its end was not heard
    of; with it a `code` of None says that the end was presumed. The seconds [`from_s`, `to_s`) since the
    epoch count if it ended by our doing, and was `sound` up to its end.
    """

    connection_id: UUID
    worker: str = ""
    opened_ms: int | None = None
    closed_ms: int | None = None
    code: int | None = None
    from_s: int = 0
    to_s: int = 0
    sound: bool = True

    def is_stale(self, at_ms: int) -> bool:
        """Whether nothing more will be heard of it: a day has passed."""
        return max(self.opened_ms or 0, self.closed_ms or 0) < at_ms - DAY_MS


class NodeState(Struct, kw_only=True):
    """What is known of a node now; the columns of table ``node_state`` mean the same.

    `connection_id`, `opened_ms` and `worker` belong to the newest connection, `session_id` to the first
    one of its session. `session_up` and `session_down` are what the session's own record lacks.
    """

    user_id: UUID
    node_id: UUID
    status: Status = "offline"
    since_ms: int | None = None
    confirmed_s: int = 0
    confirmed_to: int = 0
    session_up: int = 0
    session_down: int = 0
    seen_s: int = 0
    rtt_us: int = 0
    jitter_us: int = 0
    connection_id: UUID | None = None
    session_id: UUID | None = None
    opened_ms: int = 0
    online: bool = False
    presumed: bool = False
    closed_ms: int | None = None
    closed_code: int | None = None
    sound: bool = True
    suspended: bool = False
    flapping: bool = False
    penalty: int = 0
    penalty_ms: int = 0
    worker: str = ""
    address: str = ""
    place: Place = Place()
    agent_version: str = ""
    unsettled: list[Unsettled] = []

    def belongs_to_session(self, connection_id: UUID) -> bool:
        """Whether a connection is of the newest session: ids grow with time."""
        return self.session_id is None or connection_id >= self.session_id


class NodeSession(Struct, kw_only=True):
    """A session of a node; the columns of table ``node_session`` mean the same."""

    user_id: UUID
    node_id: UUID
    session_id: UUID
    opened_at: datetime
    closed_at: datetime | None = None
    code: int | None = None
    worker: str = ""
    address: str = ""
    agent_version: str = ""
    connections: int = 1
    bytes_up: int = 0
    bytes_down: int = 0
    country: str | None = None
    asn: int | None = None


class NetworkHour(Struct):
    """What is counted of a country's nodes in one hour; `nodes` reported in it."""

    nodes: int = 0
    seconds: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    answered: int = 0
    missed: int = 0
    refused: int = 0
    rtt: list[int] = field(default_factory=lambda: [0] * BUCKETS)


def limited(count: int, more: int, limit: int) -> int:
    """The sum of two counts, between 0 and `limit`; what is negative counts nothing."""
    return min(count + max(more, 0), limit)


# --- status ---------------------------------------------------------------------------------------

# Each coming and going adds TURN; the penalty halves every HALF_LIFE_MS. A node flaps above FLAPPING until
# it has fallen below CALM.
TURN = 1000
FLAPPING = 3000
CALM = 1000
HALF_LIFE_MS = 60_000


def decayed(penalty: int, elapsed_ms: int) -> int:
    """What is left of a penalty: whole half-lives exactly, the rest of one along the straight line."""
    halvings, rest = divmod(max(elapsed_ms, 0), HALF_LIFE_MS)
    penalty >>= halvings
    return penalty - penalty * rest // (2 * HALF_LIFE_MS)


def status_of(state: NodeState, at_ms: int, rules: Rules) -> Status:
    """The status that a node is in at a time."""
    if state.suspended:
        return "suspended"
    if state.online:
        return "online" if state.sound and not state.flapping else "degraded"
    back_soon = state.closed_ms is not None and at_ms - state.closed_ms <= rules.window_ms
    return "degraded" if state.flapping and back_soon else "offline"


def is_ours(code: int | None) -> bool:
    """Whether a connection with this close code, or without one, ended by our doing."""
    return code is None or code == CloseCode.DRAIN


# --- batches --------------------------------------------------------------------------------------


def missing(applied: Sequence[Span]) -> int:
    """How many batches, counted from 1, are missing before the last of those applied."""
    return applied[-1][1] - 1 - length(applied) if applied else 0
