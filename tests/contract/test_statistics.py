"""What every `StatisticsStore` and `DayStore` guarantee."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.servers import Databases
from support.stores import Stores, memory_stores, postgres_stores

from core.clock import new_id, to_ms
from storage.base import (
    EVERYWHERE,
    Batch,
    Closed,
    Described,
    Membership,
    Opened,
    Place,
    Pruned,
    Record,
    Report,
    SessionRecord,
    Unrolled,
)
from storage.postgres import connect

DAY = date(2026, 3, 1)
NEXT = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GERMAN, CHILEAN = "192.0.2.1", "192.0.2.2"
PLACES = {GERMAN: Place(country="DE", asn=3320), CHILEAN: Place(country="CL")}


def at(day: int = 0, hour: int = 0, minute: int = 0) -> datetime:
    return MIDNIGHT + timedelta(days=day, hours=hour, minutes=minute)


class Scene:
    """A user with a node in Germany, and a worker that reports."""

    def __init__(self, stores: Stores, user_id: UUID, node_id: UUID) -> None:
        self.stores = stores
        self.statistics = stores.statistics
        self.days = stores.days
        self.user_id = user_id
        self.node_id = node_id
        self.connections: dict[UUID, UUID] = {}
        self._sequence = count(1)

    async def apply(self, *records: Record) -> None:
        batch = Batch("worker-a", next(self._sequence), list(records))
        await self.stores.uptime.apply([batch], PLACES)

    async def open(self, node_id: UUID, when: datetime = MIDNIGHT, address: str = GERMAN) -> UUID:
        """A connection of the node begins; returns its id."""
        connection = self.connections[node_id] = new_id()
        await self.apply(Opened(node_id, connection, to_ms(when), address))
        return connection

    async def report(
        self, day: int, hour: int, start: int, end: int, node_id: UUID | None = None, **counts: int | bytes
    ) -> None:
        """The node was confirmed in these seconds of an hour."""
        node = node_id or self.node_id
        number = int((at(day, hour)).timestamp()) // 3600
        await self.apply(
            Report(node, self.connections[node], number, start, end, number * 3600 + end, **counts)
        )

    async def seconds(
        self, step: str, start: datetime, end: datetime, node_id: UUID | None = None
    ) -> list[tuple[datetime, int]]:
        found = await self.statistics.series(self.user_id, node_id, start, end, step)
        return [(each.at, each.seconds) for each in found]


@pytest.fixture
async def scene(stores: Stores) -> Scene:
    user_id = await stores.add_user()
    scene = Scene(stores, user_id, await stores.add_node(user_id))
    await scene.open(scene.node_id)
    return scene


def round_trips(*buckets: int) -> bytes:
    return bytes(buckets.count(bucket) for bucket in range(16))


async def test_at_first_nothing_is_known(scene: Scene) -> None:
    statistics = scene.statistics
    assert await statistics.minutes(scene.user_id, None, at(), at(1)) == []
    assert await scene.seconds("hour", at(), at(1)) == []
    assert await scene.seconds("day", at(), at(1)) == []
    assert await statistics.network_series(EVERYWHERE, at(), at(1), "hour") == []
    (country,) = await statistics.countries(at(), at(1))
    assert (country.country, country.nodes_online, country.nodes, country.rtt_p50_ms) == ("DE", 1, 0, None)
    assert await scene.days.unrolled(NEXT) == []


async def test_an_hour_holds_what_was_reported_in_it(scene: Scene) -> None:
    counts = {"bytes_up": 5, "bytes_down": 7, "errors": 1, "answered": 3, "missed": 2, "refused": 1}
    await scene.report(0, 10, 0, 90, rtt=round_trips(3, 3, 9), **counts)
    await scene.report(0, 10, 60, 120, rtt=round_trips(4), **counts)
    await scene.report(0, 12, 0, 0)
    first, last = await scene.statistics.series(scene.user_id, scene.node_id, at(), at(1), "hour")
    assert (first.at, first.seconds, first.bytes_up, first.bytes_down) == (at(hour=10), 120, 10, 14)
    assert (first.errors, first.answered, first.missed, first.refused) == (2, 6, 4, 2)
    assert (first.rtt_p50_ms, first.rtt_p95_ms) == (18, 200)
    assert (last.at, last.seconds, last.rtt_p50_ms, last.rtt_p95_ms) == (at(hour=12), 0, None, None)


async def test_a_range_begins_with_its_start_and_ends_before_its_end(scene: Scene) -> None:
    for hour in (9, 10, 11):
        await scene.report(0, hour, 0, 60 + hour)
    found = await scene.seconds("hour", at(hour=10), at(hour=11))
    assert found == [(at(hour=10), 70)]
    minutes = await scene.statistics.minutes(scene.user_id, None, at(hour=10), at(hour=10, minute=1))
    assert minutes == [(at(hour=10), 60)]


@pytest.mark.parametrize("rolled", [False, True])
async def test_a_day_holds_its_hours_rolled_up_or_not(scene: Scene, rolled: bool) -> None:
    for hour in range(24):
        await scene.report(0, hour, 0, 3600, bytes_up=hour, errors=1, rtt=bytes([255] * 16))
    await scene.report(1, 0, 0, 10)
    if rolled:
        await scene.days.roll_up(DAY)
    first, last = await scene.statistics.series(scene.user_id, None, at(), at(2), "day")
    assert (first.at, first.seconds, first.bytes_up, first.errors) == (at(), 86400, 276, 24)
    assert (first.rtt_p50_ms, first.rtt_p95_ms) == (90, 3000)
    assert (last.at, last.seconds) == (at(1), 10)


@pytest.mark.parametrize("bucket", range(16))
async def test_a_day_keeps_every_bucket_of_round_trips_apart(scene: Scene, bucket: int) -> None:
    await scene.report(0, 3, 0, 60, rtt=round_trips(bucket))
    (before,) = await scene.statistics.series(scene.user_id, None, at(), at(1), "day")
    await scene.days.roll_up(DAY)
    (after,) = await scene.statistics.series(scene.user_id, None, at(), at(1), "day")
    assert after == before
    assert after.rtt_p50_ms is not None


async def test_late_reports_count_at_once_and_their_day_is_rolled_up_again(scene: Scene) -> None:
    await scene.report(0, 10, 0, 60)
    await scene.report(1, 10, 0, 60)
    assert await scene.days.unrolled(NEXT) == [Unrolled(day=DAY, rolled_at=None)]
    await scene.days.roll_up(DAY)
    assert await scene.days.unrolled(NEXT) == []
    await scene.report(0, 11, 0, 30)
    assert await scene.seconds("day", at(), at(1)) == [(at(), 90)]
    (again,) = await scene.days.unrolled(NEXT)
    assert again.day == DAY
    assert again.rolled_at is not None
    await scene.days.roll_up(DAY)
    await scene.days.roll_up(DAY)
    assert await scene.days.unrolled(NEXT) == []
    assert await scene.seconds("day", at(), at(2)) == [(at(), 90), (at(1), 60)]
    network = await scene.statistics.network_series(EVERYWHERE, at(), at(1), "day")
    assert [(each.seconds, each.node_hours) for each in network] == [(90, 2)]


async def test_an_hour_that_is_still_the_nodes_current_one_is_rolled_up_too(scene: Scene) -> None:
    await scene.report(0, 23, 0, 3600)
    await scene.days.roll_up(DAY)
    assert await scene.days.unrolled(NEXT) == []
    assert await scene.seconds("day", at(), at(1)) == [(at(), 3600)]
    await scene.report(1, 5, 0, 10)
    assert await scene.days.unrolled(NEXT) == []
    assert await scene.seconds("day", at(), at(2)) == [(at(), 3600), (at(1), 10)]


async def test_all_nodes_of_a_person_are_added_up_and_nobody_elses(scene: Scene) -> None:
    second = await scene.stores.add_node(scene.user_id, "cellar")
    stranger = await scene.stores.add_user()
    foreign = await scene.stores.add_node(stranger)
    for node in (second, foreign):
        await scene.open(node)
    await scene.report(0, 10, 0, 3600)
    await scene.report(0, 10, 30, 90, second)
    await scene.report(0, 10, 0, 7, foreign)
    for step in ("hour", "day"):
        assert [seconds for _, seconds in await scene.seconds(step, at(), at(1))] == [3660]
        assert [seconds for _, seconds in await scene.seconds(step, at(), at(1), second)] == [60]
        assert await scene.seconds(step, at(), at(1), foreign) == []
    minutes = await scene.statistics.minutes(scene.user_id, None, at(hour=10), at(hour=10, minute=3))
    assert [seconds for _, seconds in minutes] == [90, 90, 60]
    assert await scene.statistics.minutes(scene.user_id, foreign, at(), at(1)) == []


async def test_absurd_claims_can_be_read(scene: Scene) -> None:
    second = await scene.stores.add_node(scene.user_id, "cellar")
    await scene.open(second)
    for node in (scene.node_id, second):
        for hour in range(4):
            await scene.report(0, hour, 0, 1, node, bytes_up=(1 << 62) - 1, errors=(1 << 31) - 1)
    await scene.days.roll_up(DAY)
    (day,) = await scene.statistics.series(scene.user_id, None, at(), at(1), "day")
    assert day.bytes_up >= (1 << 62) - 1
    assert await scene.statistics.network_series(EVERYWHERE, at(), at(1), "hour")
    assert await scene.statistics.countries(at(), at(1))


@pytest.mark.parametrize("rolled", [False, True])
async def test_the_network_is_counted_by_country_and_all_together(scene: Scene, rolled: bool) -> None:
    abroad = await scene.stores.add_node(scene.user_id, "abroad")
    hidden = await scene.stores.add_node(scene.user_id, "hidden")
    await scene.open(abroad, address=CHILEAN)
    hidden_connection = await scene.open(hidden, address="10.0.0.1")
    await scene.report(0, 10, 0, 3600, bytes_up=1, answered=2, rtt=round_trips(3))
    await scene.report(0, 10, 0, 60, abroad, bytes_up=4, missed=1, rtt=round_trips(9))
    await scene.report(0, 11, 0, 60, abroad, refused=1)
    await scene.report(0, 11, 0, 30, hidden)
    await scene.apply(Closed(hidden, hidden_connection, to_ms(at(hour=12)), 1000))
    if rolled:
        await scene.days.roll_up(DAY)
    statistics = scene.statistics

    hours = await statistics.network_series(EVERYWHERE, at(), at(1), "hour")
    assert [(each.at, each.nodes, each.node_hours, each.seconds) for each in hours] == [
        (at(hour=10), 2, 2, 3660),
        (at(hour=11), 2, 2, 90),
    ]
    assert (hours[0].bytes_up, hours[0].answered, hours[0].missed, hours[0].rtt_p95_ms) == (5, 2, 1, 200)
    (day,) = await statistics.network_series(EVERYWHERE, at(), at(1), "day")
    assert (day.at, day.nodes, day.node_hours, day.seconds, day.refused) == (at(), 2, 4, 3750, 1)
    chile = await statistics.network_series("CL", at(), at(1), "hour")
    assert [(each.nodes, each.seconds) for each in chile] == [(1, 60), (1, 60)]
    (unknown,) = await statistics.network_series("", at(), at(1), "day")
    assert (unknown.nodes, unknown.seconds, unknown.rtt_p50_ms) == (1, 30, None)
    assert await statistics.network_series("FR", at(), at(1), "hour") == []

    countries = {each.country: each for each in await statistics.countries(at(), at(1))}
    assert set(countries) == {"DE", "CL", None}
    assert (countries["CL"].nodes_online, countries["CL"].nodes, countries["CL"].node_hours) == (1, 1, 2)
    assert (countries["CL"].seconds, countries["CL"].bytes_up, countries["CL"].rtt_p50_ms) == (120, 4, 200)
    assert (countries[None].nodes_online, countries[None].seconds) == (0, 30)
    part = {each.country: each.seconds for each in await statistics.countries(at(hour=11), at(1))}
    assert part == {"DE": 0, "CL": 60, None: 30}


async def test_sessions_are_listed_newest_first_with_what_they_moved(scene: Scene) -> None:
    first = scene.connections[scene.node_id]
    await scene.apply(Described(scene.node_id, first, "1.2.0"))
    await scene.report(0, 0, 0, 60, bytes_up=5, bytes_down=6)
    await scene.apply(Closed(scene.node_id, first, to_ms(at(hour=1)), 1000))
    second = await scene.open(scene.node_id, at(hour=9), CHILEAN)
    await scene.report(0, 9, 0, 60, bytes_up=1, bytes_down=2)

    newest, oldest = await scene.statistics.sessions(scene.user_id, scene.node_id, None, 10)
    assert (newest.session_id, newest.closed_at, newest.code) == (second, None, None)
    assert (newest.bytes_up, newest.bytes_down, newest.country, newest.address) == (1, 2, "CL", CHILEAN)
    assert oldest == SessionRecord(
        session_id=first,
        opened_at=MIDNIGHT,
        closed_at=at(hour=1),
        code=1000,
        worker="worker-a",
        address=GERMAN,
        agent_version="1.2.0",
        connections=1,
        bytes_up=5,
        bytes_down=6,
        country="DE",
        asn=3320,
    )
    assert await scene.statistics.sessions(scene.user_id, scene.node_id, None, 1) == [newest]
    assert await scene.statistics.sessions(scene.user_id, scene.node_id, second, 10) == [oldest]
    stranger = await scene.stores.add_user()
    assert await scene.statistics.sessions(stranger, scene.node_id, None, 10) == []


async def test_a_retired_node_belonged_until_then_and_keeps_its_hours(scene: Scene) -> None:
    await scene.report(0, 10, 0, 60)
    (node,) = await scene.stores.nodes.of_user(scene.user_id, None, 10)
    assert await scene.statistics.memberships(scene.user_id, None) == [
        Membership(enrolled_at=node.created_at, retired_at=None)
    ]
    assert await scene.stores.nodes.retire(scene.user_id, scene.node_id, at(1))
    assert await scene.statistics.memberships(scene.user_id, scene.node_id) == [
        Membership(enrolled_at=node.created_at, retired_at=at(1))
    ]
    assert await scene.seconds("hour", at(), at(1)) == [(at(hour=10), 60)]
    assert len(await scene.statistics.sessions(scene.user_id, scene.node_id, None, 10)) == 1
    assert await scene.statistics.memberships(await scene.stores.add_user(), scene.node_id) == []


async def test_packing_changes_no_answer_and_late_reports_still_count(scene: Scene) -> None:
    for hour, end in ((3, 3600), (5, 60), (7, 0)):
        await scene.report(0, hour, 0, end, bytes_up=1)
    await scene.report(1, 0, 0, 1)
    assert await scene.days.unpacked(NEXT) == []
    await scene.days.roll_up(DAY)
    assert await scene.days.unpacked(NEXT) == [DAY]
    before = await scene.statistics.series(scene.user_id, None, at(), at(2), "hour")
    minutes = await scene.statistics.minutes(scene.user_id, None, at(), at(1))
    assert await scene.days.pack(DAY)
    assert await scene.days.unpacked(NEXT) == []
    assert await scene.statistics.series(scene.user_id, None, at(), at(2), "hour") == before
    assert await scene.statistics.minutes(scene.user_id, None, at(), at(1)) == minutes

    await scene.report(0, 3, 100, 200)
    await scene.report(0, 5, 90, 100)
    await scene.report(0, 7, 10, 30)
    await scene.report(0, 8, 0, 40)
    assert await scene.seconds("hour", at(hour=1), at(1)) == [
        (at(hour=3), 3600),
        (at(hour=5), 70),
        (at(hour=7), 20),
        (at(hour=8), 40),
    ]
    await scene.days.roll_up(DAY)
    assert await scene.days.pack(DAY)
    assert await scene.seconds("day", at(), at(1)) == [(at(), 3730)]


async def test_days_outlive_their_hours(scene: Scene) -> None:
    await scene.report(0, 10, 0, 60, rtt=round_trips(2))
    await scene.report(1, 10, 0, 60)
    await scene.days.roll_up(DAY)
    pruned = await scene.days.prune(NEXT, DAY, MIDNIGHT)
    assert (pruned.sessions, pruned.complete) == (0, True)
    assert await scene.seconds("hour", at(), at(2)) == [(at(1, 10), 60)]
    assert await scene.statistics.minutes(scene.user_id, None, at(), at(1)) == []
    assert await scene.seconds("day", at(), at(2)) == [(at(), 60), (at(1), 60)]
    network = await scene.statistics.network_series(EVERYWHERE, at(), at(2), "day")
    assert [(each.seconds, each.rtt_p50_ms) for each in network] == [(60, 12), (60, None)]
    assert await scene.statistics.network_series("DE", at(), at(1), "hour") == []
    (germany,) = await scene.statistics.countries(at(), at(2))
    assert (germany.seconds, germany.node_hours) == (120, 2)


async def test_hours_that_are_not_rolled_up_are_not_dropped(scene: Scene) -> None:
    await scene.report(0, 10, 0, 60)
    await scene.report(1, 10, 0, 60)
    await scene.report(2, 10, 0, 60)
    await scene.days.roll_up(DAY)
    await scene.days.prune(date(2026, 3, 3), DAY, MIDNIGHT)
    assert await scene.seconds("hour", at(), at(3)) == [(at(1, 10), 60), (at(2, 10), 60)]


async def test_reports_of_hours_that_were_dropped_come_too_late(scene: Scene) -> None:
    await scene.report(0, 10, 0, 60)
    await scene.report(1, 10, 0, 60)
    await scene.days.roll_up(DAY)
    await scene.days.prune(NEXT, DAY, MIDNIGHT)
    await scene.report(0, 11, 0, 60)
    assert await scene.days.unrolled(NEXT) == []
    assert await scene.seconds("day", at(), at(2)) == [(at(), 60), (at(1), 60)]


async def test_months_of_days_and_ended_sessions_are_dropped_in_their_time(scene: Scene) -> None:
    first = scene.connections[scene.node_id]
    await scene.report(-1, 10, 0, 60)
    await scene.apply(Closed(scene.node_id, first, to_ms(at(hour=1)), 1000))
    await scene.open(scene.node_id, at(1))
    await scene.report(1, 10, 0, 60)
    for day in (date(2026, 2, 28), NEXT):
        await scene.days.roll_up(day)
    pruned = await scene.days.prune(date(2026, 3, 3), NEXT, at(hour=1))
    assert (pruned.day_months, pruned.sessions) == (1, 0)
    assert await scene.seconds("day", at(-1), at(2)) == [(at(1), 60)]
    pruned = await scene.days.prune(date(2026, 3, 3), NEXT, at(hour=2))
    assert pruned == Pruned(hour_days=0, day_months=0, sessions=1, complete=True)
    assert len(await scene.statistics.sessions(scene.user_id, scene.node_id, None, 10)) == 1


async def test_days_to_come_are_made_room_for_again_and_again(scene: Scene) -> None:
    for _ in range(2):
        await scene.days.open(DAY, date(2026, 4, 2))
    await scene.report(31, 10, 0, 60)
    await scene.days.roll_up(date(2026, 4, 1))
    assert await scene.seconds("day", at(), at(40)) == [(at(31), 60)]


spans = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3600), st.integers(0, 3600)).map(
        lambda span: (span[0], min(span[1:]), max(span[1:]))
    ),
    max_size=12,
)


@pytest.fixture(params=["memory", "postgres"])
async def shared_scene(
    request: pytest.FixtureRequest, databases: Databases
) -> AsyncIterator[tuple[Stores, UUID]]:
    if request.param == "memory":
        stores = memory_stores()
        yield stores, await stores.add_user()
        return
    dsn = await databases.create()
    pool = await connect(dsn)
    stores = postgres_stores(pool)
    yield stores, await stores.add_user()
    await pool.close()
    await databases.drop(dsn)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=spans)
async def test_minutes_are_those_of_a_set_of_seconds(
    shared_scene: tuple[Stores, UUID], reports: list[tuple[int, int, int]]
) -> None:
    stores, user_id = shared_scene
    scene = Scene(stores, user_id, await stores.add_node(user_id))
    # Another worker for each example: this one's batches are numbered from 1.
    worker = f"worker-{scene.node_id}"
    connection = new_id()
    first = int(MIDNIGHT.timestamp()) // 3600
    records: list[Record] = [Opened(scene.node_id, connection, to_ms(MIDNIGHT), GERMAN)]
    truth: set[int] = set()
    for hour, start, end in reports:
        records.append(
            Report(scene.node_id, connection, first + hour, start, end, (first + hour) * 3600 + end)
        )
        truth.update(range(hour * 3600 + start, hour * 3600 + end))
    await stores.uptime.apply([Batch(worker, 1, records)], PLACES)
    expected: dict[datetime, int] = {}
    for second in sorted(truth):
        minute = MIDNIGHT + timedelta(minutes=second // 60)
        expected[minute] = expected.get(minute, 0) + 1
    found = await stores.statistics.minutes(user_id, scene.node_id, at(), at(1))
    assert found == list(expected.items())
