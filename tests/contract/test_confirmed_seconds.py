"""Which seconds count, in every `UptimeStore`: whatever is heard, in which order, and how often."""

from datetime import UTC, datetime
from itertools import pairwise, permutations
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.observations import HOUR, NOON, NOON_S, Scene
from support.servers import Databases
from support.stores import Stores, memory_stores, postgres_stores

from core.clock import from_ms, new_id
from storage.base import Batch, Health, Opened, Place, Record, Report
from storage.postgres import connect

DRAIN = 4001


@pytest.fixture
async def scene(stores: Stores) -> Scene:
    return await Scene.of(stores)


# --- the union of intervals -----------------------------------------------------------------------


async def test_overlapping_intervals_count_once(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(
        scene.report(connection, 0, 100), scene.report(new_id(), 50, 150), scene.report(connection, 7, 7)
    )
    assert (await scene.node()).confirmed_seconds == 150
    await scene.observe(scene.report(connection, 0, 150), scene.report(connection, 10, 20))
    assert (await scene.node()).confirmed_seconds == 150
    assert (await scene.sums()).confirmed == [(0, 150)]


async def test_what_comes_late_fills_the_hole_it_belongs_to(scene: Scene) -> None:
    for start, end, total in ((100, 200, 100), (300, 400, 200), (190, 310, 300), (0, 10, 310)):
        await scene.observe(scene.report(new_id(), start, end))
        assert (await scene.node()).confirmed_seconds == total
    assert (await scene.sums()).confirmed == [(0, 10), (100, 400)]


async def test_a_full_hour_is_full_and_no_fuller(scene: Scene) -> None:
    await scene.observe(scene.report(new_id(), 0, 3600), scene.report(new_id(), 3599, 3600))
    assert await scene.hours() == [(12, 3600)]
    assert (await scene.sums()).minutes == (1 << 60) - 1


async def test_an_hour_without_a_confirmed_second_is_left_out(scene: Scene) -> None:
    applied = await scene.observe(scene.report(new_id(), 9, 9, bytes_up=5))
    assert applied.touched == {scene.user_id}
    assert await scene.hours() == []
    assert (await scene.sums()).bytes_up == 5


async def test_counts_of_an_hour_add_up_and_stop_at_their_limits(scene: Scene) -> None:
    rtt = bytes([1, 0, 200, 0, 0, 0, 0, 255, 127, *[0] * 6, 3])
    for _ in range(2):
        await scene.observe(
            scene.report(new_id(), 0, 5, bytes_down=1, errors=2, answered=3, missed=4, refused=5, rtt=rtt)
        )
        await scene.observe(scene.report(new_id(), 0, 5, answered=16_000, rtt=b"\1"))
    sums = await scene.sums()
    assert (sums.bytes_down, sums.errors, sums.answered, sums.missed, sums.refused) == (2, 4, 32_006, 8, 10)
    assert sums.rtt == [4, 0, 255, 0, 0, 0, 0, 255, 254, *[0] * 6, 6]
    await scene.observe(*[scene.report(new_id(), 0, 5, answered=900, rtt=bytes([127] * 16))] * 3)
    sums = await scene.sums()
    assert sums.answered == (1 << 15) - 1
    assert sums.rtt == [255] * 16


# --- hours ----------------------------------------------------------------------------------------


async def test_hours_go_by_and_late_ones_are_corrected(scene: Scene) -> None:
    connection = new_id()
    for hour, start, end in (
        (0, 3500, 3600),
        (1, 0, 3600),
        (2, 0, 50),
        (0, 3000, 3550),
        (1, 5, 10),
        (2, 50, 60),
    ):
        await scene.observe(scene.report(connection, start, end, hour=HOUR + hour, bytes_up=1, rtt=b"\1"))
    assert await scene.hours() == [(12, 600), (13, 3600), (14, 60)]
    assert (await scene.node()).confirmed_seconds == 4260
    for hour in range(3):
        sums = await scene.sums(HOUR + hour)
        assert (sums.bytes_up, sums.rtt[0]) == (2, 2)
    network = await scene.network_hours()
    assert {key: sums[:3] for key, sums in network.items()} == {
        (HOUR, ""): (1, 600, 2),
        (HOUR + 1, ""): (1, 3600, 2),
        (HOUR + 2, ""): (1, 60, 2),
    }


async def test_one_call_may_span_hours_and_days(scene: Scene) -> None:
    connection = new_id()
    reports = [scene.report(connection, 0, 10, hour=HOUR + hour, bytes_up=1) for hour in range(60)]
    await scene.observe(reports[0])
    await scene.observe(*reports[1:], *reports[:1])
    assert len(await scene.hours()) == 60
    assert (await scene.node()).confirmed_seconds == 600
    await scene.observe(scene.opened(connection, NOON), *reports)
    assert (await scene.node()).confirmed_seconds == 600
    assert len(await scene.network_hours()) == 60


async def test_of_many_nodes_each_begins_its_hour_from_the_one_it_was_in(stores: Stores) -> None:
    scenes = [await Scene.of(stores) for _ in range(5)]
    there, away, late, steady, _fresh = scenes
    connection = new_id()
    before = {there: 71, away: 0, late: 73, steady: 72}
    for scene, hour in before.items():
        await there.observe(scene.report(connection, 0, 10, hour=HOUR + hour, bytes_up=1))
    await there.observe(*(scene.report(connection, 5, 25, hour=HOUR + 72, bytes_up=2) for scene in scenes))
    found = [await scene.hours() for scene in scenes]
    assert found == [[(11, 10), (12, 20)], [(12, 10), (12, 20)], [(12, 20), (13, 10)], [(12, 25)], [(12, 20)]]
    assert [(await scene.node()).confirmed_seconds for scene in scenes] == [30, 30, 30, 25, 20]
    assert [(await scene.sums(HOUR + 72)).bytes_up for scene in scenes] == [2, 2, 2, 3, 2]
    network = await there.network_hours()
    assert {hour - HOUR: sums[:3] for (hour, _), sums in network.items()} == {
        0: (1, 10, 1),
        71: (1, 10, 1),
        72: (5, 105, 11),
        73: (1, 10, 1),
    }


async def test_a_late_hour_that_was_empty_is_begun(scene: Scene) -> None:
    await scene.observe(scene.report(new_id(), 0, 10, hour=HOUR + 2))
    await scene.observe(scene.report(new_id(), 0, 10, rtt_us=7, at_s=NOON_S - 9))
    await scene.observe(scene.report(new_id(), 5, 20))
    assert await scene.hours() == [(12, 20), (14, 10)]
    assert (await scene.network_hours())[HOUR, ""][0] == 1


async def test_the_network_counts_by_country_and_each_node_once_an_hour(scene: Scene) -> None:
    places = {f"192.0.2.{n}": Place(country=country) for n, country in enumerate(["DE", "DE", "FR"])}
    for n in range(3):
        node_id, connection = await scene.stores.add_node(scene.user_id), new_id()
        await scene.observe(Opened(node_id, connection, NOON, f"192.0.2.{n}"), places=places)
        for start in (0, 30, 60):
            await scene.observe(
                Report(node_id, connection, HOUR, start, start + 30, NOON_S + start, bytes_up=n, rtt=b"\0\2")
            )
    network = await scene.network_hours()
    histogram = [0, 12, *[0] * 14]
    assert network[HOUR, "DE"] == (2, 180, 3, histogram)
    assert network[HOUR, "FR"] == (1, 90, 6, [0, 6, *[0] * 14])


# --- the time between two connections -------------------------------------------------------------


class Return:
    """A node that leaves worker-a and comes back on worker-b, twenty seconds after it was confirmed last."""

    def __init__(self, scene: Scene, code: int = DRAIN, away: int = 10_000) -> None:
        self.scene = scene
        self.first, self.second = new_id(), new_id()
        closed = NOON + 40_000
        self.opened = scene.opened(self.first, NOON + 500)
        self.report = scene.report(self.first, 0, 30)
        self.closed = scene.closed(self.first, closed, code)
        self.opened_again = scene.opened(self.second, closed + away)
        self.back = (closed + away) // 1000 - NOON_S
        self.report_again = scene.report(self.second, self.back, self.back + 20)

    def of_worker(self, record: Record) -> str:
        """Who observes a record."""
        return "worker-a" if record.connection_id == self.first else "worker-b"

    async def observe(self, *records: Record) -> None:
        """Each record in a batch of its own, in a call of its own."""
        for record in records:
            await self.scene.observe(record, worker=self.of_worker(record))


ORDERS = list(permutations(["report", "closed", "opened_again", "report_again"]))


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
async def test_who_comes_back_from_a_drained_worker_loses_nothing(
    scene: Scene, order: tuple[str, ...]
) -> None:
    story = Return(scene)
    await story.observe(story.opened, *(getattr(story, name) for name in order))
    assert (await scene.node()).confirmed_seconds == 70
    assert (await scene.node()).status == "online"


async def test_in_the_usual_order_nothing_is_pending_afterwards(scene: Scene) -> None:
    story = Return(scene)
    await story.observe(story.opened, story.report, story.closed, story.opened_again, story.report_again)
    assert await scene.hours() == [(12, 70)]
    assert (await scene.sums()).confirmed == [(0, 70)]
    assert await scene.pending() == 0


async def test_all_of_it_may_be_in_one_call(scene: Scene) -> None:
    story = Return(scene)
    await scene.stores.uptime.apply(
        [
            scene.batch(story.opened_again, story.report_again, worker="worker-b"),
            scene.batch(story.opened, story.report, story.closed, worker="worker-a"),
        ],
        {},
    )
    assert await scene.hours() == [(12, 70)]
    network = await scene.stores.uptime.network()
    assert network.confirmed_seconds == 70


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
async def test_who_left_by_itself_has_nothing_for_the_time_between(
    scene: Scene, order: tuple[str, ...]
) -> None:
    story = Return(scene, code=1006)
    await story.observe(story.opened, *(getattr(story, name) for name in order))
    assert (await scene.node()).confirmed_seconds == 50
    assert await scene.pending() == 0


async def test_who_comes_back_too_late_has_nothing_for_the_time_between(scene: Scene) -> None:
    story = Return(scene, away=62_000)
    await story.observe(story.opened, story.report, story.closed, story.opened_again, story.report_again)
    assert (await scene.node()).confirmed_seconds == 50
    assert await scene.pending() == 0


async def test_a_new_connection_that_proves_nothing_earns_nothing(scene: Scene) -> None:
    story = Return(scene)
    await story.observe(story.opened, story.report, story.closed, story.opened_again)
    late = scene.report(story.second, story.back + 1, story.back + 20)
    await story.observe(late, scene.report(story.second, story.back, story.back))
    assert (await scene.node()).confirmed_seconds == 49


async def test_the_time_between_is_not_longer_than_a_living_connection_and_the_window_allow(
    scene: Scene,
) -> None:
    connection, again = new_id(), new_id()
    await scene.observe(scene.opened(connection, NOON), scene.report(connection, 0, 30))
    await scene.observe(scene.closed(connection, NOON + 200_000, DRAIN))
    await scene.observe(scene.opened(again, NOON + 210_000), scene.report(again, 210, 220))
    assert (await scene.node()).confirmed_seconds == 40
    await scene.observe(scene.report(connection, 30, 190))
    assert (await scene.node()).confirmed_seconds == 220, "the rest of it was still on its way"


@pytest.mark.parametrize("heard", [0, 1, 2], ids=["before the return", "between", "after it"])
async def test_who_failed_its_challenges_has_nothing_for_the_time_between(scene: Scene, heard: int) -> None:
    story = Return(scene)
    failed = Health(scene.node_id, story.first, NOON + 39_000, False)
    again = [story.opened_again, story.report_again]
    await story.observe(story.opened, story.report, *again[:heard], failed, story.closed, *again[heard:])
    assert (await scene.node()).confirmed_seconds == 50
    assert await scene.pending() == 0


async def test_who_passed_its_challenges_again_loses_nothing_when_that_is_heard_late(scene: Scene) -> None:
    story = Return(scene)
    failed, passed = (Health(scene.node_id, story.first, NOON + at, at > 38_000) for at in (38_000, 39_000))
    await story.observe(story.opened, story.report, failed)
    await story.observe(story.opened_again, story.report_again, passed, story.closed)
    assert (await scene.node()).confirmed_seconds == 70
    assert await scene.pending() == 0


@pytest.mark.parametrize("heard", ["before", "between", "after"])
async def test_who_comes_back_from_a_killed_worker_loses_nothing(scene: Scene, heard: str) -> None:
    story, at = Return(scene), from_ms(NOON + 55_000)
    uptime = scene.stores.uptime
    await story.observe(story.opened, story.report)
    if heard == "before":
        await uptime.close_workers(["worker-b"], at)
    await story.observe(story.opened_again)
    if heard == "between":
        await uptime.close_workers(["worker-b"], at)
    await story.observe(story.report_again)
    if heard == "after":
        assert (await scene.node()).confirmed_seconds == 50
        revision = (await uptime.network()).revision
        assert await uptime.close_workers(["worker-b"], at) == {scene.user_id}
        assert (await uptime.network()).revision == revision + 1
    assert await scene.hours() == [(12, 70)]
    assert (await uptime.network()).confirmed_seconds == 70
    assert await scene.pending() == 0


async def test_a_worker_that_was_not_dead_tells_who_left_by_itself(scene: Scene) -> None:
    story = Return(scene, code=1006)
    await story.observe(story.opened, story.report, story.opened_again)
    await scene.stores.uptime.close_workers(["worker-b"], from_ms(NOON + 55_000))
    await story.observe(story.closed, story.report_again)
    assert (await scene.node()).confirmed_seconds == 50


async def test_what_a_worker_could_still_write_before_its_death_counts_as_well(scene: Scene) -> None:
    story = Return(scene)
    await story.observe(story.opened, story.opened_again, story.report_again)
    await scene.stores.uptime.close_workers(["worker-b"], from_ms(NOON + 55_000))
    await story.observe(story.report)
    assert await scene.hours() == [(12, 70)]


async def test_the_time_between_may_span_an_hour(scene: Scene) -> None:
    first, second = new_id(), new_id()
    edge = NOON + 3_600_000
    await scene.observe(scene.opened(first, edge - 60_000), scene.report(first, 3540, 3580))
    await scene.observe(scene.closed(first, edge - 5_000, DRAIN))
    await scene.observe(scene.opened(second, edge + 5_000), scene.report(second, 5, 15, hour=HOUR + 1))
    assert await scene.hours() == [(12, 60), (13, 15)]


async def test_two_restarts_in_a_row_lose_nothing_either(scene: Scene) -> None:
    first, second, third = new_id(), new_id(), new_id()
    await scene.observe(scene.opened(first, NOON), scene.report(first, 0, 30), worker="worker-a")
    await scene.observe(scene.opened(second, NOON + 40_000), worker="worker-b")
    await scene.observe(scene.opened(third, NOON + 50_000), scene.report(third, 50, 60), worker="worker-c")
    assert (await scene.node()).confirmed_seconds == 40
    await scene.stores.uptime.close_workers(["worker-c"], from_ms(NOON + 70_000))
    assert await scene.hours() == [(12, 60)]
    assert await scene.pending() == 0


async def test_of_two_ends_only_ours_earns(scene: Scene) -> None:
    first, second, third = new_id(), new_id(), new_id()
    await scene.observe(scene.opened(first, NOON), scene.report(first, 0, 30), worker="worker-a")
    await scene.observe(scene.closed(first, NOON + 31_000, 1006), worker="worker-a")
    await scene.observe(scene.opened(second, NOON + 40_000), worker="worker-b")
    await scene.observe(scene.closed(second, NOON + 45_000, DRAIN), worker="worker-b")
    await scene.observe(scene.opened(third, NOON + 50_000), scene.report(third, 50, 60), worker="worker-c")
    assert (await scene.sums()).confirmed == [(0, 30), (40, 60)]


async def test_a_connection_heard_of_late_is_followed_by_the_next_one(scene: Scene) -> None:
    first, second, third = new_id(), new_id(), new_id()
    await scene.observe(scene.opened(third, NOON + 50_000), scene.report(third, 50, 60), worker="worker-c")
    await scene.observe(scene.opened(second, NOON + 40_000), scene.report(second, 40, 45), worker="worker-b")
    await scene.observe(scene.opened(first, NOON), scene.report(first, 0, 30), worker="worker-a")
    await scene.observe(scene.closed(first, NOON + 35_000, DRAIN), worker="worker-a")
    await scene.observe(scene.closed(second, NOON + 46_000, 1000), worker="worker-b")
    assert (await scene.sums()).confirmed == [(0, 45), (50, 60)]


async def test_what_is_never_settled_is_forgotten_after_a_day(scene: Scene) -> None:
    first, second = new_id(), new_id()
    await scene.observe(scene.opened(first, NOON), scene.opened(second, NOON + 10_000))
    assert await scene.pending() == 1
    await scene.stores.uptime.close_workers(["worker-a"], from_ms(NOON + 86_400_000))
    assert await scene.pending() == 1
    await scene.stores.uptime.close_workers(["worker-a"], from_ms(NOON + 86_400_001))
    assert await scene.pending() == 0


# --- against a set of seconds ---------------------------------------------------------------------

Interval = tuple[int, int, int]
intervals = st.tuples(st.integers(0, 2), st.integers(0, 3600), st.integers(0, 700)).map(
    lambda each: (each[0], each[1], min(3600, each[1] + each[2]))
)
workers = st.lists(st.lists(st.lists(intervals, max_size=4), max_size=4), min_size=1, max_size=3)


class Heard:
    """Batches of several workers and the calls in which they arrive: in any order, any number of times."""

    def __init__(self, intervals: list[list[list[Interval]]], calls: list[list[tuple[int, int]]]) -> None:
        self.intervals = intervals
        self.calls = calls

    def __repr__(self) -> str:
        return f"Heard({self.intervals}, {self.calls})"


@st.composite
def heard(draw: st.DrawFn) -> Heard:
    observed = draw(workers)
    all_batches = [(w, b) for w, batches in enumerate(observed) for b in range(len(batches))]
    repeated = draw(st.lists(st.sampled_from(all_batches), max_size=5)) if all_batches else []
    order = draw(st.permutations([*all_batches, *repeated]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    edges = [0, *cuts, len(order)]
    return Heard(observed, [order[start:end] for start, end in pairwise(edges)])


async def check_against_model(stores: Stores, told: Heard) -> None:
    scene = await Scene.of(stores)
    connections = [new_id() for _ in told.intervals]

    def batch(worker: int, number: int) -> Batch:
        records: list[Record] = [
            scene.report(connections[worker], start, end, hour=HOUR + hour, bytes_up=1)
            for hour, start, end in told.intervals[worker][number]
        ]
        return Batch(f"{scene.node_id} {worker}", number + 1, records)

    for call in told.calls:
        await stores.uptime.apply([batch(*each) for each in call], {})
    seconds = {
        hour * 3600 + second
        for batches in told.intervals
        for reported in batches
        for hour, start, end in reported
        for second in range(start, end)
    }
    expected = [
        (
            datetime.fromtimestamp((HOUR + hour) * 3600, UTC),
            len(seconds & set(range(hour * 3600, hour * 3600 + 3600))),
        )
        for hour in range(3)
    ]
    assert await stores.uptime.hours(scene.user_id, scene.node_id) == [each for each in expected if each[1]]
    assert (await scene.node()).confirmed_seconds == len(seconds)
    by_hour: dict[int, int] = {}
    for batches in told.intervals:
        for reported in batches:
            for hour, _, _ in reported:
                by_hour[hour] = by_hour.get(hour, 0) + 1
    for hour, count in by_hour.items():
        sums = await scene.sums(HOUR + hour)
        assert (sums.bytes_up, sums.seconds) == (count, expected[hour][1])


@given(heard())
@settings(max_examples=150, deadline=None)
async def test_in_memory_the_seconds_are_those_of_the_model(told: Heard) -> None:
    await check_against_model(memory_stores(), told)


@pytest.fixture(scope="module")
async def shared_stores(databases: Databases):
    dsn = await databases.create()
    pool = await connect(dsn)
    yield postgres_stores(pool)
    await pool.close()
    await databases.drop(dsn)


# The examples share a database: each has a user, a node and workers of its own.
@given(told=heard())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_in_postgresql_the_seconds_are_those_of_the_model(shared_stores: Stores, told: Heard) -> None:
    before = (await shared_stores.uptime.network()).confirmed_seconds
    await check_against_model(shared_stores, told)
    after = (await shared_stores.uptime.network()).confirmed_seconds
    seconds: set[UUID | int] = set()
    for batches in told.intervals:
        for reported in batches:
            for hour, start, end in reported:
                seconds.update(range(hour * 3600 + start, hour * 3600 + end))
    assert after - before == len(seconds)
