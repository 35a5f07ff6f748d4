"""The upkeep of the statistics, day by day."""

from datetime import UTC, date, datetime, timedelta

import pytest

from core.clock import ManualClock
from core.errors import StorageUnavailable
from core.jobs import DailyUpkeep
from storage.base import Pruned, Unrolled

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
TODAY = MIDNIGHT.date()
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Days:
    """A store that writes down what it is asked to do."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.done: list[tuple[object, ...]] = []
        self.waiting: dict[date, datetime | None] = {}
        self.loose: set[date] = set()
        self.busy = False
        self.away = False

    async def open(self, first: date, last: date) -> None:
        self.done.append(("open", first, last))

    async def unrolled(self, before: date) -> list[Unrolled]:
        days = sorted(day for day in self.waiting if day < before)
        return [Unrolled(day=day, rolled_at=self.waiting[day]) for day in days]

    async def roll_up(self, day: date) -> None:
        if self.away:
            raise StorageUnavailable("away")
        self.done.append(("roll_up", day))
        del self.waiting[day]
        self.loose.add(day)

    async def unpacked(self, before: date) -> list[date]:
        return sorted(day for day in self.loose if day < before)

    async def pack(self, day: date) -> bool:
        if self.busy:
            return False
        self.done.append(("pack", day))
        self.loose.discard(day)
        return True

    async def prune(self, hours_from: date, days_from: date, sessions_from: datetime) -> Pruned:
        if not self.busy:
            self.done.append(("prune", hours_from, days_from, sessions_from))
        return Pruned(hour_days=1, day_months=2, sessions=3, complete=not self.busy)

    def take(self) -> list[tuple[object, ...]]:
        """What was done since the last time."""
        done, self.done = self.done, []
        return done


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MIDNIGHT)


@pytest.fixture
def days(clock: ManualClock) -> Days:
    return Days(clock)


@pytest.fixture
def upkeep(days: Days, clock: ManualClock) -> DailyUpkeep:
    return DailyUpkeep(days, clock, hour_days=35, day_days=1100, session_days=90)


async def test_room_is_made_and_what_is_old_dropped_once_a_day(
    upkeep: DailyUpkeep, days: Days, clock: ManualClock
) -> None:
    await upkeep.step()
    assert days.take() == [
        ("open", TODAY - DAY, TODAY + 3 * DAY),
        ("prune", TODAY - 35 * DAY, TODAY - 1100 * DAY, MIDNIGHT - 90 * DAY),
    ]
    clock.advance(23 * HOUR)
    await upkeep.step()
    assert days.take() == []
    clock.advance(HOUR)
    await upkeep.step()
    assert [name for name, *_ in days.take()] == ["open", "prune"]
    metrics = upkeep.metrics()
    assert metrics["hour_days_pruned_total"] == 2
    assert metrics["day_months_pruned_total"] == 4
    assert metrics["node_sessions_pruned_total"] == 6


async def test_a_day_is_rolled_up_a_while_after_its_end(
    upkeep: DailyUpkeep, days: Days, clock: ManualClock
) -> None:
    await upkeep.step()
    days.take()
    days.waiting = {TODAY - DAY: None, TODAY: None}
    await upkeep.step()
    assert days.take() == []
    assert upkeep.metrics()["days_to_roll_up"] == 1
    clock.advance(10 * MINUTE)
    await upkeep.step()
    assert days.take() == [("roll_up", TODAY - DAY)]
    assert upkeep.metrics()["days_to_roll_up"] == 0
    assert upkeep.metrics()["days_rolled_up_total"] == 1


async def test_after_a_pause_all_days_are_caught_up_oldest_first(upkeep: DailyUpkeep, days: Days) -> None:
    missed = [TODAY - age * DAY for age in (5, 4, 3, 2)]
    days.waiting = dict.fromkeys(missed)
    await upkeep.step()
    done = days.take()
    assert [day for name, day, *_ in done if name == "roll_up"] == missed
    assert [day for name, day, *_ in done if name == "pack"] == missed
    names = [name for name, *_ in done]
    assert names.index("roll_up") < names.index("prune") < names.index("pack")


async def test_a_day_that_changed_is_rolled_up_again_an_hour_later(
    upkeep: DailyUpkeep, days: Days, clock: ManualClock
) -> None:
    await upkeep.step()
    days.take()
    days.waiting = {TODAY - 4 * DAY: clock.now()}
    clock.advance(59 * MINUTE)
    await upkeep.step()
    assert days.take() == []
    clock.advance(MINUTE)
    await upkeep.step()
    assert ("roll_up", TODAY - 4 * DAY) in days.take()


async def test_a_day_is_packed_when_the_one_after_it_is_over(
    upkeep: DailyUpkeep, days: Days, clock: ManualClock
) -> None:
    days.loose = {TODAY - DAY}
    await upkeep.step()
    assert "pack" not in [name for name, *_ in days.take()]
    clock.advance(DAY)
    await upkeep.step()
    assert ("pack", TODAY - DAY) in days.take()
    assert upkeep.metrics()["days_packed_total"] == 1


async def test_what_is_in_use_waits_for_the_next_step(upkeep: DailyUpkeep, days: Days) -> None:
    days.loose, days.busy = {TODAY - 3 * DAY}, True
    await upkeep.step()
    assert [name for name, *_ in days.take()] == ["open"]
    days.busy = False
    await upkeep.step()
    assert [name for name, *_ in days.take()] == ["prune", "pack"]


async def test_a_server_that_is_away_loses_nothing(upkeep: DailyUpkeep, days: Days) -> None:
    days.waiting, days.away = {TODAY - 2 * DAY: None}, True
    with pytest.raises(StorageUnavailable):
        await upkeep.step()
    assert upkeep.metrics()["days_rolled_up_total"] == 0
    days.away = False
    await upkeep.step()
    assert ("roll_up", TODAY - 2 * DAY) in days.take()
