"""What was measured over time."""

from datetime import datetime, timedelta
from uuid import UUID

from storage.base import EVERYWHERE, CountrySums, HourStep, Membership, NetworkSums, SessionRecord, Sums
from storage.days import DAY_HOURS, hour_of, seconds_by_minute, start_of_hour
from storage.memory.database import MemoryDatabase
from storage.rtt import percentile
from storage.statistics import Totals


class MemoryStatistics:
    """`StatisticsStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def sessions(
        self, user_id: UUID, node_id: UUID, before: UUID | None, limit: int
    ) -> list[SessionRecord]:
        state = self._db.states.get(node_id) or self._db.former.get(node_id)
        found = []
        for session in self._db.node_sessions.values():
            if (session.user_id, session.node_id) != (user_id, node_id):
                continue
            if before is not None and session.session_id >= before:
                continue
            current = state is not None and state.session_id == session.session_id
            found.append(
                SessionRecord(
                    session_id=session.session_id,
                    opened_at=session.opened_at,
                    closed_at=session.closed_at,
                    code=session.code,
                    worker=session.worker,
                    address=session.address,
                    agent_version=session.agent_version,
                    connections=session.connections,
                    bytes_up=session.bytes_up + (state.session_up if state and current else 0),
                    bytes_down=session.bytes_down + (state.session_down if state and current else 0),
                    country=session.country,
                    asn=session.asn,
                )
            )
        return sorted(found, key=lambda session: session.session_id, reverse=True)[:limit]

    async def memberships(self, user_id: UUID, node_id: UUID | None) -> list[Membership]:
        db = self._db
        return [
            Membership(enrolled_at=node.created_at, retired_at=db.retired_at.get(node.node_id))
            for node in (*db.nodes.values(), *db.retired.values())
            if node.user_id == user_id and node_id in (None, node.node_id)
        ]

    async def minutes(
        self, user_id: UUID, node_id: UUID | None, start: datetime, end: datetime
    ) -> list[tuple[datetime, int]]:
        nodes = self._nodes(user_id, node_id)
        seconds: dict[datetime, int] = {}
        for (node, hour), sums in self._db.hours.items():
            if node in nodes and hour >= self._db.from_hour:
                for minute, count in seconds_by_minute(sums.confirmed).items():
                    at = start_of_hour(hour) + timedelta(minutes=minute)
                    seconds[at] = seconds.get(at, 0) + count
        return sorted((at, count) for at, count in seconds.items() if start <= at < end)

    async def series(
        self, user_id: UUID, node_id: UUID | None, start: datetime, end: datetime, step: HourStep
    ) -> list[Sums]:
        nodes = self._nodes(user_id, node_id)
        first, last = hour_of(start), hour_of(end)
        length = 1 if step == "hour" else DAY_HOURS
        steps: dict[int, Totals] = {}
        for (node, hour), sums in self._db.hours.items():
            if node in nodes and max(first, self._db.from_hour) <= hour < last:
                steps.setdefault(hour // length, Totals()).add_node(sums)
        if step == "day":
            for (node, day), totals in self._db.days.items():
                if node in nodes and first <= day * DAY_HOURS < min(last, self._db.from_hour):
                    steps.setdefault(day, Totals()).add(totals)
        return [
            Sums(
                at=start_of_hour(number * length),
                seconds=sums.seconds,
                bytes_up=sums.bytes_up,
                bytes_down=sums.bytes_down,
                errors=sums.errors,
                answered=sums.answered,
                missed=sums.missed,
                refused=sums.refused,
                rtt_p50_ms=percentile(sums.rtt, 50),
                rtt_p95_ms=percentile(sums.rtt, 95),
            )
            for number, sums in sorted(steps.items())
        ]

    async def network_series(
        self, country: str, start: datetime, end: datetime, step: HourStep
    ) -> list[NetworkSums]:
        first, last = hour_of(start), hour_of(end)
        length = 1 if step == "hour" else DAY_HOURS
        steps: dict[int, Totals] = {}
        for hour, totals in network_totals(self._db, country, first, last).items():
            steps.setdefault(hour // length, Totals()).add(totals)
        if step == "day":
            for (day, where), totals in self._db.network_days.items():
                if where == country and first <= day * DAY_HOURS < min(last, self._db.from_hour):
                    steps[day] = totals
        return [
            NetworkSums(
                at=start_of_hour(number * length),
                nodes=sums.nodes,
                node_hours=sums.node_hours,
                seconds=sums.seconds,
                bytes_up=sums.bytes_up,
                bytes_down=sums.bytes_down,
                answered=sums.answered,
                missed=sums.missed,
                refused=sums.refused,
                rtt_p50_ms=percentile(sums.rtt, 50),
                rtt_p95_ms=percentile(sums.rtt, 95),
            )
            for number, sums in sorted(steps.items())
        ]

    async def countries(self, start: datetime, end: datetime) -> list[CountrySums]:
        first, last = hour_of(start), hour_of(end)
        online: dict[str, int] = {}
        for state in self._db.states.values():
            if state.online:
                country = state.place.country or ""
                online[country] = online.get(country, 0) + 1
        countries = {country: Totals() for country in online}
        for (hour, country), sums in self._db.network_hours.items():
            if max(first, self._db.from_hour) <= hour < last:
                of_hour = Totals()
                of_hour.add_country(sums)
                countries.setdefault(country, Totals()).add(of_hour)
        for (day, country), totals in self._db.network_days.items():
            whole = first <= day * DAY_HOURS and (day + 1) * DAY_HOURS <= min(last, self._db.from_hour)
            if whole and country != EVERYWHERE:
                countries.setdefault(country, Totals()).add(totals)
        return [
            CountrySums(
                country=country or None,
                nodes_online=online.get(country, 0),
                nodes=sums.nodes,
                node_hours=sums.node_hours,
                seconds=sums.seconds,
                bytes_up=sums.bytes_up,
                bytes_down=sums.bytes_down,
                rtt_p50_ms=percentile(sums.rtt, 50),
                rtt_p95_ms=percentile(sums.rtt, 95),
            )
            for country, sums in countries.items()
        ]

    def _nodes(self, user_id: UUID, node_id: UUID | None) -> set[UUID]:
        states = (*self._db.states.values(), *self._db.former.values())
        return {
            state.node_id for state in states if state.user_id == user_id and node_id in (None, state.node_id)
        }


def network_totals(db: MemoryDatabase, country: str, first: int, last: int) -> dict[int, Totals]:
    """What was counted of a country, or `EVERYWHERE`, by hour, in the hours from `first` to before `last`."""
    hours: dict[int, Totals] = {}
    for (hour, where), sums in db.network_hours.items():
        if max(first, db.from_hour) <= hour < last and country in (EVERYWHERE, where):
            hours.setdefault(hour, Totals()).add_country(sums)
    return hours
