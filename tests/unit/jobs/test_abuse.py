from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.house import House
from support.stores import make_node, make_user

from core.clock import new_id
from core.errors import StorageUnavailable
from core.jobs import AbuseWatch
from storage.base import Batch, Opened, Place

ADDRESS = "198.51.100.1"


@pytest.fixture
def house():
    house = House()
    yield house
    house.close()


@pytest.fixture
def watch(house):
    return AbuseWatch(
        store=house.stores.abuse, abuse=house.abuse, clock=house.clock, interval=60.0, keep_days=30
    )


async def crowd(house, count):
    """Nodes of several people, online at one address."""
    nodes = []
    for _ in range(count):
        user = make_user()
        await house.stores.users.add(user)
        nodes.append(await house.stores.nodes.enrol(make_node(user.user_id)))
    records = [Opened(node.node_id, new_id(), house.now_ms, ADDRESS) for node in nodes]
    await house.uptime.apply([Batch("w1", 1, records)], {ADDRESS: Place(subnet="198.51.100.0/24")})
    return nodes


async def suspending(house, **changes):
    (rule,) = await house.stores.abuse.versions("shared_address", 1)
    assert await house.stores.abuse.save_rule(
        replace(rule, version=2, action="suspend", lifts=True, **changes)
    )


async def test_a_step_looks_by_every_rule_and_counts(house, watch):
    await crowd(house, 3)
    await watch.step()
    metrics = watch.metrics()
    assert metrics["abuse_shared_address_raised_total"] == 3
    assert metrics["abuse_shared_subnet_raised_total"] == 0
    assert metrics["abuse_shared_address_seconds"] > 0
    house.clock.advance(timedelta(minutes=1))
    await watch.step()
    assert watch.metrics()["abuse_shared_address_raised_total"] == 3
    assert house.changed == []


async def test_whom_a_rule_suspends_is_suspended_and_let_in_when_it_lifts(house, watch):
    await suspending(house)
    nodes = await crowd(house, 3)
    await watch.step()
    assert watch.metrics()["abuse_suspended_total"] == 3
    assert {each.node_ids for each in house.ended} == {(node.node_id,) for node in nodes}
    assert sorted(house.changed) == sorted(node.user_id for node in nodes)
    await watch.step()
    assert len(house.changed) == 3
    house.clock.advance(timedelta(hours=1))
    await watch.step()
    assert watch.metrics()["abuse_let_in_total"] == 3
    assert watch.metrics()["abuse_shared_address_cleared_total"] == 3
    totals = await house.uptime.totals([node.user_id for node in nodes])
    assert {node.status for each in totals.values() for node in each.nodes} == {"offline"}


async def test_a_step_that_broke_off_is_made_good_by_the_next(house, watch, monkeypatch):
    await suspending(house)
    await crowd(house, 3)
    suspend, calls = house.uptime.suspend, []

    async def second_fails(*args):
        calls.append(args)
        if len(calls) == 2:
            raise StorageUnavailable("the database went away")
        return await suspend(*args)

    monkeypatch.setattr(house.uptime, "suspend", second_fails)
    with pytest.raises(StorageUnavailable):
        await watch.step()
    await watch.step()
    assert watch.metrics()["abuse_suspended_total"] == 3
    assert await house.stores.abuse.unenforced(9) == []


async def test_flags_that_ended_long_ago_are_forgotten(house, watch):
    (node, *_) = await crowd(house, 1)
    flag = await house.stores.abuse.suspend(node.node_id, house.clock.now(), new_id(), "no")
    await house.stores.abuse.dismiss(
        flag.flag_id, house.clock.now(), new_id(), "a mistake", house.clock.now()
    )
    await watch.step()
    house.clock.advance(timedelta(days=31))
    await watch.step()
    assert watch.metrics()["abuse_flags_pruned_total"] == 1
    assert await house.stores.abuse.flags(limit=9) == []


async def test_a_rule_of_a_newer_release_is_left_alone(house, watch):
    (rule,) = await house.stores.abuse.versions("shared_address", 1)
    house.database.rules["of_tomorrow"] = [replace(rule, name="of_tomorrow")]
    await watch.step()
    assert await house.stores.abuse.flags(limit=9) == []
