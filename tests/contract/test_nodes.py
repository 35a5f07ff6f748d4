"""What every `NodeStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_node

from core.clock import new_id, to_ms
from core.errors import NotFound
from storage.base import Batch, Described, NodeLive, Opened, Place, Report

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = int(AT.timestamp()) // 3600
_sequence = count(1)


async def test_an_enrolled_node_is_found(stores: Stores) -> None:
    node = make_node(await stores.add_user())
    assert await stores.nodes.enrol(node) == node
    assert await stores.nodes.by_id(node.node_id) == node
    assert await stores.nodes.by_id(new_id()) is None


async def test_enrolling_the_same_key_again_returns_the_first_node_unchanged(stores: Stores) -> None:
    user_id = await stores.add_user()
    first = make_node(user_id, name="attic")
    again = make_node(user_id, name="cellar", public_key=first.public_key)
    await stores.nodes.enrol(first)
    assert await stores.nodes.enrol(again) == first
    assert await stores.nodes.by_id(again.node_id) is None


async def test_the_key_of_another_user_is_refused(stores: Stores) -> None:
    first = make_node(await stores.add_user())
    await stores.nodes.enrol(first)
    other = make_node(await stores.add_user(), public_key=first.public_key)
    assert await stores.nodes.enrol(other) is None
    assert await stores.nodes.by_id(other.node_id) is None


async def test_of_fifty_enrolments_of_one_key_exactly_one_adds(stores: Stores) -> None:
    user_id = await stores.add_user()
    key = new_id().bytes * 2
    results = await asyncio.gather(
        *(stores.nodes.enrol(make_node(user_id, public_key=key)) for _ in range(50))
    )
    assert len({node.node_id for node in results if node}) == 1
    assert None not in results
    assert len(await stores.nodes.of_user(user_id, None, 100)) == 1


async def test_of_two_users_who_want_one_key_exactly_one_gets_it(stores: Stores) -> None:
    key = new_id().bytes * 2
    nodes = [make_node(await stores.add_user(), public_key=key) for _ in range(10)]
    results = await asyncio.gather(*map(stores.nodes.enrol, nodes))
    assert len([node for node in results if node]) == 1


async def test_nodes_are_listed_page_by_page_in_order_of_their_ids(stores: Stores) -> None:
    user_id = await stores.add_user()
    await stores.add_node(await stores.add_user())
    expected = sorted([await stores.add_node(user_id) for _ in range(5)])
    pages, after = [], None
    while page := await stores.nodes.of_user(user_id, after, 2):
        pages.append([node.node_id for node in page])
        after = page[-1].node_id
    assert pages == [expected[:2], expected[2:4], expected[4:]]


async def test_a_token_time_serves_once_and_only_forwards(stores: Stores) -> None:
    node_id = await stores.add_node(await stores.add_user())
    assert await stores.nodes.advance_token_time(node_id, 1_000)
    assert not await stores.nodes.advance_token_time(node_id, 1_000)
    assert not await stores.nodes.advance_token_time(node_id, 999)
    assert await stores.nodes.advance_token_time(node_id, 1_001)
    assert not await stores.nodes.advance_token_time(new_id(), 1_002)


async def test_of_twenty_uses_of_one_token_time_exactly_one_succeeds(stores: Stores) -> None:
    node_id = await stores.add_node(await stores.add_user())
    results = await asyncio.gather(*(stores.nodes.advance_token_time(node_id, 5) for _ in range(20)))
    assert results.count(True) == 1


async def test_a_node_of_an_unknown_user_is_refused_and_its_key_stays_free(stores: Stores) -> None:
    node = make_node(new_id())
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.nodes.enrol(node)
    taken = make_node(await stores.add_user(), public_key=node.public_key)
    assert await stores.nodes.enrol(taken) == taken


async def come_online(
    stores: Stores, node_id: UUID, place: Place | None = None, worker: str = "worker-a"
) -> UUID:
    """Open a connection of a node from 192.0.2.7, confirmed for ten seconds; returns its id."""
    connection = new_id()
    records = [
        Opened(node_id, connection, to_ms(AT), "192.0.2.7"),
        Described(node_id, connection, "1.2.3"),
        Report(
            node_id,
            connection,
            HOUR,
            0,
            10,
            int(AT.timestamp()) + 10,
            rtt=bytes(16),
            rtt_us=1500,
            jitter_us=70,
        ),
    ]
    await stores.uptime.apply([Batch(worker, next(_sequence), records)], {"192.0.2.7": place or Place()})
    return connection


async def test_a_node_is_renamed_by_its_owner_alone(stores: Stores) -> None:
    owner = await stores.add_user()
    node_id = await stores.add_node(owner, "attic")
    renamed = await stores.nodes.rename(owner, node_id, "cellar")
    assert renamed is not None
    assert renamed.name == "cellar"
    assert await stores.nodes.by_id(node_id) == renamed
    assert await stores.nodes.rename(await stores.add_user(), node_id, "mine") is None
    assert await stores.nodes.rename(owner, new_id(), "mine") is None
    assert await stores.nodes.by_id(node_id) == renamed


async def test_a_node_that_was_never_online_is_known_as_such(stores: Stores) -> None:
    node_id = await stores.add_node(await stores.add_user())
    assert await stores.nodes.live([node_id, new_id()]) == {
        node_id: NodeLive(
            node_id=node_id,
            status="offline",
            since=None,
            flapping=False,
            confirmed_seconds=0,
            seen_at=None,
            session_id=None,
            address="",
            country=None,
            asn=None,
            agent_version="",
            rtt_us=None,
            jitter_us=None,
        )
    }
    assert await stores.nodes.live([]) == {}


async def test_how_a_node_does_is_known_by_what_was_observed(stores: Stores) -> None:
    node_id = await stores.add_node(await stores.add_user())
    connection = await come_online(stores, node_id, Place(country="DE", asn=64500, subnet="192.0.2.0/24"))
    assert await stores.nodes.live([node_id]) == {
        node_id: NodeLive(
            node_id=node_id,
            status="online",
            since=AT,
            flapping=False,
            confirmed_seconds=10,
            seen_at=AT + timedelta(seconds=10),
            session_id=connection,
            address="192.0.2.7",
            country="DE",
            asn=64500,
            agent_version="1.2.3",
            rtt_us=1500,
            jitter_us=70,
        )
    }


async def test_nodes_in_one_status_are_listed_page_by_page(stores: Stores) -> None:
    owner = await stores.add_user()
    ids = sorted([await stores.add_node(owner) for _ in range(5)])
    for node_id in ids[:3]:
        await come_online(stores, node_id)
    await come_online(stores, await stores.add_node(await stores.add_user()))
    online = await stores.nodes.of_user(owner, None, 2, "online")
    online += await stores.nodes.of_user(owner, online[-1].node_id, 2, "online")
    assert [node.node_id for node in online] == ids[:3]
    assert [node.node_id for node in await stores.nodes.of_user(owner, None, 9, "offline")] == ids[3:]
    assert await stores.nodes.of_user(owner, None, 9, "suspended") == []


class TestRetiring:
    """A node that its owner ends for good."""

    async def test_nobody_finds_it_any_more(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner, "attic")
        other = await stores.add_node(owner)
        assert await stores.nodes.retire(owner, node_id, AT)
        assert await stores.nodes.by_id(node_id) is None
        assert [node.node_id for node in await stores.nodes.of_user(owner, None, 9)] == [other]
        assert await stores.nodes.rename(owner, node_id, "again") is None
        assert not await stores.nodes.advance_token_time(node_id, 1)
        assert not await stores.nodes.retire(owner, node_id, AT), "it is gone for good"

    async def test_only_its_owner_can(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        revision = (await stores.uptime.network()).revision
        assert not await stores.nodes.retire(await stores.add_user(), node_id, AT)
        assert not await stores.nodes.retire(owner, new_id(), AT)
        assert await stores.nodes.by_id(node_id) is not None
        assert (await stores.uptime.network()).revision == revision

    async def test_its_key_can_be_enrolled_again_by_anybody(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node = make_node(owner)
        await stores.nodes.enrol(node)
        await stores.nodes.retire(owner, node.node_id, AT)
        again = make_node(await stores.add_user(), public_key=node.public_key)
        assert await stores.nodes.enrol(again) == again
        assert await stores.nodes.by_id(node.node_id) is None

    async def test_it_is_offline_at_once_and_its_time_stays_with_its_owner(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner, "attic")
        await come_online(stores, node_id, Place(country="DE"))
        before = await stores.uptime.network()
        assert (before.nodes_online, before.nodes_total) == (1, 1)
        later = AT + timedelta(minutes=1)
        assert await stores.nodes.retire(owner, node_id, later)
        after = await stores.uptime.network()
        assert after == replace(
            before, revision=before.revision + 1, nodes_online=0, nodes_total=0, countries=[]
        )
        (totals,) = (await stores.uptime.totals([owner]))[owner].nodes
        assert (totals.status, totals.since, totals.confirmed_seconds) == ("offline", later, 10)
        assert (totals.retired, totals.name) == (True, "attic")
        (kept,) = await stores.nodes.retired(owner)
        assert (kept.node_id, kept.name, kept.public_key) == (node_id, "attic", b"")

    async def test_what_a_worker_still_reports_of_it_is_ignored(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        await stores.nodes.retire(owner, node_id, AT)
        await come_online(stores, node_id)
        assert (await stores.uptime.network()).confirmed_seconds == 0
        (totals,) = (await stores.uptime.totals([owner]))[owner].nodes
        assert (totals.status, totals.confirmed_seconds) == ("offline", 0)

    async def test_the_others_online_are_not_touched(self, stores: Stores) -> None:
        owner = await stores.add_user()
        first, second = [await stores.add_node(owner) for _ in range(2)]
        for node_id in (first, second):
            await come_online(stores, node_id, Place(country="DE"))
        await stores.nodes.retire(owner, first, AT)
        network = await stores.uptime.network()
        assert [(each.country, each.nodes_online) for each in network.countries] == [("DE", 1)]
        assert (await stores.nodes.live([second]))[second].status == "online"

    async def test_of_twenty_who_retire_it_exactly_one_does(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        results = await asyncio.gather(*(stores.nodes.retire(owner, node_id, AT) for _ in range(20)))
        assert results.count(True) == 1

    async def test_an_erased_account_has_no_retired_nodes(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        await come_online(stores, node_id)
        await stores.nodes.retire(owner, node_id, AT)
        assert await stores.users.erase(owner, AT)
        assert await stores.nodes.retired(owner) == []
        assert (await stores.uptime.network()).confirmed_seconds == 10


class TestEndingTokens:
    """Tokens of nodes that are void before they run out."""

    async def test_they_are_read_up_by_time(self, stores: Stores) -> None:
        owner = await stores.add_user()
        first, second, third = [await stores.add_node(owner) for _ in range(3)]
        later = AT + timedelta(seconds=1)
        await stores.nodes.end_tokens([first, new_id()], AT)
        await stores.nodes.end_tokens([second], later)
        assert await stores.nodes.ended_since(AT) == [(owner, first, AT), (owner, second, later)]
        assert await stores.nodes.ended_since(later) == [(owner, second, later)]
        assert await stores.nodes.ended_since(later + timedelta(seconds=1)) == []
        assert await stores.nodes.by_id(third) is not None

    async def test_the_time_never_moves_back(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        await stores.nodes.end_tokens([node_id], AT)
        await stores.nodes.end_tokens([node_id], AT - timedelta(seconds=1))
        assert await stores.nodes.ended_since(AT) == [(owner, node_id, AT)]

    async def test_a_retired_node_is_among_them(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        await stores.nodes.retire(owner, node_id, AT)
        assert await stores.nodes.ended_since(AT) == [(owner, node_id, AT)]

    async def test_so_are_the_nodes_of_an_erased_account(self, stores: Stores) -> None:
        owner = await stores.add_user()
        node_id = await stores.add_node(owner)
        await stores.users.erase(owner, AT)
        assert await stores.nodes.ended_since(AT) == [(owner, node_id, AT)]
