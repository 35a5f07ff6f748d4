"""What every `AbuseStore` guarantees, each rule with what it finds and what it lets pass."""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_node

from core.clock import new_id, to_ms
from core.errors import CloseCode, InvalidInput
from storage.abuse import KINDS, shipped
from storage.base import (
    STAFF,
    AbuseRule,
    Batch,
    Closed,
    Flag,
    Judged,
    Opened,
    Place,
    Record,
    Report,
    Unenforced,
)

START = datetime(2026, 3, 4, 12, 10, tzinfo=UTC)
LIMIT = 1000
NOTHING = Judged(raised=0, changed=0, cleared=0)
AMSTERDAM = (52.37, 4.9)
SYDNEY = (-33.87, 151.21)


@dataclass
class World:
    """Nodes that come and go, as a worker tells of them."""

    stores: Stores
    now: datetime = START
    sequence: int = 0
    places: dict[str, Place] = field(default_factory=dict)

    def where(self, address: str, at: tuple[float, float] | None = None, asn: int | None = None) -> str:
        """Know a public address."""
        subnet = address.rpartition(":" if ":" in address else ".")[0] + (
            "::/64" if ":" in address else ".0/24"
        )
        latitude, longitude = at or (None, None)
        self.places[address] = Place(
            country="NL", asn=asn, latitude=latitude, longitude=longitude, subnet=subnet
        )
        return address

    async def node(self, user_id: UUID | None = None) -> UUID:
        return await self.stores.add_node(user_id or await self.stores.add_user())

    async def tell(self, *records: Record) -> None:
        self.sequence += 1
        await self.stores.uptime.apply([Batch("w1", self.sequence, list(records))], self.places)

    async def open(self, node_id: UUID, address: str) -> UUID:
        connection_id = new_id()
        await self.tell(Opened(node_id, connection_id, to_ms(self.now), address))
        return connection_id

    async def close(self, node_id: UUID, connection_id: UUID, code: int = CloseCode.NO_PONG) -> None:
        await self.tell(Closed(node_id, connection_id, to_ms(self.now), code))

    async def confirm(self, node_id: UUID, connection_id: UUID, seconds: int, **counts: int) -> None:
        """The `seconds` up to now were confirmed."""
        end = to_ms(self.now) // 1000
        hour = (end - 1) // 3600
        first = max(end - seconds, hour * 3600)
        await self.tell(
            Report(node_id, connection_id, hour, first - hour * 3600, end - hour * 3600, end, **counts)
        )

    async def crowd(self, count: int, *addresses: str, user_id: UUID | None = None) -> list[UUID]:
        """Nodes online at these addresses in turn, each of somebody else unless they are `user_id`'s."""
        nodes = [await self.node(user_id) for _ in range(count)]
        for number, node_id in enumerate(nodes):
            await self.open(node_id, addresses[number % len(addresses)])
        return nodes

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    async def rule(self, name: str, **changes: Any) -> AbuseRule:
        """The next version of a rule."""
        former = (await self.stores.abuse.versions(name, 1))[0]
        parameters = {**former.parameters, **changes.pop("parameters", {})}
        rule = replace(former, version=former.version + 1, parameters=parameters, **changes)
        assert await self.stores.abuse.save_rule(rule)
        return rule

    async def look(self, name: str) -> Judged:
        rule = (await self.stores.abuse.versions(name, 1))[0]
        return await self.stores.abuse.judge(rule, self.now, LIMIT)

    async def active(self, name: str | None = None) -> list[Flag]:
        return await self.stores.abuse.flags(state="active", rule=name, limit=LIMIT)

    async def flagged(self, name: str) -> set[UUID]:
        """Who has an active flag of a rule after it looked."""
        await self.look(name)
        return {flag.node_id for flag in await self.active(name)}


@pytest.fixture
def world(stores: Stores) -> World:
    return World(stores)


# --- rules ----------------------------------------------------------------------------------------


async def test_the_rules_are_there_as_shipped(world: World) -> None:
    assert await world.stores.abuse.rules() == shipped()
    for rule in shipped():
        assert await world.stores.abuse.versions(rule.name, 5) == [rule]
    assert await world.stores.abuse.versions("nonsense", 5) == []


async def test_a_change_adds_a_version_and_keeps_the_former_ones(world: World) -> None:
    (first,) = await world.stores.abuse.versions("shared_address", 5)
    second = replace(
        first,
        version=2,
        enabled=False,
        action="suspend",
        gate=0,
        parameters={"nodes": 9},
        clear_after=7,
        lifts=True,
        updated_at=START,
        updated_by=new_id(),
    )
    assert await world.stores.abuse.save_rule(second)
    assert await world.stores.abuse.versions("shared_address", 5) == [second, first]
    assert await world.stores.abuse.versions("shared_address", 1) == [second]
    assert second in await world.stores.abuse.rules()


async def test_of_two_changes_to_one_version_one_is_made(world: World) -> None:
    (first,) = await world.stores.abuse.versions("shared_asn", 5)
    tries = [replace(first, version=2, clear_after=after) for after in range(1, 9)]
    done = await asyncio.gather(*map(world.stores.abuse.save_rule, tries))
    assert sum(done) == 1
    assert not await world.stores.abuse.save_rule(replace(first, version=4))
    assert not await world.stores.abuse.save_rule(replace(first, name="nonsense", version=1))
    assert len(await world.stores.abuse.versions("shared_asn", 5)) == 2


# --- what each rule finds -------------------------------------------------------------------------


async def test_nodes_that_share_an_address_are_found_and_who_has_one_alone_is_not(world: World) -> None:
    one, other = world.where("198.51.100.1"), world.where("198.51.100.2")
    pair = await world.crowd(2, one)
    await world.crowd(1, other)
    assert await world.look("shared_address") == Judged(raised=2, changed=0, cleared=0)
    flags = await world.active("shared_address")
    assert {flag.node_id for flag in flags} == set(pair)
    for flag in flags:
        assert flag.evidence == {"nodes": 2, "address": one}
        assert (flag.subject, flag.weight, flag.action, flag.gate) == (one, 2, "gate", 1)
        assert (flag.raised_at, flag.rule_version, flag.state) == (world.now, 1, "active")


async def test_what_is_no_public_address_is_not_looked_at(world: World) -> None:
    await world.crowd(70, "127.0.0.1", user_id=await world.stores.add_user())
    for name in KINDS:
        await world.rule(name, parameters={key: each.least for key, each in KINDS[name].parameters.items()})
        assert await world.look(name) == NOTHING, name


async def test_nodes_that_are_away_do_not_share_an_address(world: World) -> None:
    address = world.where("198.51.100.1")
    (there,) = await world.crowd(1, address)
    gone = await world.node()
    await world.close(gone, await world.open(gone, address))
    assert await world.flagged("shared_address") == set()
    other = await world.node()
    await world.open(other, address)
    assert await world.flagged("shared_address") == {there, other}


async def test_a_subnet_counts_by_its_family(world: World) -> None:
    four = [world.where(f"203.0.113.{number}") for number in range(10)]
    six = [world.where(f"2001:db8:0:1::{number}") for number in range(3)]
    world.places.update({address: Place(subnet="2001:db8:0:1::/64") for address in six})
    await world.crowd(10, *four)
    household = await world.crowd(3, *six)
    assert await world.flagged("shared_subnet") == set(household)
    (flag, *_) = await world.active("shared_subnet")
    assert flag.evidence == {"nodes": 3, "subnet": "2001:db8:0:1::/64"}
    await world.rule("shared_subnet", parameters={"nodes_24": 10, "nodes_64": 4})
    assert len(await world.flagged("shared_subnet")) == 13
    world.later(hours=2)
    assert len(await world.flagged("shared_subnet")) == 10


async def test_a_provider_counts_only_with_a_large_part_of_the_network(world: World) -> None:
    many = [world.where(f"198.51.{number}.1", asn=64500) for number in range(4)]
    others = [world.where(f"203.0.{number}.1") for number in range(6)]
    found = await world.crowd(4, *many)
    await world.crowd(6, *others)
    await world.rule("shared_asn", parameters={"nodes": 4, "percent": 41})
    assert await world.flagged("shared_asn") == set()
    await world.rule("shared_asn", parameters={"nodes": 5, "percent": 40})
    assert await world.flagged("shared_asn") == set()
    await world.rule("shared_asn", parameters={"nodes": 4, "percent": 40})
    assert await world.flagged("shared_asn") == set(found)
    (flag, *_) = await world.active("shared_asn")
    assert flag.evidence == {"nodes": 4, "asn": 64500}
    assert (flag.action, flag.gate) == ("flag", None)


async def test_a_key_that_answers_from_two_addresses_is_found_after_a_grace(world: World) -> None:
    home, away = world.where("198.51.100.1"), world.where("203.0.113.9")
    node_id = await world.node()
    first = await world.open(node_id, home)
    world.later(seconds=100)
    await world.open(node_id, away)
    world.later(seconds=60)
    await world.confirm(node_id, first, 120)
    assert await world.flagged("two_places") == set()
    world.later(seconds=1)
    await world.confirm(node_id, first, 1)
    assert await world.flagged("two_places") == {node_id}
    (flag,) = await world.active("two_places")
    assert flag.evidence == {"times": 1, "seconds": 61, "addresses": [home, away]}
    assert flag.gate == 0


async def test_a_key_in_two_places_is_found_in_whatever_order_they_are_heard_of(world: World) -> None:
    home, away = world.where("198.51.100.1", AMSTERDAM), world.where("203.0.113.9", SYDNEY)
    node_id = await world.node()
    first, opened_ms = new_id(), to_ms(world.now)
    world.later(seconds=1)
    await world.open(node_id, away)
    await world.tell(Opened(node_id, first, opened_ms, home))
    world.later(seconds=61)
    await world.confirm(node_id, first, 30)
    assert await world.flagged("two_places") == {node_id}
    assert await world.flagged("impossible_travel") == {node_id}
    (flag,) = await world.active("two_places")
    assert flag.evidence == {"times": 1, "seconds": 61, "addresses": [home, away]}


async def test_coming_back_from_another_address_is_no_abuse(world: World) -> None:
    home, train = world.where("198.51.100.1"), world.where("203.0.113.9")
    node_id = await world.node()
    connection_id = await world.open(node_id, home)
    for number in range(20):
        world.later(seconds=300)
        await world.confirm(node_id, connection_id, 300)
        former, connection_id = connection_id, await world.open(node_id, (train, home)[number % 2])
        # A socket that the network dropped: its end is heard of late.
        world.later(seconds=45)
        await world.close(node_id, former)
    assert await world.flagged("two_places") == set()


async def test_a_second_connection_from_the_same_address_is_not_another_place(world: World) -> None:
    home = world.where("198.51.100.1")
    node_id = await world.node()
    first = await world.open(node_id, home)
    world.later(seconds=5)
    await world.open(node_id, home)
    world.later(seconds=500)
    await world.confirm(node_id, first, 400)
    assert await world.flagged("two_places") == set()


async def test_a_journey_that_nobody_makes_is_found(world: World) -> None:
    home, away = world.where("198.51.100.1", AMSTERDAM), world.where("203.0.113.9", SYDNEY)
    node_id = await world.node()
    connection_id = await world.open(node_id, home)
    world.later(minutes=10)
    await world.confirm(node_id, connection_id, 600)
    world.later(minutes=20)
    await world.open(node_id, away)
    assert await world.flagged("impossible_travel") == {node_id}
    (flag,) = await world.active("impossible_travel")
    assert flag.evidence["km"] == pytest.approx(16_650, abs=50)
    assert (flag.evidence["minutes"], flag.evidence["times"]) == (20, 1)
    assert flag.evidence["km_h"] == pytest.approx(3 * flag.evidence["km"], abs=3)
    assert (flag.action, flag.gate) == ("gate", 1)
    world.later(hours=25)
    assert await world.look("impossible_travel") == NOTHING
    assert (await world.active("impossible_travel"))[0].gone_since == world.now


async def test_a_flight_a_short_way_and_an_unknown_place_are_no_such_journey(world: World) -> None:
    home, away = world.where("198.51.100.1", AMSTERDAM), world.where("203.0.113.9", SYDNEY)
    near, nowhere = world.where("203.0.113.10", (53.0, 6.0)), world.where("192.0.2.7")
    for further, hours in ((away, 20), (near, 0.001), (nowhere, 0.001)):
        node_id = await world.node()
        connection_id = await world.open(node_id, home)
        await world.close(node_id, connection_id)
        world.later(hours=hours)
        await world.open(node_id, further)
    assert await world.flagged("impossible_travel") == set()


async def come_and_go(world: World, nodes: list[UUID], address: str, times: int, code: int) -> None:
    for _ in range(times):
        connections = [(node_id, await world.open(node_id, address)) for node_id in nodes]
        world.later(seconds=600)
        for node_id, connection_id in connections:
            await world.close(node_id, connection_id, code)
        world.later(seconds=600)


async def test_nodes_that_always_come_and_go_together_are_found(world: World) -> None:
    address = world.where("198.51.100.1")
    owner = await world.stores.add_user()
    nodes = [await world.node(owner) for _ in range(5)]
    await come_and_go(world, nodes, address, 5, 1000)
    assert await world.flagged("identical_timing") == set()
    await come_and_go(world, nodes, address, 1, 1000)
    assert await world.flagged("identical_timing") == set(nodes)
    (flag, *_) = await world.active("identical_timing")
    assert flag.evidence == {"nodes": 5, "times": 6, "of": "owner"}


async def test_nodes_of_several_people_in_one_subnet_are_found_together(world: World) -> None:
    address = world.where("198.51.100.1")
    nodes = [await world.node() for _ in range(5)]
    await come_and_go(world, nodes, address, 6, 1000)
    assert await world.flagged("identical_timing") == set(nodes)
    (flag, *_) = await world.active("identical_timing")
    assert (flag.subject, flag.evidence["of"]) == ("subnet 198.51.100.0/24", "subnet")


async def test_what_our_own_restarts_end_together_tells_nothing(world: World) -> None:
    address = world.where("198.51.100.1")
    nodes = [await world.node() for _ in range(5)]
    await come_and_go(world, nodes, address, 8, CloseCode.DRAIN)
    assert await world.flagged("identical_timing") == set()


async def test_strangers_elsewhere_who_come_at_the_same_second_are_let_be(world: World) -> None:
    nodes = [await world.node() for _ in range(5)]
    addresses = [world.where(f"198.51.{number}.1") for number in range(5)]
    for _ in range(8):
        pairs = [
            (node_id, await world.open(node_id, address))
            for node_id, address in zip(nodes, addresses, strict=True)
        ]
        world.later(seconds=600)
        for node_id, connection_id in pairs:
            await world.close(node_id, connection_id)
        world.later(seconds=600)
    assert await world.flagged("identical_timing") == set()


async def test_refused_answers_are_found_by_number_and_part(world: World) -> None:
    address = world.where("198.51.100.1")
    few, cheat, busy = [await world.node() for _ in range(3)]
    for node_id, answered, refused in ((few, 0, 19), (cheat, 60, 20), (busy, 400, 40)):
        connection_id = await world.open(node_id, address)
        await world.confirm(node_id, connection_id, 0, answered=answered, refused=refused)
    assert await world.flagged("failing_challenges") == {cheat}
    (flag,) = await world.active("failing_challenges")
    assert flag.evidence == {"refused": 20, "asked": 80, "percent": 25}


async def test_refused_answers_of_hours_before_count_until_they_are_old(world: World) -> None:
    node_id = await world.node()
    connection_id = await world.open(node_id, world.where("198.51.100.1"))
    for _ in range(2):
        await world.confirm(node_id, connection_id, 0, refused=10)
        world.later(hours=1)
    assert await world.flagged("failing_challenges") == {node_id}
    world.later(hours=1)
    await world.look("failing_challenges")
    assert (await world.active("failing_challenges"))[0].gone_since == world.now


# --- the life of a flag ---------------------------------------------------------------------------


async def test_a_flag_stays_while_its_cause_does_and_clears_some_time_after(world: World) -> None:
    address = world.where("198.51.100.1")
    (there,) = await world.crowd(1, address)
    other = await world.node()
    connection_id = await world.open(other, address)
    await world.look("shared_address")
    flag_ids = {flag.flag_id for flag in await world.active()}
    world.later(minutes=1)
    assert await world.look("shared_address") == NOTHING
    await world.close(other, connection_id)
    await world.look("shared_address")
    gone = world.now
    world.later(minutes=59)
    assert await world.look("shared_address") == NOTHING
    assert {flag.gone_since for flag in await world.active()} == {gone}
    # It is back before the time is over: that begins anew.
    connection_id = await world.open(other, address)
    assert await world.look("shared_address") == NOTHING
    assert {flag.gone_since for flag in await world.active()} == {None}
    await world.close(other, connection_id)
    await world.look("shared_address")
    world.later(minutes=60)
    assert await world.look("shared_address") == Judged(raised=0, changed=0, cleared=2)
    assert await world.active() == []
    cleared = await world.stores.abuse.flags(state="cleared", limit=9)
    assert {flag.flag_id for flag in cleared} == flag_ids
    assert {flag.node_id for flag in cleared} == {there, other}
    assert {(flag.ended_at, flag.ended_by) for flag in cleared} == {(world.now, None)}
    decisions = await world.stores.abuse.decisions(cleared[0].flag_id)
    assert [each.decision for each in decisions] == ["raised", "cleared"]
    assert decisions[0].evidence == {"nodes": 2, "address": address}
    # What comes again is another flag.
    await world.open(other, address)
    assert await world.look("shared_address") == Judged(raised=2, changed=0, cleared=0)
    assert not flag_ids & {flag.flag_id for flag in await world.active()}


async def test_the_evidence_is_kept_up_to_date(world: World) -> None:
    address = world.where("198.51.100.1")
    (first, *_) = await world.crowd(3, address)
    await world.look("shared_address")
    await world.crowd(1, address)
    assert await world.look("shared_address") == Judged(raised=1, changed=0, cleared=0)
    (flag,) = await world.stores.abuse.flags(node_id=first, limit=9)
    assert (flag.evidence["nodes"], flag.weight) == (4, 4)
    (raised,) = await world.stores.abuse.decisions(flag.flag_id)
    assert raised.evidence["nodes"] == 3


async def test_a_crowd_that_hardly_changes_is_no_news(world: World) -> None:
    address = world.where("198.51.100.1")
    (first, *_) = await world.crowd(20, address)
    await world.look("shared_address")
    for count, known in ((21, 20), (22, 22), (23, 22), (24, 24)):
        await world.crowd(1, address)
        await world.look("shared_address")
        (flag,) = await world.stores.abuse.flags(node_id=first, limit=9)
        assert flag.weight == flag.evidence["nodes"] == known, count


async def test_a_flag_follows_its_rule(world: World) -> None:
    (node_id, *_) = await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    await world.rule("shared_address", gate=0)
    assert await world.look("shared_address") == Judged(raised=0, changed=3, cleared=0)
    await world.rule("shared_address", action="flag")
    assert await world.look("shared_address") == Judged(raised=0, changed=3, cleared=0)
    (flag,) = await world.stores.abuse.flags(node_id=node_id, limit=9)
    assert (flag.action, flag.gate, flag.rule_version) == ("flag", None, 3)
    decisions = await world.stores.abuse.decisions(flag.flag_id)
    assert [(each.decision, each.gate, each.rule_version) for each in decisions] == [
        ("raised", 1, 1),
        ("changed", 0, 2),
        ("changed", None, 3),
    ]


async def test_the_flags_of_a_rule_that_is_switched_off_clear_at_once(world: World) -> None:
    await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    await world.rule("shared_address", enabled=False)
    assert await world.look("shared_address") == Judged(raised=0, changed=0, cleared=3)
    assert await world.look("shared_address") == NOTHING


async def test_a_look_raises_no_more_than_it_may(world: World) -> None:
    await world.crowd(5, world.where("198.51.100.1"))
    (rule,) = await world.stores.abuse.versions("shared_address", 1)
    raised = [(await world.stores.abuse.judge(rule, world.now, 2)).raised for _ in range(4)]
    assert raised == [2, 2, 1, 0]


async def test_a_dismissed_flag_does_not_come_back_for_the_same(world: World) -> None:
    address, other = world.where("198.51.100.1"), world.where("198.51.100.2")
    (node_id, *crowd) = await world.crowd(3, address)
    await world.look("shared_address")
    (flag,) = await world.stores.abuse.flags(node_id=node_id, limit=9)
    actor_id, quiet_until = new_id(), world.now + timedelta(days=7)
    dismissed = await world.stores.abuse.dismiss(flag.flag_id, world.now, actor_id, "a school", quiet_until)
    assert dismissed == replace(
        flag,
        state="dismissed",
        ended_at=world.now,
        ended_by=actor_id,
        note="a school",
        quiet_until=quiet_until,
    )
    assert await world.stores.abuse.dismiss(flag.flag_id, world.now, actor_id, "x", quiet_until) is None
    decision = (await world.stores.abuse.decisions(flag.flag_id))[-1]
    assert (decision.decision, decision.actor_id, decision.note) == ("dismissed", actor_id, "a school")
    world.later(days=6)
    assert await world.flagged("shared_address") == set(crowd)
    # Twice as many are the same still, more are not.
    added = await world.crowd(3, address)
    assert await world.flagged("shared_address") == {*crowd, *added}
    added += await world.crowd(1, address)
    assert await world.flagged("shared_address") == {node_id, *crowd, *added}
    # Another address is another matter.
    (again,) = await world.stores.abuse.flags(state="active", node_id=node_id, limit=9)
    await world.stores.abuse.dismiss(again.flag_id, world.now, actor_id, "a school", world.now)
    await world.open(node_id, other)
    await world.crowd(2, other)
    assert node_id in await world.flagged("shared_address")


async def test_a_dismissal_ends_with_its_time(world: World) -> None:
    (node_id, *_) = await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    (flag,) = await world.stores.abuse.flags(node_id=node_id, limit=9)
    until = world.now + timedelta(days=1)
    assert await world.stores.abuse.dismiss(flag.flag_id, world.now, new_id(), "a school", until)
    world.now = until - timedelta(seconds=1)
    assert node_id not in await world.flagged("shared_address")
    world.now = until
    assert node_id in await world.flagged("shared_address")


async def test_the_gravest_cause_that_was_not_dismissed_counts(world: World) -> None:
    node_id = await world.node()
    addresses = [world.where(f"198.51.{number}.1") for number in range(3)]
    connection_id = await world.open(node_id, addresses[0])
    # From 0 to 1 once, from 2 to 1 and back twice.
    for number in (1, 2, 1, 2):
        former, connection_id = connection_id, await world.open(node_id, addresses[number])
        world.later(seconds=100)
        await world.confirm(node_id, former, 50)
    await world.look("two_places")
    (flag,) = await world.active("two_places")
    assert (flag.subject, flag.weight) == (f"{addresses[1]} {addresses[2]}", 3)
    until = world.now + timedelta(days=1)
    assert await world.stores.abuse.dismiss(flag.flag_id, world.now, new_id(), "two lines", until)
    await world.look("two_places")
    (flag,) = await world.active("two_places")
    assert (flag.subject, flag.weight) == (f"{addresses[0]} {addresses[1]}", 1)


# --- suspension -----------------------------------------------------------------------------------


async def obey(world: World) -> list[Unenforced]:
    """Do what the flags say; returns what that was."""
    wanted = await world.stores.abuse.unenforced(LIMIT)
    for each in wanted:
        assert await world.stores.uptime.suspend(each.node_id, each.suspend, world.now) == each.user_id
    assert await world.stores.abuse.unenforced(LIMIT) == []
    return wanted


async def test_a_rule_that_suspends_says_so_and_only_the_staff_lifts_it(world: World) -> None:
    await world.rule("shared_address", action="suspend")
    crowd = await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    assert {(each.node_id, each.suspend) for each in await obey(world)} == {(each, True) for each in crowd}
    world.later(days=30)
    assert await world.look("shared_address") == NOTHING
    world.later(days=30)
    assert await world.look("shared_address") == NOTHING
    assert len(await world.active()) == 3
    until = world.now + timedelta(days=7)
    (ended,) = await world.stores.abuse.unsuspend(crowd[0], world.now, new_id(), "talked to them", until)
    assert (ended.state, ended.rule, ended.note) == ("dismissed", "shared_address", "talked to them")
    assert [(each.node_id, each.suspend) for each in await obey(world)] == [(crowd[0], False)]
    assert await world.stores.abuse.unsuspend(crowd[0], world.now, new_id(), "again", until) == []


async def test_a_suspension_that_lifts_ends_like_other_flags(world: World) -> None:
    await world.rule("shared_address", action="suspend", lifts=True)
    await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    await obey(world)
    await world.look("shared_address")
    world.later(hours=1)
    assert await world.look("shared_address") == Judged(raised=0, changed=0, cleared=3)
    assert {each.suspend for each in await obey(world)} == {False}


async def test_a_rule_that_grows_milder_does_not_let_anybody_in(world: World) -> None:
    await world.rule("two_places", action="suspend")
    node_id = await world.node()
    first = await world.open(node_id, world.where("198.51.100.1"))
    await world.open(node_id, world.where("203.0.113.9"))
    world.later(seconds=100)
    await world.confirm(node_id, first, 90)
    await world.look("two_places")
    await obey(world)
    await world.rule("two_places", action="flag")
    assert await world.look("two_places") == NOTHING
    (flag,) = await world.active()
    assert flag.action == "suspend"


async def test_the_staff_suspends_by_hand_once(world: World) -> None:
    node_id = await world.node()
    actor_id = new_id()
    assert await world.stores.abuse.suspension(node_id) is None
    flag = await world.stores.abuse.suspend(node_id, world.now, actor_id, "sold its key")
    assert flag is not None
    assert (flag.rule, flag.action, flag.raised_by) == (STAFF, "suspend", actor_id)
    assert flag.evidence == {"note": "sold its key"}
    assert await world.stores.abuse.suspend(node_id, world.now, new_id(), "again") == flag
    assert await world.stores.abuse.suspension(node_id) == flag
    (decision,) = await world.stores.abuse.decisions(flag.flag_id)
    assert (decision.decision, decision.actor_id, decision.note) == ("raised", actor_id, "sold its key")
    assert [each.suspend for each in await obey(world)] == [True]
    for name in KINDS:
        assert await world.look(name) == NOTHING
    assert await world.stores.abuse.suspend(new_id(), world.now, actor_id, "who?") is None


async def test_who_is_suspended_twice_is_let_in_when_neither_holds(world: World) -> None:
    await world.rule("shared_address", action="suspend")
    (node_id, *_) = await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    staff = await world.stores.abuse.suspend(node_id, world.now, new_id(), "too")
    await obey(world)
    assert staff
    assert await world.stores.abuse.dismiss(staff.flag_id, world.now, new_id(), "no", world.now)
    assert await obey(world) == []
    ended = await world.stores.abuse.unsuspend(
        node_id, world.now, new_id(), "no", world.now + timedelta(days=1)
    )
    assert [flag.rule for flag in ended] == ["shared_address"]
    assert [each.suspend for each in await obey(world)] == [False]


async def test_of_many_who_suspend_at_once_one_does(world: World) -> None:
    node_id = await world.node()
    flags = await asyncio.gather(
        *(world.stores.abuse.suspend(node_id, world.now, new_id(), f"{number}") for number in range(8))
    )
    assert len({flag.flag_id for flag in flags if flag}) == 1
    assert None not in flags
    assert len(await world.stores.abuse.flags(node_id=node_id, limit=9)) == 1


async def test_a_note_that_cannot_be_stored_is_refused(world: World) -> None:
    node_id = await world.node()
    with pytest.raises(InvalidInput, match="text_invalid"):
        await world.stores.abuse.suspend(node_id, world.now, new_id(), "a\0b")
    assert await world.stores.abuse.flags(limit=9) == []


async def enrol(world: World, user_id: UUID, key: bytes) -> UUID:
    node = make_node(user_id, public_key=key, created_at=world.now)
    assert await world.stores.nodes.enrol(node) == node
    return node.node_id


async def two_places(world: World, node_id: UUID) -> tuple[str, str]:
    """Have a node suspended for answering from two addresses; returns them."""
    await world.rule("two_places", action="suspend")
    home, away = world.where("198.51.100.1"), world.where("203.0.113.9")
    first = await world.open(node_id, home)
    await world.open(node_id, away)
    world.later(seconds=100)
    await world.confirm(node_id, first, 90)
    await world.look("two_places")
    return home, away


async def test_a_suspension_follows_its_key_to_the_owners_next_node(world: World) -> None:
    owner, key = await world.stores.add_user(), secrets.token_bytes(32)
    retired = await enrol(world, owner, key)
    await world.crowd(2, world.where("198.51.100.1"))
    home, away = await two_places(world, retired)
    staff = await world.stores.abuse.suspend(retired, world.now, new_id(), "sold its key")
    await obey(world)
    assert staff
    assert len(await world.active()) == 2
    assert await world.stores.nodes.retire(owner, retired, world.now)
    assert await world.stores.abuse.unenforced(LIMIT) == []
    other = await enrol(world, owner, secrets.token_bytes(32))
    assert await world.stores.abuse.suspension(other) is None
    world.later(seconds=1)
    again = await enrol(world, owner, key)
    found = {flag.rule: flag for flag in await world.stores.abuse.flags(state="active", limit=9)}
    assert {flag.node_id for flag in found.values()} == {again}
    assert found[STAFF] == replace(staff, node_id=again)
    assert found["two_places"].evidence["addresses"] == [home, away]
    assert await world.stores.abuse.suspension(again) is not None
    assert await world.stores.abuse.suspension(retired) is None
    decision = (await world.stores.abuse.decisions(staff.flag_id))[-1]
    assert (decision.decision, decision.at, decision.actor_id) == ("changed", world.now, None)
    assert decision.note == "Its key was enrolled again."
    assert await obey(world) == [Unenforced(user_id=owner, node_id=again, suspend=True)]
    # And again, until the staff lets it in.
    assert await world.stores.nodes.retire(owner, again, world.now)
    third = await enrol(world, owner, key)
    assert [each.node_id for each in await obey(world)] == [third]
    ended = await world.stores.abuse.unsuspend(third, world.now, new_id(), "ok", world.now)
    assert {flag.rule for flag in ended} == {STAFF, "two_places"}
    assert [each.suspend for each in await obey(world)] == [False]
    assert await world.stores.nodes.retire(owner, third, world.now)
    assert await world.stores.abuse.suspension(await enrol(world, owner, key)) is None


async def test_a_suspension_follows_its_key_to_somebody_else_without_addresses(world: World) -> None:
    owner, stranger, key = (
        await world.stores.add_user(),
        await world.stores.add_user(),
        secrets.token_bytes(32),
    )
    node_id = await enrol(world, owner, key)
    await two_places(world, node_id)
    (flag,) = await world.active()
    assert await world.stores.nodes.retire(owner, node_id, world.now)
    again = await enrol(world, stranger, key)
    (moved,) = await world.active()
    assert (moved.user_id, moved.node_id, moved.subject) == (stranger, again, "")
    assert moved.evidence == {"times": 1, "seconds": 100}
    for decision in await world.stores.abuse.decisions(flag.flag_id):
        assert decision.evidence == moved.evidence
    # What the one before erases does not let the other in.
    await world.stores.users.erase(owner, world.now)
    assert await world.stores.abuse.suspension(again) == moved


async def test_only_what_suspends_follows_a_key_and_only_while_it_holds(world: World) -> None:
    owner, key, mild = await world.stores.add_user(), secrets.token_bytes(32), secrets.token_bytes(32)
    address = world.where("198.51.100.1")
    for each in (key, mild):
        await world.open(await enrol(world, owner, each), address)
    await world.crowd(1, address)
    await world.look("shared_address")
    first, second = (await world.stores.nodes.of_user(owner, None, 9))[:2]
    held = await world.stores.abuse.suspend(first.node_id, world.now, new_id(), "no")
    assert held
    for node in (first, second):
        assert await world.stores.nodes.retire(owner, node.node_id, world.now)
    assert await world.stores.abuse.dismiss(held.flag_id, world.now, new_id(), "sorry", world.now)
    for each in (key, mild):
        again = await enrol(world, owner, each)
        assert await world.stores.abuse.flags(node_id=again, limit=9) == []


# --- lists, and what is forgotten -----------------------------------------------------------------


async def test_flags_are_listed_page_by_page_by_whatever_is_asked(world: World) -> None:
    owner = await world.stores.add_user()
    crowd = await world.crowd(4, world.where("198.51.100.1"), user_id=owner)
    stranger = await world.node()
    await world.look("shared_address")
    world.later(seconds=1)
    staff = await world.stores.abuse.suspend(stranger, world.now, new_id(), "no")
    store = world.stores.abuse
    everything = await store.flags(limit=9)
    assert len(everything) == 5
    assert [flag.flag_id for flag in everything] == sorted(
        (flag.flag_id for flag in everything), reverse=True
    )
    pages, before = [], None
    while page := await store.flags(before=before, limit=2):
        pages += page
        before = page[-1].flag_id
    assert pages == everything
    assert {flag.node_id for flag in await store.flags(user_id=owner, limit=9)} == set(crowd)
    assert await store.flags(rule=STAFF, limit=9) == [staff]
    assert await store.flags(node_id=stranger, state="active", limit=9) == [staff]
    assert await store.flags(state="cleared", limit=9) == []
    assert await store.flags(user_id=owner, rule=STAFF, limit=9) == []
    assert await store.decisions(new_id()) == []


async def test_what_ended_long_ago_is_forgotten(world: World) -> None:
    await world.crowd(3, world.where("198.51.100.1"))
    await world.look("shared_address")
    first, second, third = await world.active()
    until = world.now + timedelta(days=10)
    await world.stores.abuse.dismiss(first.flag_id, world.now, new_id(), "x", world.now)
    await world.stores.abuse.dismiss(second.flag_id, world.now, new_id(), "x", until)
    assert await world.stores.abuse.prune(world.now, world.now) == 0
    world.later(days=1)
    assert await world.stores.abuse.prune(world.now, world.now) == 1
    assert await world.stores.abuse.decisions(first.flag_id) == []
    left = {flag.flag_id for flag in await world.stores.abuse.flags(limit=9)}
    assert left == {second.flag_id, third.flag_id}


async def test_moves_are_forgotten_when_they_are_old(world: World) -> None:
    node_id = await world.node()
    first = await world.open(node_id, world.where("198.51.100.1"))
    await world.open(node_id, world.where("203.0.113.9"))
    world.later(seconds=100)
    await world.confirm(node_id, first, 90)
    await world.stores.abuse.prune(START, world.now)
    assert await world.flagged("two_places") == {node_id}
    world.later(seconds=1)
    await world.stores.abuse.prune(START, world.now)
    await world.look("two_places")
    (flag,) = await world.active()
    assert flag.gone_since == world.now


async def test_nothing_is_left_of_an_erased_account(world: World) -> None:
    address = world.where("198.51.100.1")
    owner = await world.stores.add_user()
    mine = await world.crowd(2, address, user_id=owner)
    others = await world.crowd(2, address)
    await world.look("shared_address")
    flag_id = (await world.stores.abuse.flags(user_id=owner, limit=1))[0].flag_id
    await world.stores.abuse.suspend(mine[0], world.now, new_id(), "no")
    await world.stores.users.erase(owner, world.now)
    assert await world.stores.abuse.flags(user_id=owner, limit=9) == []
    assert await world.stores.abuse.decisions(flag_id) == []
    assert await world.stores.abuse.suspension(mine[0]) is None
    assert await world.stores.abuse.unenforced(9) == []
    await world.look("shared_address")
    assert {flag.node_id for flag in await world.active()} == set(others)


async def test_a_retired_node_is_not_judged(world: World) -> None:
    owner = await world.stores.add_user()
    address = world.where("198.51.100.1")
    (node_id, _) = await world.crowd(2, address, user_id=owner)
    assert await world.stores.nodes.retire(owner, node_id, world.now)
    assert await world.flagged("shared_address") == set()
    assert await world.stores.abuse.suspend(node_id, world.now, new_id(), "gone") is None
