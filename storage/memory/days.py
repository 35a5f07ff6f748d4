"""The upkeep of what was measured."""

from datetime import date, datetime
from uuid import UUID

from storage.base import EVERYWHERE, Pruned, Unrolled
from storage.days import DAY_HOURS, day_numbered, number_of
from storage.memory.database import MemoryDatabase
from storage.memory.statistics import network_totals
from storage.statistics import Totals


class MemoryDays:
    """`DayStore` in memory: the hours count for as long as they are there, then the days."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def open(self, first: date, last: date) -> None:
        """Memory has room for every day."""

    async def unrolled(self, before: date) -> list[Unrolled]:
        return [
            Unrolled(day=day_numbered(day), rolled_at=self._db.rolled.get(day))
            for day in self._measured(number_of(before))
            if not self._is_rolled(day)
        ]

    async def roll_up(self, day: date) -> None:
        number = number_of(day)
        for node_id, totals in self._nodes(number).items():
            self._db.days[node_id, number] = totals
        for country, totals in self._countries(number).items():
            self._db.network_days[number, country] = totals
        self._db.rolled[number] = self._db.clock.now()

    async def unpacked(self, before: date) -> list[date]:
        return [
            day_numbered(day)
            for day in self._measured(number_of(before))
            if self._is_rolled(day) and day not in self._db.packed
        ]

    async def pack(self, day: date) -> bool:
        self._db.packed.add(number_of(day))
        return True

    async def prune(self, hours_from: date, days_from: date, sessions_from: datetime) -> Pruned:
        db = self._db
        unrolled = await self.unrolled(hours_from)
        first_hour = number_of(unrolled[0].day if unrolled else hours_from) * DAY_HOURS
        dropped = {hour // DAY_HOURS for _, hour in db.hours if hour < first_hour}
        db.from_hour = max(db.from_hour, first_hour)
        db.hours = {key: sums for key, sums in db.hours.items() if key[1] >= first_hour}
        db.network_hours = {key: sums for key, sums in db.network_hours.items() if key[0] >= first_hour}
        # Whole months, and the network by days, as in a database.
        month = number_of(days_from.replace(day=1))
        months = {day_numbered(day).replace(day=1) for _, day in db.days if day < month}
        db.days = {key: totals for key, totals in db.days.items() if key[1] >= month}
        first_day = number_of(days_from)
        db.network_days = {key: totals for key, totals in db.network_days.items() if key[0] >= first_day}
        ended = [
            key
            for key, session in db.node_sessions.items()
            if session.closed_at is not None and session.closed_at < sessions_from
        ]
        for key in ended:
            del db.node_sessions[key]
        return Pruned(hour_days=len(dropped), day_months=len(months), sessions=len(ended), complete=True)

    def _measured(self, before: int) -> list[int]:
        days = {hour // DAY_HOURS for _, hour in self._db.hours}
        return sorted(day for day in days if self._db.from_hour // DAY_HOURS <= day < before)

    def _is_rolled(self, day: int) -> bool:
        days, network = self._db.days, self._db.network_days
        return all(days.get((node, day)) == totals for node, totals in self._nodes(day).items()) and all(
            network.get((day, country)) == totals for country, totals in self._countries(day).items()
        )

    def _nodes(self, day: int) -> dict[UUID, Totals]:
        nodes: dict[UUID, Totals] = {}
        for (node_id, hour), sums in self._db.hours.items():
            if hour // DAY_HOURS == day:
                nodes.setdefault(node_id, Totals()).add_node(sums)
        return nodes

    def _countries(self, day: int) -> dict[str, Totals]:
        bounds = day * DAY_HOURS, (day + 1) * DAY_HOURS
        countries: dict[str, Totals] = {}
        for country in {EVERYWHERE} | {where for _, where in self._db.network_hours}:
            for totals in network_totals(self._db, country, *bounds).values():
                countries.setdefault(country, Totals()).add(totals)
        return countries
