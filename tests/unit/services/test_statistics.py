"""What people are told of what was measured."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from support.stores import make_node, make_user, memory_stores

from core.clock import ManualClock, new_id, to_ms
from core.errors import InvalidInput, NotFound
from services.statistics import MOST_POINTS, Point, Statistics
from storage.base import Batch, Opened, Place, Record, Report

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Scene:
    """A person with a node enrolled at ten, at noon of the same day."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.stores = memory_stores()
        self.statistics = Statistics(self.stores.statistics, self.clock, hour_days=35, day_days=400)
        user = make_user()
        self.user_id = user.user_id
        self._user = user
        self._sequence = count(1)

    async def enrol(self, at: datetime = NOON - 2 * HOUR) -> UUID:
        await self.stores.users.add(self._user)
        node = make_node(self.user_id, created_at=at)
        await self.stores.nodes.enrol(node)
        return node.node_id

    async def report(self, node_id: UUID, hour: datetime, start: int, end: int, **counts: int) -> None:
        number = int(hour.timestamp()) // 3600
        connection = new_id()
        records: list[Record] = [
            Opened(node_id, connection, to_ms(hour), "192.0.2.1"),
            Report(node_id, connection, number, start, end, number * 3600 + end, **counts),
        ]
        batch = Batch("worker-a", next(self._sequence), records)
        await self.stores.uptime.apply([batch], {"192.0.2.1": Place(country="DE")})


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_gaps_are_none_and_never_zero(scene: Scene) -> None:
    node = await scene.enrol()
    await scene.report(node, NOON - 2 * HOUR, 0, 1800, bytes_up=7)
    series = await scene.statistics.series(scene.user_id, node, NOON - 4 * HOUR, NOON + HOUR, "hour")
    before, also_before, measured, away, to_come = series.points
    assert [point.at for point in series.points] == [NOON + n * HOUR for n in range(-4, 1)]
    assert (measured.seconds, measured.uptime, measured.bytes_up, measured.errors) == (1800, 5000, 7, 0)
    assert measured.rtt_p50_ms is None
    for gap in (before, also_before, away, to_come):
        assert gap == Point(at=gap.at)


async def test_uptime_is_the_share_of_the_time_that_was_possible(scene: Scene) -> None:
    node = await scene.enrol(NOON - 90 * timedelta(minutes=1))
    await scene.report(node, NOON - 2 * HOUR, 1800, 3600)
    await scene.report(node, NOON - HOUR, 0, 2700)
    series = await scene.statistics.series(scene.user_id, node, NOON - DAY, NOON + DAY, "hour")
    assert (series.seconds, series.uptime) == (4500, 8333)
    assert [point.uptime for point in series.points if point.seconds is not None] == [10_000, 7500]
    scene.clock.advance(timedelta(minutes=30))
    await scene.report(node, NOON, 0, 900)
    series = await scene.statistics.series(scene.user_id, node, NOON, NOON + HOUR, "hour")
    assert series.points[0].uptime == 5000


async def test_before_anything_was_possible_there_is_no_uptime(scene: Scene) -> None:
    node = await scene.enrol()
    series = await scene.statistics.series(scene.user_id, node, NOON - DAY, NOON - 3 * HOUR, "hour")
    assert (series.seconds, series.uptime) == (0, None)
    series = await scene.statistics.series(scene.user_id, node, NOON - HOUR, NOON, "hour")
    assert (series.seconds, series.uptime) == (0, 0)


async def test_all_nodes_share_the_time_and_a_retired_one_only_until_then(scene: Scene) -> None:
    first, second = await scene.enrol(), await scene.enrol(NOON - HOUR)
    for hour in (1, 2):
        await scene.report(first, NOON - hour * HOUR, 0, 3600)
    await scene.report(second, NOON - HOUR, 0, 900)
    assert await scene.stores.nodes.retire(scene.user_id, second, NOON - HOUR / 2)
    series = await scene.statistics.series(scene.user_id, None, NOON - 2 * HOUR, NOON, "hour")
    assert [(point.seconds, point.uptime) for point in series.points] == [(3600, 10_000), (4500, 8333)]
    assert series.uptime == 8100 * 10_000 // 9000
    alone = await scene.statistics.series(scene.user_id, second, NOON - 2 * HOUR, NOON, "day")
    assert alone.uptime == 5000


async def test_minutes_have_seconds_alone(scene: Scene) -> None:
    node = await scene.enrol()
    await scene.report(node, NOON - HOUR, 30, 150, bytes_up=1)
    start = NOON - HOUR
    series = await scene.statistics.series(scene.user_id, node, start, start + HOUR / 12, "minute")
    assert [point.seconds for point in series.points] == [30, 60, 30, None, None]
    assert [point.uptime for point in series.points] == [5000, 10_000, 5000, None, None]
    assert series.points[0].bytes_up is None


async def test_a_range_is_widened_to_full_steps(scene: Scene) -> None:
    node = await scene.enrol()
    second = timedelta(seconds=1)
    series = await scene.statistics.series(scene.user_id, node, NOON + second, NOON + 2 * second, "day")
    assert (series.start, series.end, len(series.points)) == (
        NOON.replace(hour=0),
        NOON.replace(hour=0) + DAY,
        1,
    )


@pytest.mark.parametrize(
    ("start", "end", "step", "code"),
    [
        (NOON, NOON, "hour", "range_invalid"),
        (NOON, NOON - HOUR, "day", "range_invalid"),
        (NOON, datetime.max.replace(tzinfo=UTC), "day", "range_invalid"),
        (NOON, NOON + timedelta(minutes=MOST_POINTS + 1), "minute", "range_too_long"),
        (NOON - 36 * DAY, NOON - 36 * DAY + HOUR, "minute", "range_too_old"),
        (NOON - 36 * DAY, NOON, "hour", "range_too_old"),
        (NOON - 402 * DAY, NOON, "day", "range_too_old"),
    ],
)
async def test_other_ranges_are_refused(
    scene: Scene, start: datetime, end: datetime, step: str, code: str
) -> None:
    node = await scene.enrol()
    with pytest.raises(InvalidInput) as refused:
        await scene.statistics.series(scene.user_id, node, start, end, step)
    assert refused.value.code == code


async def test_the_longest_and_the_oldest_range_are_answered(scene: Scene) -> None:
    node = await scene.enrol()
    longest = await scene.statistics.series(
        scene.user_id, node, NOON - MOST_POINTS * timedelta(minutes=1), NOON, "minute"
    )
    assert len(longest.points) == MOST_POINTS
    assert await scene.statistics.series(scene.user_id, node, NOON - 35 * DAY, NOON, "hour")


async def test_a_node_is_its_owners_business(scene: Scene) -> None:
    node = await scene.enrol()
    for user_id, node_id in ((new_id(), node), (scene.user_id, new_id())):
        with pytest.raises(NotFound, match="node_not_found"):
            await scene.statistics.series(user_id, node_id, NOON - HOUR, NOON, "hour")
        with pytest.raises(NotFound, match="node_not_found"):
            await scene.statistics.sessions(user_id, node_id, None, 10)
    assert await scene.statistics.sessions(scene.user_id, node, None, 10) == []


async def test_somebody_without_nodes_has_an_empty_series(scene: Scene) -> None:
    series = await scene.statistics.series(new_id(), None, NOON - HOUR, NOON, "hour")
    assert (series.seconds, series.uptime, series.points) == (0, None, [Point(at=NOON - HOUR)])


async def test_the_network_has_gaps_too(scene: Scene) -> None:
    node = await scene.enrol()
    await scene.report(node, NOON - HOUR, 0, 360, bytes_down=9)
    for country in (None, "DE"):
        series = await scene.statistics.network_series(country, NOON - 2 * HOUR, NOON, "hour")
        gap, point = series.points
        assert (gap.nodes, gap.seconds, gap.uptime) == (None, None, None)
        assert (point.nodes, point.seconds, point.uptime, point.bytes_down) == (1, 360, 1000, 9)
    elsewhere = await scene.statistics.network_series("FR", NOON - 2 * HOUR, NOON, "day")
    assert [point.seconds for point in elsewhere.points] == [None]


async def test_countries_come_with_most_nodes_first_and_the_unknown_last(scene: Scene) -> None:
    node = await scene.enrol()
    await scene.report(node, NOON - HOUR, 0, 360)
    (germany,) = await scene.statistics.countries(NOON - HOUR, NOON)
    assert (germany.country, germany.nodes_online, germany.nodes, germany.uptime) == ("DE", 1, 1, 1000)
    abroad = [await scene.enrol() for _ in range(3)]
    for sequence, (other, address) in enumerate(zip(abroad, ("a", "a", "b"), strict=True), 1):
        record = Opened(other, new_id(), to_ms(NOON), address)
        batch = Batch("worker-b", sequence, [record])
        await scene.stores.uptime.apply([batch], {"a": Place(), "b": Place(country="AT")})
    found = await scene.statistics.countries(NOON - HOUR, NOON)
    assert [(each.country, each.uptime) for each in found] == [("DE", 1000), ("AT", None), (None, None)]


async def test_days_that_were_dropped_are_gaps(scene: Scene) -> None:
    node = await scene.enrol(NOON - 3 * DAY)
    await scene.report(node, NOON - 2 * DAY, 0, 60)
    await scene.stores.days.roll_up(date(2026, 3, 8))
    await scene.stores.days.prune(date(2026, 3, 10), date(2026, 4, 1), NOON)
    series = await scene.statistics.series(scene.user_id, node, NOON - 2 * DAY, NOON, "day")
    assert [point.seconds for point in series.points] == [None, None, None]
