"""What was measured over time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from storage.base import EVERYWHERE, CountrySums, HourStep, Membership, NetworkSums, SessionRecord, Sums
from storage.days import DAY_HOURS, hour_of, seconds_by_minute, start_of_hour
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.rtt import BUCKETS, percentile
from storage.uptime import COUNT_LIMIT

_COUNTS = ("seconds", "bytes_up", "bytes_down", "answered", "missed", "refused")
_NODE_COUNTS = (*_COUNTS, "errors")


def _counts_of_hour() -> Iterable[str]:
    for bucket in range(BUCKETS):
        half, place = divmod(bucket, 8)
        yield f"sum({('rtt_low', 'rtt_high')[half]} >> {8 * (7 - place)} & 255)"


def _counts_of_day() -> Iterable[str]:
    for bucket in range(BUCKETS):
        half, place = divmod(bucket, 8)
        yield f"sum(rtt_{2 * half + place % 2} >> {16 * (3 - place // 2)} & 65535)"


def _counts_of_network() -> Iterable[str]:
    return (f"sum(rtt[{bucket + 1}])" for bucket in range(BUCKETS))


def _totals(counts: Iterable[str]) -> str:
    # Whatever nodes claim, a sum fits its column.
    return ", ".join(f"least(sum({count}), {COUNT_LIMIT})::bigint AS {count}" for count in counts)


def _array(counts: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(counts)}]::bigint[]"


_PARTS = {
    "{rtt_of_hour}": _array(_counts_of_hour()),
    "{rtt_of_day}": _array(_counts_of_day()),
    "{node_sums}": _totals(_NODE_COUNTS),
    "{network_sums}": f"{_totals(_COUNTS)}, {_array(_counts_of_network())} AS rtt",
}


def completed(statements: dict[str, str]) -> dict[str, str]:
    """The statements with what is written for each bucket of round trips filled in."""
    for part, text in _PARTS.items():
        statements = {name: statement.replace(part, text) for name, statement in statements.items()}
    return statements


_SQL = completed(load("statistics"))


class PostgresStatistics:
    """`StatisticsStore` on PostgreSQL.

    Of a day that is rolled up as it is, its roll-up is read; of others their hours.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sessions(
        self, user_id: UUID, node_id: UUID, before: UUID | None, limit: int
    ) -> list[SessionRecord]:
        rows = await self._pool.fetch(_SQL["sessions"], user_id, node_id, before, limit)
        return [SessionRecord(**row) for row in rows]

    async def memberships(self, user_id: UUID, node_id: UUID | None) -> list[Membership]:
        rows = await self._pool.fetch(_SQL["memberships"], user_id, node_id)
        return [Membership(**row) for row in rows]

    async def minutes(
        self, user_id: UUID, node_id: UUID | None, start: datetime, end: datetime
    ) -> list[tuple[datetime, int]]:
        first, last = hour_of(start), hour_of(end - timedelta(minutes=1)) + 1
        rows = await self._pool.fetch(_SQL["minutes"], user_id, node_id, first, last)
        seconds: dict[datetime, int] = {}
        for hour, confirmed, nodes in rows:
            spans = [(span.lower, span.upper) for span in confirmed]
            for minute, count in seconds_by_minute(spans).items():
                at = start_of_hour(hour) + timedelta(minutes=minute)
                seconds[at] = seconds.get(at, 0) + nodes * count
        return sorted((at, count) for at, count in seconds.items() if start <= at < end)

    async def series(
        self,
        user_id: UUID,
        node_id: UUID | None,
        start: datetime,
        end: datetime,
        step: HourStep,
    ) -> list[Sums]:
        first, last = hour_of(start), hour_of(end)
        if step == "hour":
            rows = await self._pool.fetch(_SQL["hours"], user_id, node_id, first, last)
            return [_sums(row["hour"], [row]) for row in rows]
        first, last = first // DAY_HOURS, last // DAY_HOURS
        async with self._pool.connection() as connection:
            unrolled = [row["day"] for row in await connection.fetch(_SQL["unrolled"], first, last)]
            days = await connection.fetch(_SQL["days"], user_id, node_id, first, last, unrolled)
            hours = []
            for day in unrolled:
                bounds = day * DAY_HOURS, (day + 1) * DAY_HOURS
                hours += await connection.fetch(_SQL["hours"], user_id, node_id, *bounds)
        sums = [_sums(row["day"] * DAY_HOURS, [row]) for row in days]
        sums += [_sums(day * DAY_HOURS, rows) for day, rows in _by_day(hours)]
        return sorted(sums, key=lambda each: each.at)

    async def network_series(
        self, country: str, start: datetime, end: datetime, step: HourStep
    ) -> list[NetworkSums]:
        async with self._pool.connection() as connection:
            rolled, unrolled = await _rolled(connection, hour_of(start), hour_of(end))
            days = []
            if step == "day":
                days = await connection.fetch(_SQL["network_days"], country, _days_of(rolled))
                rolled = []
            # All countries together are added up only with the roll-up.
            ready, apart = (rolled, unrolled) if country == EVERYWHERE else (rolled + unrolled, [])
            hours = await connection.fetch(_SQL["network_hours"], country, ready, apart)
        if step == "hour":
            sums = [_network_sums(row["hour"], [row]) for row in hours]
        else:
            sums = [_network_sums(row["day"] * DAY_HOURS, [row]) for row in days]
            sums += [_network_sums(day * DAY_HOURS, rows) for day, rows in _by_day(hours)]
        return sorted(sums, key=lambda each: each.at)

    async def countries(self, start: datetime, end: datetime) -> list[CountrySums]:
        first, last = hour_of(start), hour_of(end)
        async with self._pool.connection() as connection:
            rolled, unrolled = await _rolled(connection, first, last)
            # Days that are wholly in the range.
            days = [day for day in _days_of(rolled) if first <= day * DAY_HOURS <= last - DAY_HOURS]
            hours = [hour for hour in rolled if hour // DAY_HOURS not in set(days)] + unrolled
            rows = await connection.fetch(_SQL["countries"], days, hours)
        return [
            CountrySums(
                country=row["country"] or None,
                nodes_online=row["nodes_online"],
                nodes=row["nodes"],
                node_hours=row["node_hours"],
                seconds=row["seconds"],
                bytes_up=row["bytes_up"],
                bytes_down=row["bytes_down"],
                rtt_p50_ms=percentile(row["rtt"], 50),
                rtt_p95_ms=percentile(row["rtt"], 95),
            )
            for row in rows
        ]


async def _rolled(connection: Any, first: int, last: int) -> tuple[list[int], list[int]]:
    """The hours from `first` to before `last` of days that are rolled up as they are, and the others."""
    days = await connection.fetch(_SQL["unrolled"], first // DAY_HOURS, -(-last // DAY_HOURS))
    unrolled = {row["day"] for row in days}
    parts: tuple[list[int], list[int]] = ([], [])
    for hour in range(first, last):
        parts[hour // DAY_HOURS in unrolled].append(hour)
    return parts


def _days_of(hours: Iterable[int]) -> list[int]:
    return sorted({hour // DAY_HOURS for hour in hours})


def _by_day(rows: Iterable[Any]) -> Iterable[tuple[int, list[Any]]]:
    days: dict[int, list[Any]] = {}
    for row in rows:
        days.setdefault(row["hour"] // DAY_HOURS, []).append(row)
    return days.items()


def _total(rows: list[Any], count: str) -> int:
    return sum(row[count] for row in rows)


def _round_trips(rows: list[Any]) -> list[int]:
    return [sum(counts) for counts in zip(*(row["rtt"] for row in rows), strict=True)]


def _sums(hour: int, rows: list[Any]) -> Sums:
    rtt = _round_trips(rows)
    return Sums(
        at=start_of_hour(hour),
        **{count: _total(rows, count) for count in _NODE_COUNTS},
        rtt_p50_ms=percentile(rtt, 50),
        rtt_p95_ms=percentile(rtt, 95),
    )


def _network_sums(hour: int, rows: list[Any]) -> NetworkSums:
    rtt = _round_trips(rows)
    return NetworkSums(
        at=start_of_hour(hour),
        nodes=max(row["nodes"] for row in rows),
        **{count: _total(rows, count) for count in (*_COUNTS, "node_hours")},
        rtt_p50_ms=percentile(rtt, 50),
        rtt_p95_ms=percentile(rtt, 95),
    )
