"""What every `UptimeStore` guarantees."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.servers import Databases
from support.stores import Stores, memory_stores, postgres_stores

from core.clock import from_ms, new_id
from storage.base import Batch, Closed, Confirmed, NodeTotals, Opened, Record, Reported
from storage.postgres import connect

HOUR = 3_600_000
# 2026-03-01 12:00 UTC
NOON = 1_772_366_400_000


class Scene:
    """One user with one node, and a worker that observes it."""

    def __init__(self, stores: Stores, user_id: UUID, node_id: UUID) -> None:
        self.stores = stores
        self.user_id = user_id
        self.node_id = node_id
        self._sequences: dict[str, count[int]] = {}

    def opened(self, session: UUID, at: int) -> Opened:
        return Opened(self.node_id, session, at, "192.0.2.7")

    def confirmed(self, start: int, end: int, session: UUID | None = None) -> Confirmed:
        return Confirmed(self.node_id, session or new_id(), start, end)

    def closed(self, session: UUID, at: int) -> Closed:
        return Closed(self.node_id, session, at, 1000)

    def reported(self, session: UUID, at: int, **changes: int | str) -> Reported:
        facts = {"bytes_up": 1, "bytes_down": 2, "errors": 0, "agent_version": "1.0"}
        return Reported(self.node_id, session, at, **{**facts, **changes})

    def batch(self, *records: Record, worker: str = "worker-a") -> Batch:
        number = next(self._sequences.setdefault(worker, count(1)))
        return Batch(worker, number, list(records))

    async def observe(self, *records: Record, worker: str = "worker-a") -> set[UUID]:
        """Apply records as the next batch of `worker`."""
        return await self.stores.uptime.apply([self.batch(*records, worker=worker)], "1-1")

    async def node(self) -> NodeTotals:
        """The node's state now."""
        (totals,) = (await self.stores.uptime.totals([self.user_id]))[self.user_id].nodes
        return totals

    async def hours(self) -> list[tuple[int, int]]:
        """(hour of the day, confirmed milliseconds)."""
        hours = await self.stores.uptime.hours(self.user_id, self.node_id)
        return [(hour.hour, confirmed) for hour, confirmed in hours]


@pytest.fixture
async def scene(stores: Stores) -> Scene:
    user_id = await stores.add_user()
    return Scene(stores, user_id, await stores.add_node(user_id))


async def test_at_first_nothing_is_known(scene: Scene) -> None:
    uptime = scene.stores.uptime
    assert await uptime.cursor() == "0-0"
    assert await scene.node() == NodeTotals(
        node_id=scene.node_id, name="attic", online=False, since=None, confirmed_ms=0
    )
    assert await scene.hours() == []
    network = await uptime.network()
    assert (network.nodes_online, network.nodes_total, network.users_total) == (0, 1, 1)
    assert network.confirmed_seconds == 0


async def test_a_node_is_online_from_its_opening_to_its_close(scene: Scene) -> None:
    session = new_id()
    assert await scene.observe(scene.opened(session, NOON)) == {scene.user_id}
    node = await scene.node()
    assert (node.online, node.since) == (True, from_ms(NOON))
    assert await scene.observe(scene.closed(session, NOON + 5)) == {scene.user_id}
    node = await scene.node()
    assert (node.online, node.since) == (False, from_ms(NOON + 5))


async def test_the_end_of_an_older_connection_changes_nothing(scene: Scene) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(old, NOON), scene.opened(new, NOON + 10))
    await scene.observe(scene.closed(old, NOON + 20))
    node = await scene.node()
    assert (node.online, node.since) == (True, from_ms(NOON))
    await scene.observe(scene.closed(new, NOON + 30))
    node = await scene.node()
    assert (node.online, node.since) == (False, from_ms(NOON + 30))


async def test_workers_may_be_heard_in_any_order(scene: Scene) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(new, NOON + 10), worker="worker-b")
    await scene.observe(scene.opened(old, NOON), scene.closed(old, NOON + 20), worker="worker-a")
    assert (await scene.node()).online
    await scene.observe(scene.closed(new, NOON + 30), worker="worker-b")
    await scene.observe(scene.opened(new_id(), NOON + 29), worker="worker-a")
    assert (await scene.node()).online


async def test_of_two_connections_opened_at_once_the_greater_id_is_the_newer(scene: Scene) -> None:
    old, new = sorted([new_id(), new_id()])
    await scene.observe(scene.opened(new, NOON), worker="worker-b")
    await scene.observe(scene.opened(old, NOON), scene.closed(old, NOON + 1), worker="worker-a")
    assert (await scene.node()).online


async def test_overlapping_intervals_count_once(scene: Scene) -> None:
    await scene.observe(
        scene.confirmed(NOON, NOON + 100), scene.confirmed(NOON + 50, NOON + 150), scene.confirmed(NOON, NOON)
    )
    assert (await scene.node()).confirmed_ms == 150
    await scene.observe(scene.confirmed(NOON, NOON + 150))
    assert (await scene.node()).confirmed_ms == 150


async def test_intervals_are_cut_at_the_edges_of_hours(scene: Scene) -> None:
    await scene.observe(scene.confirmed(NOON - 10, NOON + 2 * HOUR + 5))
    assert await scene.hours() == [(11, 10), (12, HOUR), (13, HOUR), (14, 5)]
    await scene.observe(scene.confirmed(NOON + 2 * HOUR, NOON + 2 * HOUR + 7))
    assert await scene.hours() == [(11, 10), (12, HOUR), (13, HOUR), (14, 7)]
    assert (await scene.node()).confirmed_ms == 2 * HOUR + 17


async def test_hours_are_shown_to_their_owner_only(scene: Scene) -> None:
    await scene.observe(scene.confirmed(NOON, NOON + 1))
    stranger = await scene.stores.add_user()
    assert await scene.stores.uptime.hours(stranger, scene.node_id) == []


async def test_an_hour_with_reports_alone_is_left_out(scene: Scene) -> None:
    assert await scene.observe(scene.reported(new_id(), NOON)) == {scene.user_id}
    assert await scene.hours() == []


async def test_absurd_claims_of_a_node_neither_fail_nor_stop_the_rest(scene: Scene) -> None:
    session = new_id()
    absurd = scene.reported(session, NOON, bytes_up=1 << 63, bytes_down=1 << 70, agent_version="1\0" * 5)
    for _ in range(3):
        await scene.observe(scene.opened(session, NOON), absurd, scene.confirmed(NOON, NOON + 9))
    assert (await scene.node()).confirmed_ms == 9


async def test_a_batch_is_applied_exactly_once(scene: Scene) -> None:
    session = new_id()
    first = scene.batch(scene.opened(session, NOON))
    second = scene.batch(scene.closed(session, NOON + 5))
    third = scene.batch(scene.opened(new_id(), NOON + 6))
    apply = scene.stores.uptime.apply
    assert await apply([first, second], "1-2") == {scene.user_id}
    assert await apply([first], "1-2") == set()
    assert await apply([first, second, third, third], "1-3") == {scene.user_id}
    node = await scene.node()
    assert (node.online, node.since) == (True, from_ms(NOON + 6))


async def test_batches_of_different_workers_are_counted_apart(scene: Scene) -> None:
    for worker in ("worker-a", "worker-b"):
        assert await scene.observe(scene.opened(new_id(), NOON), worker=worker) == {scene.user_id}


async def test_the_cursor_and_the_revision_move_with_every_call(scene: Scene) -> None:
    uptime = scene.stores.uptime
    before = (await uptime.network()).revision
    await uptime.apply([], "5-1")
    await uptime.apply([scene.batch(scene.opened(new_id(), NOON))], "5-2")
    assert await uptime.cursor() == "5-2"
    assert (await uptime.network()).revision == before + 2


async def test_records_of_unknown_nodes_are_ignored(scene: Scene) -> None:
    stranger = new_id()
    touched = await scene.observe(
        Opened(stranger, new_id(), NOON, "192.0.2.8"),
        Confirmed(stranger, new_id(), NOON, NOON + 5),
        scene.confirmed(NOON, NOON + 5),
    )
    assert touched == {scene.user_id}
    assert (await scene.node()).confirmed_ms == 5


async def test_concurrent_calls_lose_nothing(scene: Scene) -> None:
    batches = [
        scene.batch(
            scene.reported(new_id(), NOON), scene.opened(new_id(), NOON + number), worker=f"w{number}"
        )
        for number in range(20)
    ]
    before = (await scene.stores.uptime.network()).revision
    await asyncio.gather(*(scene.stores.uptime.apply([batch], "1-1") for batch in batches))
    assert (await scene.stores.uptime.network()).revision == before + 20


async def test_nodes_on_silent_workers_go_offline(scene: Scene) -> None:
    uptime, at = scene.stores.uptime, from_ms(NOON + 1000)
    other = await scene.stores.add_user()
    other_node = await scene.stores.add_node(other)
    await scene.observe(scene.opened(new_id(), NOON), worker="worker-a")
    await scene.observe(Opened(other_node, new_id(), NOON, "192.0.2.9"), worker="worker-b")
    before = (await uptime.network()).revision
    assert await uptime.close_workers(["worker-a", "worker-b"], at) == set()
    assert (await uptime.network()).revision == before
    assert await uptime.close_workers(["worker-b"], at) == {scene.user_id}
    node = await scene.node()
    assert (node.online, node.since) == (False, at)
    network = await uptime.network()
    assert (network.revision, network.nodes_online) == (before + 1, 1)
    assert await uptime.close_workers(["worker-b"], at) == set()
    assert await uptime.close_workers([], at) == {other}


async def test_a_node_that_moved_on_stays_online_when_its_old_worker_dies(scene: Scene) -> None:
    await scene.observe(scene.opened(new_id(), NOON), worker="worker-a")
    await scene.observe(scene.opened(new_id(), NOON + 1), worker="worker-b")
    assert await scene.stores.uptime.close_workers(["worker-b"], from_ms(NOON + 2)) == set()
    assert (await scene.node()).online


async def test_a_later_sign_of_life_takes_the_presumed_end_back(scene: Scene) -> None:
    session = new_id()
    await scene.observe(scene.opened(session, NOON))
    await scene.stores.uptime.close_workers([], from_ms(NOON + 1000))
    await scene.observe(scene.confirmed(NOON, NOON + 900, session), scene.reported(session, NOON + 1000))
    assert not (await scene.node()).online, "what was observed before the presumed end proves nothing"
    await scene.observe(scene.confirmed(NOON, NOON + 5000, new_id()))
    assert not (await scene.node()).online, "nor does another connection"
    await scene.observe(scene.confirmed(NOON + 900, NOON + 6000, session))
    node = await scene.node()
    assert (node.online, node.since) == (True, from_ms(NOON + 6000))
    await scene.observe(scene.closed(session, NOON + 7000))
    await scene.observe(scene.reported(session, NOON + 8000))
    assert not (await scene.node()).online, "a reported end is final"


async def test_totals_are_of_one_moment_and_know_users_without_nodes(scene: Scene) -> None:
    lonely = await scene.stores.add_user()
    second = await scene.stores.add_node(scene.user_id, name="cellar")
    await scene.observe(scene.opened(new_id(), NOON))
    totals = await scene.stores.uptime.totals([lonely, scene.user_id])
    assert set(totals) == {lonely, scene.user_id}
    assert totals[lonely].nodes == []
    assert [node.node_id for node in totals[scene.user_id].nodes] == sorted([scene.node_id, second])
    network = await scene.stores.uptime.network()
    assert totals[lonely].revision == totals[scene.user_id].revision == network.revision
    assert (network.nodes_total, network.users_total, network.nodes_online) == (2, 2, 1)
    assert await scene.stores.uptime.totals([]) == {}


# --- against a naive model ------------------------------------------------------------------------

STEP = HOUR // 4
interval = st.tuples(st.integers(0, 40), st.integers(-2, 12)).map(
    lambda pair: (NOON + pair[0] * STEP, NOON + (pair[0] + pair[1]) * STEP)
)
observations = st.lists(st.lists(interval, max_size=6), max_size=6)


def expected_hours(batches: list[list[tuple[int, int]]]) -> list[tuple[datetime, int]]:
    """Every quarter of an hour that is confirmed and not older than what was counted before it."""
    quarters: set[int] = set()
    for start, end in (pair for batch in batches for pair in batch):
        newest = max(quarters, default=0)
        quarters.update(quarter for quarter in range(start, end, STEP) if quarter > newest)
    hours: dict[int, int] = {}
    for quarter in quarters:
        hours[quarter - quarter % HOUR] = hours.get(quarter - quarter % HOUR, 0) + STEP
    return [(datetime.fromtimestamp(hour // 1000, UTC), total) for hour, total in sorted(hours.items())]


async def check_against_model(stores: Stores, batches: list[list[tuple[int, int]]]) -> None:
    user_id = await stores.add_user()
    scene = Scene(stores, user_id, await stores.add_node(user_id))
    worker = f"worker-{scene.node_id}"
    for batch in batches:
        await scene.observe(*(scene.confirmed(start, end) for start, end in batch), worker=worker)
    hours = expected_hours(batches)
    assert await stores.uptime.hours(user_id, scene.node_id) == hours
    assert (await scene.node()).confirmed_ms == sum(total for _, total in hours)


@given(observations)
@settings(max_examples=300, deadline=None)
async def test_confirmed_time_in_memory_is_that_of_the_model(batches: list[list[tuple[int, int]]]) -> None:
    await check_against_model(memory_stores(), batches)


@pytest.fixture(scope="module")
async def shared_stores(databases: Databases):
    dsn = await databases.create()
    pool = await connect(dsn)
    yield postgres_stores(pool)
    await pool.close()
    await databases.drop(dsn)


# The examples share a database: each has a user and a node of its own.
@given(batches=observations)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_confirmed_time_in_postgresql_is_that_of_the_model(
    shared_stores: Stores, batches: list[list[tuple[int, int]]]
) -> None:
    await check_against_model(shared_stores, batches)


async def test_the_network_adds_up_the_seconds_that_owners_see(scene: Scene) -> None:
    other = await scene.stores.add_node(scene.user_id)
    await scene.observe(scene.confirmed(NOON, NOON + 1999), Confirmed(other, new_id(), NOON, NOON + 1999))
    assert (await scene.stores.uptime.network()).confirmed_seconds == 2
