"""What was measured over time, for owners of nodes and for everybody.

A step without a measurement is a gap: its figures are None, never 0. Steps before a node was enrolled,
while it was away and in the future are gaps as well.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict, replace

from core.clock import Clock
from core.errors import InvalidInput, NotFound
from storage.base import (
    EVERYWHERE,
    Membership,
    NetworkSums,
    SessionRecord,
    StatisticsStore,
)

Step = Literal["minute", "hour", "day"]
NetworkStep = Literal["hour", "day"]
SessionView = SessionRecord

#: Points that a series has at most.
MOST_POINTS = 1500

_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_S = 3600
_WHOLE = 10_000


class Point(Struct, frozen=True, kw_only=True):
    """One step of a series, from `at` on; None: not measured.

    `seconds` are confirmed ones, `uptime` is their share of the time that was possible: while the nodes
    belonged to the network, until now; in ten-thousandths. The round trips are percentiles. Of a
    minute only `seconds` and `uptime` are known.
    """

    at: datetime
    seconds: int | None = None
    uptime: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    errors: int | None = None
    answered: int | None = None
    missed: int | None = None
    refused: int | None = None
    rtt_p50_ms: int | None = None
    rtt_p95_ms: int | None = None


class Series(Struct, frozen=True, kw_only=True):
    """What was measured from `start` to `end`, a point for every step.

    `seconds` are all confirmed ones; `uptime`, in ten-thousandths, is their share of the time in the range
    in which the nodes belonged to the network, until now; None if they did not.
    """

    start: datetime
    end: datetime
    step: Step
    seconds: int
    uptime: int | None
    points: list[Point]


class NetworkPoint(Struct, frozen=True, kw_only=True):
    """One step of a country or the network, from `at` on; None: not measured.

    `nodes` is the most that reported in one hour. `uptime`, in ten-thousandths, is the share of
    confirmed seconds in the hours in which nodes reported.
    """

    at: datetime
    nodes: int | None = None
    seconds: int | None = None
    uptime: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    answered: int | None = None
    missed: int | None = None
    refused: int | None = None
    rtt_p50_ms: int | None = None
    rtt_p95_ms: int | None = None


class NetworkSeries(Struct, frozen=True, kw_only=True):
    """What was measured of a country, or of all (None), from `start` to `end`, a point for every step."""

    country: str | None
    start: datetime
    end: datetime
    step: NetworkStep
    points: list[NetworkPoint]


class CountryStatistics(Struct, frozen=True, kw_only=True):
    """A country over some time; `country` None: nodes of which it is not known. As in `NetworkPoint`.

    `nodes_online` have an open connection now.
    """

    country: str | None
    nodes_online: int
    nodes: int
    seconds: int
    uptime: int | None
    bytes_up: int
    bytes_down: int
    rtt_p50_ms: int | None
    rtt_p95_ms: int | None


class Statistics:
    """Answers what was measured; `hour_days` and `day_days` say for how long it is kept."""

    def __init__(self, statistics: StatisticsStore, clock: Clock, *, hour_days: int, day_days: int) -> None:
        self._statistics = statistics
        self._clock = clock
        self._kept = {"minute": hour_days, "hour": hour_days, "day": day_days}

    async def sessions(
        self, user_id: UUID, node_id: UUID, before: UUID | None, limit: int
    ) -> list[SessionView]:
        """A node's sessions, the newest first, at most `limit`, those older than session `before`.

        Raises:
            NotFound: "node_not_found", also for somebody else's.
        """
        await self._memberships(user_id, node_id)
        return await self._statistics.sessions(user_id, node_id, before, limit)

    async def series(
        self, user_id: UUID, node_id: UUID | None, start: datetime, end: datetime, step: Step
    ) -> Series:
        """A series of a node, or of all of a person's nodes together (None), the retired ones too.

        `start` is lowered and `end` raised to full steps in UTC.

        Raises:
            NotFound: "node_not_found", also for somebody else's.
            InvalidInput: "range_invalid", "range_too_long" or "range_too_old".
        """
        start, end = self._range(start, end, step)
        possible = _Possible(await self._memberships(user_id, node_id), self._clock.now())
        if step == "minute":
            minutes = await self._statistics.minutes(user_id, node_id, start, end)
            found = [Point(at=at, seconds=seconds) for at, seconds in minutes]
        else:
            sums = await self._statistics.series(user_id, node_id, start, end, step)
            found = [Point(**asdict(each)) for each in sums]
        length = _STEPS[step]
        points = {
            point.at: replace(
                point, uptime=_share(point.seconds, possible.seconds(point.at, point.at + length))
            )
            for point in found
        }
        seconds = sum(point.seconds or 0 for point in found)
        return Series(
            start=start,
            end=end,
            step=step,
            seconds=seconds,
            uptime=_share(seconds, possible.seconds(start, end)),
            points=[points.get(at) or Point(at=at) for at in _times(start, end, length)],
        )

    async def network_series(
        self, country: str | None, start: datetime, end: datetime, step: NetworkStep
    ) -> NetworkSeries:
        """A series of a country ("" is the unknown one) or of all together (None).

        `start` is lowered and `end` raised to full steps in UTC.

        Raises:
            InvalidInput: "range_invalid", "range_too_long" or "range_too_old".
        """
        start, end = self._range(start, end, step)
        where = EVERYWHERE if country is None else country
        found = await self._statistics.network_series(where, start, end, step)
        points = {each.at: _network_point(each) for each in found}
        return NetworkSeries(
            country=country,
            start=start,
            end=end,
            step=step,
            points=[points.get(at) or NetworkPoint(at=at) for at in _times(start, end, _STEPS[step])],
        )

    async def countries(self, start: datetime, end: datetime) -> list[CountryStatistics]:
        """Every country with nodes in these hours or now: those with most first, the unknown last.

        `start` is lowered and `end` raised to full hours.

        Raises:
            InvalidInput: "range_invalid", "range_too_long" or "range_too_old".
        """
        found = await self._statistics.countries(*self._range(start, end, "hour"))
        countries = [
            CountryStatistics(
                country=each.country,
                nodes_online=each.nodes_online,
                nodes=each.nodes,
                seconds=each.seconds,
                uptime=_share(each.seconds, each.node_hours * _HOUR_S),
                bytes_up=each.bytes_up,
                bytes_down=each.bytes_down,
                rtt_p50_ms=each.rtt_p50_ms,
                rtt_p95_ms=each.rtt_p95_ms,
            )
            for each in found
        ]
        return sorted(
            countries,
            key=lambda each: (each.country is None, -each.nodes_online, -each.nodes, each.country or ""),
        )

    async def _memberships(self, user_id: UUID, node_id: UUID | None) -> list[Membership]:
        memberships = await self._statistics.memberships(user_id, node_id)
        if node_id is not None and not memberships:
            raise NotFound("node_not_found", "You have no node with this id.")
        return memberships

    def _range(self, start: datetime, end: datetime, step: Step) -> tuple[datetime, datetime]:
        """The range in full steps, if it may be asked for."""
        length = _STEPS[step]
        if end <= start:
            raise InvalidInput("range_invalid", "The end of the range must be later than its start.")
        try:
            first = start - (start - _EPOCH) % length
            last = end + (_EPOCH - end) % length
        except OverflowError:
            raise InvalidInput("range_invalid", "The range is outside the calendar.") from None
        if last - first > MOST_POINTS * length:
            raise InvalidInput(
                "range_too_long",
                f"The range has more than {MOST_POINTS} steps: ask for less, or for longer steps.",
                most_points=MOST_POINTS,
            )
        kept = self._kept[step]
        if (self._clock.now().date() - first.date()).days > kept:
            raise InvalidInput(
                "range_too_old",
                f"By the {step} it is known for {kept} days: ask for a later time"
                f"{'' if step == 'day' else ', or by the day'}.",
                days=kept,
            )
        return first, last


class _Possible:
    """How long some nodes belonged to the network, all together, until `now`."""

    def __init__(self, memberships: Sequence[Membership], now: datetime) -> None:
        self._now = int(now.timestamp())
        self._began = _Sorted(each.enrolled_at for each in memberships)
        self._ended = _Sorted(each.retired_at for each in memberships if each.retired_at)

    def seconds(self, start: datetime, end: datetime) -> int:
        """The seconds from `start` to `end`."""
        last = min(int(end.timestamp()), self._now)
        first = min(int(start.timestamp()), last)
        return self._until(last) - self._until(first)

    def _until(self, second: int) -> int:
        return self._began.elapsed(second) - self._ended.elapsed(second)


class _Sorted:
    """Moments, and their sums: so that many questions about many nodes stay quick."""

    def __init__(self, moments: Iterable[datetime]) -> None:
        self._seconds = sorted(int(moment.timestamp()) for moment in moments)
        self._sums = [0, *accumulate(self._seconds)]

    def elapsed(self, second: int) -> int:
        """The seconds from each moment before `second` until then, all together."""
        count = bisect_left(self._seconds, second)
        return second * count - self._sums[count]


def _times(start: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    return (start + number * step for number in range((end - start) // step))


def _share(seconds: int | None, possible: int) -> int | None:
    """Ten-thousandths; None of nothing."""
    if seconds is None or possible <= 0:
        return None
    return min(seconds * _WHOLE // possible, _WHOLE)


def _network_point(sums: NetworkSums) -> NetworkPoint:
    return NetworkPoint(
        at=sums.at,
        nodes=sums.nodes,
        seconds=sums.seconds,
        uptime=_share(sums.seconds, sums.node_hours * _HOUR_S),
        bytes_up=sums.bytes_up,
        bytes_down=sums.bytes_down,
        answered=sums.answered,
        missed=sums.missed,
        refused=sums.refused,
        rtt_p50_ms=sums.rtt_p50_ms,
        rtt_p95_ms=sums.rtt_p95_ms,
    )
