"""What every `UptimeStore` guarantees: presence, status, sessions, batches, totals."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.observations import HOUR, HOUR_MS, NOON, NOON_S, Scene
from support.servers import Databases
from support.stores import Stores, make_node, memory_stores, postgres_stores

from core.clock import from_ms, new_id
from storage.base import Batch, CountryNow, Described, Health, NodeTotals, Opened, Place, Record, Report
from storage.postgres import connect
from storage.uptime import NodeSession

DAY = timedelta(days=1)


@pytest.fixture
async def scene(stores: Stores) -> Scene:
    return await Scene.of(stores)


# --- batches --------------------------------------------------------------------------------------


async def test_at_first_nothing_is_known(scene: Scene) -> None:
    assert await scene.node() == NodeTotals(
        node_id=scene.node_id, name="attic", status="offline", since=None, confirmed_seconds=0
    )
    assert await scene.hours() == []
    network = await scene.stores.uptime.network()
    assert (network.nodes_online, network.nodes_total, network.users_total) == (0, 1, 1)
    assert (network.confirmed_seconds, network.countries, network.revision) == (0, [], 0)


async def test_a_batch_is_applied_exactly_once(scene: Scene) -> None:
    connection = new_id()
    first = scene.batch(scene.opened(connection, NOON), scene.report(connection, 0, 10, bytes_up=5))
    second = scene.batch(scene.report(connection, 10, 20, bytes_up=5))
    third = scene.batch(scene.report(connection, 20, 30, bytes_up=5))
    apply = scene.stores.uptime.apply
    applied = await apply([first, second], {})
    assert (applied.touched, applied.duplicates) == ({scene.user_id}, 0)
    applied = await apply([first], {})
    assert (applied.touched, applied.changed, applied.duplicates) == (set(), set(), 1)
    applied = await apply([first, second, third, third], {})
    assert (applied.touched, applied.duplicates) == ({scene.user_id}, 3)
    assert (await scene.node()).confirmed_seconds == 30
    assert await scene.session_bytes(connection) == (15, 0)


async def test_batches_may_come_in_any_order_and_what_is_missing_is_known(scene: Scene) -> None:
    connection = new_id()
    batches = [scene.batch(scene.report(connection, 10 * n, 10 * n + 10)) for n in range(6)]
    apply = scene.stores.uptime.apply
    assert (await apply([batches[2]], {})).missing == 2
    assert (await apply([batches[5], batches[0]], {})).missing == 1
    assert (await apply([batches[3], batches[1], batches[1]], {})).missing == -2
    last = await apply([batches[4], batches[2]], {})
    assert (last.missing, last.duplicates) == (-1, 1)
    assert (await scene.node()).confirmed_seconds == 60


async def test_batches_of_different_workers_are_counted_apart(scene: Scene) -> None:
    for worker in ("worker-a", "worker-b"):
        applied = await scene.observe(scene.opened(new_id(), NOON), worker=worker)
        assert applied.touched == {scene.user_id}


async def test_the_revision_moves_with_every_call_that_applies_something(scene: Scene) -> None:
    apply = scene.stores.uptime.apply
    first, second = (scene.batch(scene.opened(new_id(), NOON)) for _ in range(2))
    for batches, revision in (([], 0), ([first], 1), ([first], 1), ([scene.batch()], 1), ([second], 2)):
        await apply(batches, {})
        assert (await scene.stores.uptime.network()).revision == revision


# --- watermarks -----------------------------------------------------------------------------------


def _until(seconds: int, sequence: int, *, worker: str = "w", records: Sequence[Record] = ()) -> Batch:
    return Batch(worker, sequence, list(records), (NOON_S + seconds) * 1000)


def _at(seconds: int) -> datetime:
    return from_ms((NOON_S + seconds) * 1000)


async def test_a_worker_has_told_all_up_to_what_its_newest_batch_says(scene: Scene) -> None:
    uptime = scene.stores.uptime
    await uptime.apply([_until(1, 1), _until(7, 1, worker="other"), _until(2, 2)], {})
    assert await uptime.watermarks(["w", "other", "unheard"]) == {"w": _at(2), "other": _at(7)}
    assert await uptime.watermarks(["other"]) == {"other": _at(7)}
    assert await uptime.watermarks([]) == {}


async def test_batches_that_come_late_or_twice_move_no_watermark(scene: Scene) -> None:
    uptime = scene.stores.uptime
    await uptime.apply([_until(5, 5)], {})
    await uptime.apply([_until(3, 3), _until(9, 4)], {})
    await uptime.apply([_until(5, 5), _until(50, 2)], {})
    assert await uptime.watermarks(["w"]) == {"w": _at(5)}


async def test_a_watermark_goes_back_with_its_workers_clock(scene: Scene) -> None:
    uptime = scene.stores.uptime
    await uptime.apply([_until(3600, 1)], {})
    await uptime.apply([_until(0, 2)], {})
    assert await uptime.watermarks(["w"]) == {"w": _at(0)}


async def test_a_worker_that_promises_nothing_any_more_has_no_watermark(scene: Scene) -> None:
    uptime = scene.stores.uptime
    await uptime.apply([_until(3600, 1)], {})
    await uptime.apply([Batch("w", 2, [])], {})
    assert await uptime.watermarks(["w"]) == {}


async def test_what_a_watermark_promises_is_there_with_it(scene: Scene) -> None:
    connection = new_id()
    records = [scene.opened(connection, NOON), scene.report(connection, 0, 10)]
    await scene.stores.uptime.apply([_until(10, 1, records=records)], {})
    assert await scene.stores.uptime.watermarks(["w"]) == {"w": _at(10)}
    assert (await scene.node()).confirmed_seconds == 10


async def test_a_watermark_is_forgotten_with_its_worker(scene: Scene) -> None:
    uptime = scene.stores.uptime
    await uptime.apply([_until(10, 1)], {})
    later = scene.now() + 2 * DAY
    await scene.forget_after(later)
    await uptime.close_workers(["other"], later)
    assert await uptime.watermarks(["w"]) == {}


async def test_records_of_unknown_nodes_are_ignored_and_counted(scene: Scene) -> None:
    stranger, connection = new_id(), new_id()
    applied = await scene.observe(
        Opened(stranger, connection, NOON, "192.0.2.8"),
        Report(stranger, connection, HOUR, 0, 5, NOON_S + 5),
        scene.report(new_id(), 0, 5),
    )
    assert (applied.touched, applied.unknown) == ({scene.user_id}, 2)
    assert (await scene.node()).confirmed_seconds == 5


async def test_concurrent_calls_lose_nothing(scene: Scene) -> None:
    batches = [
        scene.batch(
            scene.report(new_id(), 10 * n, 10 * n + 10), scene.opened(new_id(), NOON + n), worker=f"w{n}"
        )
        for n in range(20)
    ]
    await asyncio.gather(*(scene.stores.uptime.apply([batch], {}) for batch in batches))
    assert (await scene.stores.uptime.network()).revision == 20
    assert (await scene.node()).confirmed_seconds == 200


async def test_what_a_dead_worker_wrote_is_forgotten_a_day_after(scene: Scene) -> None:
    await scene.observe(scene.opened(new_id(), NOON))
    batch = scene.batch(scene.opened(new_id(), NOON + 1))
    now = scene.now()
    for at, alive, known in (
        (now, [], True),
        (now + 2 * DAY, ["worker-a"], True),
        (now + 2 * DAY, [], False),
    ):
        await scene.stores.uptime.apply([batch], {})
        await scene.forget_after(at)
        await scene.stores.uptime.close_workers(alive, at)
        applied = await scene.stores.uptime.apply([batch], {})
        assert applied.duplicates == known


# --- presence -------------------------------------------------------------------------------------


async def test_a_node_is_online_from_its_opening_to_its_close(scene: Scene) -> None:
    connection = new_id()
    applied = await scene.observe(scene.opened(connection, NOON))
    assert applied.touched == applied.changed == {scene.user_id}
    assert await scene.status() == ("online", from_ms(NOON))
    assert (await scene.stores.uptime.network()).nodes_online == 1
    applied = await scene.observe(scene.closed(connection, NOON + 5))
    assert applied.touched == applied.changed == {scene.user_id}
    assert await scene.status() == ("offline", from_ms(NOON + 5))
    assert (await scene.stores.uptime.network()).nodes_online == 0


async def test_reports_alone_touch_but_do_not_change(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    applied = await scene.observe(scene.report(connection, 0, 5))
    assert (applied.touched, applied.changed) == ({scene.user_id}, set())


async def test_the_end_of_an_older_connection_changes_nothing(scene: Scene) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(old, NOON), scene.opened(new, NOON + 10))
    await scene.observe(scene.closed(old, NOON + 20))
    assert await scene.status() == ("online", from_ms(NOON))
    await scene.observe(scene.closed(new, NOON + 30))
    assert await scene.status() == ("offline", from_ms(NOON + 30))


async def test_workers_may_be_heard_in_any_order(scene: Scene) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(new, NOON + 10), worker="worker-b")
    await scene.observe(scene.opened(old, NOON), scene.closed(old, NOON + 20), worker="worker-a")
    assert (await scene.node()).status == "online"
    await scene.observe(scene.closed(new, NOON + 30), worker="worker-b")
    await scene.observe(scene.opened(new_id(), NOON + 29), worker="worker-a")
    assert (await scene.node()).status == "online"


async def test_an_end_that_is_heard_of_before_its_beginning_counts(scene: Scene) -> None:
    connection = new_id()
    opened, closed = (
        scene.batch(scene.opened(connection, NOON)),
        scene.batch(scene.closed(connection, NOON + 9)),
    )
    await scene.stores.uptime.apply([closed], {})
    await scene.stores.uptime.apply([opened], {})
    assert (await scene.node()).status == "offline"


async def test_of_two_connections_opened_at_once_the_greater_id_is_the_newer(scene: Scene) -> None:
    old, new = sorted([new_id(), new_id()])
    await scene.observe(scene.opened(new, NOON), worker="worker-b")
    await scene.observe(scene.opened(old, NOON), scene.closed(old, NOON + 1), worker="worker-a")
    assert (await scene.node()).status == "online"


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
    assert await scene.status() == ("offline", at)
    network = await uptime.network()
    assert (network.revision, network.nodes_online) == (before + 1, 1)
    assert await uptime.close_workers(["worker-b"], at) == set()
    assert await uptime.close_workers([], at) == {other}


async def test_a_node_that_moved_on_stays_online_when_its_old_worker_dies(scene: Scene) -> None:
    await scene.observe(scene.opened(new_id(), NOON), worker="worker-a")
    await scene.observe(scene.opened(new_id(), NOON + 1), worker="worker-b")
    await scene.stores.uptime.close_workers(["worker-b"], from_ms(NOON + 2))
    assert (await scene.node()).status == "online"


async def test_a_later_sign_of_life_takes_the_presumed_end_back(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    await scene.stores.uptime.close_workers([], from_ms(NOON + 9000))
    await scene.observe(scene.report(connection, 0, 5))
    assert (await scene.node()).status == "offline", (
        "what was observed before the presumed end proves nothing"
    )
    await scene.observe(scene.report(new_id(), 0, 30))
    assert (await scene.node()).status == "offline", "nor does another connection"
    applied = await scene.observe(scene.report(connection, 5, 20))
    assert applied.changed == {scene.user_id}
    assert await scene.status() == ("online", from_ms(NOON + 20_000))
    assert (await scene.stores.uptime.network()).nodes_online == 1
    await scene.observe(scene.closed(connection, NOON + 21_000))
    await scene.observe(scene.report(connection, 20, 40))
    assert (await scene.node()).status == "offline", "a reported end is final"


async def test_health_is_a_sign_of_life_too(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    await scene.stores.uptime.close_workers([], from_ms(NOON + 9000))
    await scene.observe(Health(scene.node_id, connection, NOON + 9001, True))
    assert (await scene.node()).status == "online"


# --- status ---------------------------------------------------------------------------------------


async def test_a_node_that_fails_its_challenges_is_degraded(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    applied = await scene.observe(Health(scene.node_id, connection, NOON + 10, False))
    assert applied.changed == {scene.user_id}
    assert await scene.status() == ("degraded", from_ms(NOON + 10))
    await scene.observe(Health(scene.node_id, new_id(), NOON + 11, True))
    assert (await scene.node()).status == "degraded", "another connection's health does not matter"
    await scene.observe(Health(scene.node_id, connection, NOON + 20, True))
    assert await scene.status() == ("online", from_ms(NOON + 20))


async def test_a_new_connection_is_sound_until_it_fails(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON), Health(scene.node_id, connection, NOON + 1, False))
    await scene.observe(scene.opened(new_id(), NOON + 2))
    assert (await scene.node()).status == "online"


async def turns(scene: Scene, count: int, start: int = NOON, code: int = 1006, seconds: int = 5) -> int:
    """The node comes and goes `count` times; returns the time of the last close."""
    at = start
    for _ in range(count):
        connection = new_id()
        await scene.observe(scene.opened(connection, at))
        at += seconds * 1000
        await scene.observe(scene.closed(connection, at, code))
        at += seconds * 1000
    return at - seconds * 1000


async def test_a_node_that_comes_and_goes_is_degraded_until_it_is_calm(scene: Scene) -> None:
    uptime = scene.stores.uptime
    closed = await turns(scene, 2)
    node = await scene.node()
    assert (node.status, node.flapping) == ("degraded", True), "its owner is not told of every turn"
    await scene.observe(scene.opened(new_id(), closed + 1000))
    node = await scene.node()
    assert (node.status, node.flapping, node.since) == ("degraded", True, from_ms(closed))
    revision = (await uptime.network()).revision
    assert await uptime.calm(from_ms(closed + 60_000)) == set()
    assert (await uptime.network()).revision == revision
    calm = from_ms(closed + 200_000)
    assert await uptime.calm(calm) == {scene.user_id}
    node = await scene.node()
    assert (node.status, node.flapping, node.since) == ("online", False, calm)
    assert (await uptime.network()).revision == revision + 1
    assert await uptime.calm(calm) == set()


async def test_a_flapping_node_that_stays_away_is_offline(scene: Scene) -> None:
    closed = await turns(scene, 2)
    await scene.stores.uptime.calm(from_ms(closed + 60_000))
    assert (await scene.node()).status == "degraded"
    away = from_ms(closed + 60_001)
    assert await scene.stores.uptime.calm(away) == {scene.user_id}
    node = await scene.node()
    assert (node.status, node.since, node.flapping) == ("offline", away, True)


async def test_rare_turns_do_not_make_a_node_flap(scene: Scene) -> None:
    await turns(scene, 12, seconds=90)
    assert not (await scene.node()).flapping


async def test_our_own_restarts_do_not_make_a_node_flap(scene: Scene) -> None:
    await turns(scene, 12, code=4001)
    assert not (await scene.node()).flapping
    for n in range(12):
        await scene.observe(scene.opened(new_id(), NOON + 200_000 + n * 5000), worker=f"worker-{n}")
        await scene.stores.uptime.close_workers([], from_ms(NOON + 200_000 + n * 5000 + 2500))
    assert not (await scene.node()).flapping


async def test_a_suspended_node_is_away_and_nothing_it_does_counts(scene: Scene) -> None:
    uptime, connection = scene.stores.uptime, new_id()
    await scene.observe(scene.opened(connection, NOON), scene.report(connection, 0, 5))
    at, later = from_ms(NOON + 6000), from_ms(NOON + 60_000)
    revision = (await uptime.network()).revision
    assert await uptime.suspend(scene.node_id, True, at) == scene.user_id
    assert await uptime.suspend(scene.node_id, True, at) is None
    assert await scene.status() == ("suspended", at)
    network = await uptime.network()
    assert (network.nodes_online, network.nodes_total, network.revision) == (0, 1, revision + 1)
    applied = await scene.observe(
        scene.report(connection, 5, 10),
        scene.opened(new_id(), NOON + 7000),
        scene.closed(connection, NOON + 8000),
    )
    assert (applied.touched, applied.unknown) == (set(), 3)
    assert await uptime.close_workers([], later) == set()
    assert await scene.status() == ("suspended", at)
    assert await uptime.suspend(scene.node_id, False, later) == scene.user_id
    assert await scene.status() == ("offline", later)
    await scene.observe(scene.report(connection, 10, 20))
    node = await scene.node()
    assert (node.status, node.confirmed_seconds) == ("offline", 15), "it has to come back first"
    await scene.observe(scene.opened(new_id(), NOON + 90_000))
    assert (await scene.node()).status == "online"


async def test_nobody_suspends_what_is_not_there(scene: Scene) -> None:
    assert await scene.stores.uptime.suspend(new_id(), True, from_ms(NOON)) is None
    assert await scene.stores.uptime.suspend(scene.node_id, False, from_ms(NOON)) is None
    assert (await scene.stores.uptime.network()).revision == 0


# --- sessions -------------------------------------------------------------------------------------


async def test_a_session_tells_of_its_connection(scene: Scene) -> None:
    connection = new_id()
    places = {"192.0.2.7": Place(country="DE", asn=64500, subnet="192.0.2.0/24")}
    await scene.observe(
        scene.opened(connection, NOON),
        Described(scene.node_id, connection, "1.2"),
        scene.report(connection, 0, 10, bytes_up=3, bytes_down=4),
        places=places,
    )
    (session,) = await scene.sessions()
    assert (session.session_id, session.opened_at, session.closed_at) == (connection, from_ms(NOON), None)
    assert (session.worker, session.address, session.agent_version) == ("worker-a", "192.0.2.7", "1.2")
    assert (session.country, session.asn, session.connections) == ("DE", 64500, 1)
    await scene.observe(scene.closed(connection, NOON + 11_000, 1001))
    (session,) = await scene.sessions()
    assert (session.closed_at, session.code) == (from_ms(NOON + 11_000), 1001)
    assert await scene.session_bytes(connection) == (3, 4)


@pytest.mark.parametrize(("away", "continues"), [(0, True), (60_000, True), (60_001, False)])
@pytest.mark.parametrize("together", [True, False])
async def test_who_comes_back_within_the_window_continues_the_session(
    scene: Scene, away: int, continues: bool, together: bool
) -> None:
    first, second = new_id(), new_id()
    records = (
        scene.opened(first, NOON),
        scene.report(first, 0, 5, bytes_up=10),
        scene.closed(first, NOON + 5000),
        scene.opened(second, NOON + 5000 + away),
        scene.report(second, 70, 75, bytes_up=5),
    )
    if together:
        await scene.observe(*records)
    else:
        for record in records:
            await scene.observe(record)
    sessions = await scene.sessions()
    if continues:
        assert [(s.session_id, s.connections, s.closed_at) for s in sessions] == [(first, 2, None)]
        assert await scene.session_bytes(first) == (15, 0)
    else:
        assert [(s.session_id, s.connections) for s in sessions] == [(first, 1), (second, 1)]
        assert [s.closed_at for s in sessions] == [from_ms(NOON + 5000), None]
        assert await scene.session_bytes(first) == (10, 0)
        assert await scene.session_bytes(second) == (5, 0)


async def test_late_bytes_go_to_the_session_they_belong_to(scene: Scene) -> None:
    first, second, third = new_id(), new_id(), new_id()
    await scene.observe(scene.opened(first, NOON), scene.closed(first, NOON + 5000))
    await scene.observe(scene.opened(second, NOON + 10_000), scene.closed(second, NOON + 20_000))
    await scene.observe(scene.opened(third, NOON + 200_000), worker="worker-b")
    await scene.observe(scene.report(second, 10, 20, bytes_up=7, bytes_down=1))
    await scene.observe(
        scene.report(first, 0, 5, bytes_up=4), scene.report(third, 200, 210, bytes_up=2), worker="worker-b"
    )
    await scene.observe(scene.report(second, 0, 0, hour=HOUR + 1, bytes_up=1))
    assert await scene.session_bytes(first) == (12, 1)
    assert await scene.session_bytes(third) == (2, 0)


async def test_a_presumed_end_closes_the_session_and_is_taken_back(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    await scene.stores.uptime.close_workers([], from_ms(NOON + 5000))
    (session,) = await scene.sessions()
    assert (session.closed_at, session.code) == (from_ms(NOON + 5000), None)
    await scene.observe(scene.report(connection, 0, 9))
    (session,) = await scene.sessions()
    assert (session.closed_at, session.code) == (None, None)


async def test_suspension_closes_the_session(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON))
    await scene.stores.uptime.suspend(scene.node_id, True, from_ms(NOON + 5000))
    (session,) = await scene.sessions()
    assert (session.closed_at, session.code) == (from_ms(NOON + 5000), 4503)


# --- one session, in whatever order its connections are heard of ----------------------------------


def about(sessions: list[NodeSession]) -> list[tuple[object, ...]]:
    """What sessions are, apart from who saw them."""
    return [(s.session_id, s.opened_at, s.closed_at, s.code, s.connections) for s in sessions]


@pytest.mark.parametrize("together", [True, False])
async def test_the_session_begins_with_the_connection_that_was_opened_first(
    scene: Scene, together: bool
) -> None:
    old, new = new_id(), new_id()
    places = {"192.0.2.7": Place(country="DE", asn=64500)}
    later = scene.batch(scene.opened(new, NOON + 39), Described(scene.node_id, new, "1.2"), worker="worker-c")
    bytes_later = scene.batch(scene.report(new, 0, 9, bytes_up=5, bytes_down=1), worker="worker-c")
    late = scene.batch(
        Opened(scene.node_id, old, NOON, "192.0.2.8"), scene.report(old, 0, 9, bytes_up=3), worker="worker-a"
    )
    for batches in [[later, bytes_later, late]] if together else [[later], [bytes_later], [late]]:
        await scene.stores.uptime.apply(batches, places)
    (session,) = await scene.sessions()
    assert about([session]) == [(old, from_ms(NOON), None, None, 2)]
    assert (session.worker, session.address, session.agent_version) == ("worker-c", "192.0.2.7", "1.2")
    assert (session.country, session.asn) == ("DE", 64500)
    assert await scene.session_bytes(old) == (8, 1)
    await scene.observe(scene.closed(old, NOON + 8000), worker="worker-a")
    await scene.observe(scene.report(old, 9, 9, bytes_up=1), worker="worker-a")
    await scene.observe(scene.report(new, 9, 20, bytes_up=1), worker="worker-c")
    await scene.observe(scene.closed(new, NOON + 20_000, 1001), worker="worker-c")
    sessions = await scene.sessions()
    assert about(sessions) == [(old, from_ms(NOON), from_ms(NOON + 20_000), 1001, 2)]
    assert await scene.session_bytes(old) == (10, 1)
    assert await scene.pending() == 0


@pytest.mark.parametrize(("away", "continues"), [(60_000, True), (60_001, False)])
@pytest.mark.parametrize("ended_first", [True, False])
async def test_a_session_heard_of_late_is_another_one_if_it_ended_too_early(
    scene: Scene, away: int, continues: bool, ended_first: bool
) -> None:
    old, new, end = new_id(), new_id(), NOON + 100_000
    opened, closed = scene.batch(scene.opened(old, NOON)), scene.batch(scene.closed(old, end))
    await scene.observe(
        scene.opened(new, end + away), scene.closed(new, end + away + 1000, 1006), worker="worker-b"
    )
    for batch in (closed, opened) if ended_first else (opened, closed):
        await scene.stores.uptime.apply([batch], {})
    began, ended = from_ms(end + away), from_ms(end + away + 1000)
    assert about(await scene.sessions()) == (
        [(old, from_ms(NOON), ended, 1006, 2)]
        if continues
        else [(old, from_ms(NOON), from_ms(end), 1000, 1), (new, began, ended, 1006, 1)]
    )


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_a_connection_between_two_sessions_makes_one_of_them(
    scene: Scene, order: tuple[int, ...]
) -> None:
    ids = [new_id() for _ in range(3)]
    for number in order:
        opened = NOON + number * 100_000
        worker = f"worker-{number}"
        await scene.observe(
            scene.opened(ids[number], opened),
            scene.report(ids[number], 0, 9, bytes_up=1 << number),
            scene.closed(ids[number], opened + 50_000, 1000 + number),
            worker=worker,
        )
    (session,) = await scene.sessions()
    assert about([session]) == [(ids[0], from_ms(NOON), from_ms(NOON + 250_000), 1002, 3)]
    assert session.worker == "worker-2"
    assert await scene.session_bytes(ids[0]) == (7, 0)


async def test_who_was_seen_shortly_before_the_next_connection_is_still_in_its_session(scene: Scene) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(old, NOON), scene.report(old, 0, 590))
    await scene.observe(scene.opened(new, NOON + 600_000), worker="worker-b")
    assert about(await scene.sessions()) == [(old, from_ms(NOON), None, None, 2)]


@pytest.mark.parametrize("by", ["report", "closed", "death"])
async def test_who_turns_out_to_have_been_there_is_still_in_its_session(scene: Scene, by: str) -> None:
    old, new = new_id(), new_id()
    await scene.observe(scene.opened(old, NOON))
    await scene.observe(scene.opened(new, NOON + 600_000), worker="worker-b")
    assert [s.session_id for s in await scene.sessions()] == [old, new]
    if by == "report":
        await scene.observe(scene.report(old, 0, 590))
    elif by == "closed":
        await scene.observe(scene.closed(old, NOON + 595_000))
    else:
        await scene.stores.uptime.close_workers(["worker-b"], from_ms(NOON + 601_000))
    assert about(await scene.sessions()) == [(old, from_ms(NOON), None, None, 2)]
    assert (await scene.node()).status == "online"


class Came:
    """Connections as (opened, closed) in seconds, and the calls in which they are heard of.

    Each call is a list of batches (connection, number of its record).
    """

    def __init__(
        self, connections: list[tuple[int, int]], calls: list[list[tuple[int, int]]], reports: bool
    ) -> None:
        self.connections = connections
        self.calls = calls
        self.reports = reports

    def __repr__(self) -> str:
        return f"Came({self.connections}, {self.calls}, {self.reports})"

    def sessions(self, ids: list[UUID]) -> list[tuple[object, ...]]:
        """The sessions by the port's rule, from the connections in their order."""
        found: list[list[int]] = []
        for number, (opened, _) in enumerate(self.connections):
            if found and opened - self.connections[found[-1][-1]][1] <= 60:
                found[-1].append(number)
            else:
                found.append([number])
        return [
            (
                ids[numbers[0]],
                from_ms(NOON + self.connections[numbers[0]][0] * 1000),
                from_ms(NOON + self.connections[numbers[-1]][1] * 1000),
                1000 + numbers[-1],
                len(numbers),
            )
            for numbers in found
        ]


@st.composite
def came(draw: st.DrawFn) -> Came:
    moments = st.lists(st.integers(0, 500), min_size=1, max_size=5, unique=True).map(sorted)
    opened = draw(moments)
    closed: list[int] = []
    for at in opened:
        # Who has two connections closes the older one first.
        closed.append(draw(st.integers(max([at, *(each + 1 for each in closed)]), at + 200)))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    reports = draw(st.booleans())
    each = [(number, part) for number in range(len(opened)) for part in range(3 if reports else 2)]
    rng.shuffle(each)
    if reports:
        # A worker is heard in its order: nobody is reported before it came.
        parts = {number: iter(range(3)) for number in range(len(opened))}
        each = [(number, next(parts[number])) for number, _ in each]
    cut = draw(st.sampled_from([1, 2, 100]))
    calls = [each[start : start + cut] for start in range(0, len(each), cut)]
    return Came(list(zip(opened, closed, strict=True)), calls, reports)


async def check_sessions(stores: Stores, story: Came) -> None:
    scene = await Scene.of(stores)
    ids = [new_id() for _ in story.connections]

    def batch(number: int, part: int) -> Batch:
        opened, closed = story.connections[number]
        end = scene.closed(ids[number], NOON + closed * 1000, 1000 + number)
        records: list[Record] = [scene.opened(ids[number], NOON + opened * 1000), end]
        if story.reports:
            records.insert(1, scene.report(ids[number], opened, closed, bytes_up=1 << number))
        return Batch(f"{scene.node_id} {number}", part + 1, [records[part]])

    for call in story.calls:
        await stores.uptime.apply([batch(*each) for each in call], {})
    sessions = await scene.sessions()
    assert about(sessions) == story.sessions(ids)
    if story.reports:
        moved = [(await scene.session_bytes(session.session_id))[0] for session in sessions]
        firsts = [*(ids.index(session.session_id) for session in sessions), len(ids)]
        assert moved == [(1 << end) - (1 << first) for first, end in pairwise(firsts)]
    node = await scene.node()
    assert node.status in ("offline", "degraded")


@given(came())
@settings(max_examples=300, deadline=None)
async def test_in_memory_sessions_do_not_depend_on_the_order_in_which_they_are_heard_of(story: Came) -> None:
    await check_sessions(memory_stores(), story)


@pytest.fixture(scope="module")
async def shared_stores(databases: Databases):
    dsn = await databases.create()
    pool = await connect(dsn)
    yield postgres_stores(pool)
    await pool.close()
    await databases.drop(dsn)


# The examples share a database: each has a user, a node and workers of its own.
@given(story=came())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_in_postgresql_sessions_do_not_depend_on_the_order_in_which_they_are_heard_of(
    shared_stores: Stores, story: Came
) -> None:
    await check_sessions(shared_stores, story)


# --- what is known of nodes and network -----------------------------------------------------------


async def test_what_a_node_or_a_peer_claims_neither_fails_nor_stops_the_rest(scene: Scene) -> None:
    connection = new_id()
    absurd = scene.report(
        connection, 0, 9, bytes_up=1 << 63, bytes_down=1 << 90, errors=1 << 40, answered=1 << 33, missed=-5
    )
    for _ in range(3):
        await scene.observe(
            Opened(scene.node_id, connection, NOON, "\x00192.0.2.7"),
            Described(scene.node_id, connection, "1\0.2"),
            absurd,
            scene.report(connection, 5, 12, bytes_up=-1),
            scene.report(connection, 9, 4000),
            scene.report(connection, 20, 10),
            scene.report(connection, 0, 10, hour=-1),
            scene.report(connection, 0, 10, hour=1 << 40),
        )
    assert (await scene.node()).confirmed_seconds == 12
    sums = await scene.sums()
    assert (sums.bytes_up, sums.bytes_down, sums.errors) == ((1 << 62) - 1, (1 << 62) - 1, (1 << 31) - 1)
    assert (sums.answered, sums.missed) == ((1 << 15) - 1, 0)
    (session,) = await scene.sessions()
    assert (session.address, session.agent_version) == ("192.0.2.7", "1.2")


async def test_the_newest_round_trip_is_shown(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON), scene.report(connection, 0, 9))
    assert (await scene.node()).rtt_us is None
    await scene.observe(scene.report(connection, 20, 30, rtt_us=25_000, jitter_us=900))
    await scene.observe(scene.report(connection, 10, 20, rtt_us=99_000, jitter_us=999))
    await scene.observe(scene.report(connection, 30, 40))
    node = await scene.node()
    assert (node.rtt_us, node.jitter_us) == (25_000, 900)


async def test_the_countries_add_up_to_the_nodes_online(scene: Scene) -> None:
    places = {"192.0.2.1": Place(country="FR"), "192.0.2.2": Place(country="DE"), "192.0.2.3": Place()}
    connections = []
    for number in (1, 1, 2, 3):
        node_id = await scene.stores.add_node(scene.user_id, name=f"node {number}")
        connections.append((node_id, new_id()))
        await scene.observe(Opened(*connections[-1], NOON, f"192.0.2.{number}"), places=places)
    network = await scene.stores.uptime.network()
    assert network.nodes_online == 4
    assert network.countries == [
        CountryNow(country="DE", nodes_online=1),
        CountryNow(country="FR", nodes_online=2),
        CountryNow(country=None, nodes_online=1),
    ]
    moved, _ = connections[0]
    await scene.observe(Opened(moved, new_id(), NOON + 5, "192.0.2.2"), places=places)
    network = await scene.stores.uptime.network()
    assert [country.nodes_online for country in network.countries] == [2, 1, 1]
    await scene.stores.uptime.close_workers([], from_ms(NOON + 9))
    assert (await scene.stores.uptime.network()).countries == []


async def test_totals_are_of_one_moment_and_know_users_without_nodes(scene: Scene) -> None:
    lonely = await scene.stores.add_user()
    second = await scene.stores.add_node(scene.user_id, name="cellar")
    await scene.observe(scene.opened(new_id(), NOON), places={"192.0.2.7": Place(country="DE")})
    totals = await scene.stores.uptime.totals([lonely, scene.user_id])
    assert set(totals) == {lonely, scene.user_id}
    assert totals[lonely].nodes == []
    assert [node.node_id for node in totals[scene.user_id].nodes] == sorted([scene.node_id, second])
    assert {node.country for node in totals[scene.user_id].nodes} == {"DE", None}
    network = await scene.stores.uptime.network()
    assert totals[lonely].revision == totals[scene.user_id].revision == network.revision
    assert (network.nodes_total, network.users_total, network.nodes_online) == (2, 2, 1)
    assert await scene.stores.uptime.totals([]) == {}


async def test_the_network_adds_up_the_seconds_that_owners_see(scene: Scene) -> None:
    other = await scene.stores.add_node(scene.user_id)
    await scene.observe(
        scene.report(new_id(), 0, 10),
        Report(other, new_id(), HOUR, 5, 15, NOON_S),
        scene.report(new_id(), 5, 12),
    )
    assert (await scene.stores.uptime.network()).confirmed_seconds == 22
    totals = await scene.stores.uptime.totals([scene.user_id])
    assert sum(node.confirmed_seconds for node in totals[scene.user_id].nodes) == 22


async def test_a_retired_node_is_unknown_and_keeps_its_time(scene: Scene) -> None:
    connection = new_id()
    await scene.observe(scene.opened(connection, NOON), scene.report(connection, 0, 10))
    assert await scene.stores.nodes.retire(scene.user_id, scene.node_id, from_ms(NOON + 11_000))
    applied = await scene.observe(
        scene.report(connection, 10, 20),
        scene.opened(new_id(), NOON + 12_000),
        Health(scene.node_id, connection, NOON, True),
    )
    assert (applied.touched, applied.unknown) == (set(), 3)
    assert await scene.stores.uptime.suspend(scene.node_id, True, from_ms(NOON)) is None
    network = await scene.stores.uptime.network()
    assert (network.nodes_online, network.nodes_total, network.confirmed_seconds) == (0, 0, 10)
    again = make_node(scene.user_id)
    assert await scene.stores.nodes.enrol(again) == again
    assert (await scene.stores.uptime.network()).nodes_total == 1


async def test_hours_are_shown_to_their_owner_only(scene: Scene) -> None:
    await scene.observe(scene.report(new_id(), 0, 1))
    stranger = await scene.stores.add_user()
    assert await scene.stores.uptime.hours(stranger, scene.node_id) == []
    assert await scene.hours() == [(12, 1)]
    assert HOUR * HOUR_MS == NOON
