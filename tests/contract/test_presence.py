"""What every `Presence` guarantees."""

from uuid import UUID

from support.waiting import eventually

from core.clock import new_id
from storage.base import Presence, Process

LONG_MS = 60_000
SHORT_MS = 50


def worker(name: str, **metrics: int | float | str) -> Process:
    return Process(kind="worker", process_id=name, admin_url="http://127.0.0.1:1", metrics=metrics)


async def test_living_processes_are_listed_by_kind_and_id(presence: Presence) -> None:
    processes = [
        Process(kind=kind, process_id=name, admin_url="", metrics={"a_total": 1, "b": 0.5, "c": "x"})
        for kind, name in (("worker", "w2"), ("api", "z"), ("worker", "w1"), ("jobs", "j"))
    ]
    for process in processes:
        await presence.renew(process, LONG_MS)
    assert await presence.processes() == sorted(processes, key=lambda p: (p.kind, p.process_id))


async def test_nobody_is_listed_at_first(presence: Presence) -> None:
    assert await presence.processes() == []


async def test_renewing_replaces_the_metrics(presence: Presence) -> None:
    await presence.renew(worker("w", connections=1), LONG_MS)
    await presence.renew(worker("w", connections=2), LONG_MS)
    assert await presence.processes() == [worker("w", connections=2)]


async def test_a_process_that_leaves_is_forgotten_at_once(presence: Presence) -> None:
    await presence.renew(worker("w"), LONG_MS)
    await presence.leave("worker", "w")
    await presence.leave("worker", "never there")
    assert await presence.processes() == []


async def test_a_process_that_falls_silent_is_forgotten(presence: Presence) -> None:
    user_id = new_id()
    await presence.renew(worker("dead"), SHORT_MS)
    await presence.renew(worker("alive"), LONG_MS)
    for name in ("dead", "alive"):
        await presence.hold(name, [user_id], LONG_MS)

    async def only_the_living_one() -> bool:
        return await presence.processes() == [worker("alive")]

    await eventually(only_the_living_one)
    assert await presence.holders([user_id]) == {user_id: ["alive"]}


async def test_the_holders_of_users_are_living_workers(presence: Presence) -> None:
    ada, bob, nobody = new_id(), new_id(), new_id()
    for name in ("w1", "w2"):
        await presence.renew(worker(name), LONG_MS)
    await presence.renew(Process(kind="api", process_id="w3", admin_url="", metrics={}), LONG_MS)
    await presence.hold("w2", [ada, bob], LONG_MS)
    await presence.hold("w1", [ada], LONG_MS)
    await presence.hold("w3", [bob], LONG_MS)
    await presence.hold("w1", [], LONG_MS)
    assert await presence.holders([ada, bob, nobody]) == {ada: ["w1", "w2"], bob: ["w2"]}
    assert await presence.holders([]) == {}


async def test_a_released_user_is_held_by_the_others_only(presence: Presence) -> None:
    user_id = new_id()
    for name in ("w1", "w2"):
        await presence.renew(worker(name), LONG_MS)
        await presence.hold(name, [user_id], LONG_MS)
    await presence.release("w1", user_id)
    assert await presence.holders([user_id]) == {user_id: ["w2"]}
    await presence.release("w2", user_id)
    await presence.release("w2", user_id)
    assert await presence.holders([user_id]) == {}


async def test_what_is_not_announced_again_ends(presence: Presence) -> None:
    user_id = new_id()
    for name in ("w1", "w2"):
        await presence.renew(worker(name), LONG_MS)
    await presence.hold("w1", [user_id], LONG_MS)
    await presence.hold("w2", [user_id], SHORT_MS)

    async def only_the_first() -> bool:
        return await presence.holders([user_id]) == {user_id: ["w1"]}

    await eventually(only_the_first)


async def test_many_users_are_held_and_found_at_once(presence: Presence) -> None:
    users = [new_id() for _ in range(1_201)]
    await presence.renew(worker("w"), LONG_MS)
    await presence.hold("w", users, LONG_MS)
    assert await presence.holders(users) == {user_id: ["w"] for user_id in users}


async def test_whoever_is_held_is_listed_some_at_a_time(presence: Presence) -> None:
    users = {new_id() for _ in range(2_500)}
    await presence.renew(worker("w"), LONG_MS)
    await presence.hold("w", list(users), LONG_MS)
    gone = users.pop()
    await presence.release("w", gone)
    found: set[UUID] = set()
    cursor, some = await presence.held(0)
    found.update(some)
    while cursor:
        cursor, some = await presence.held(cursor)
        found.update(some)
    assert found >= users
    assert gone not in found
