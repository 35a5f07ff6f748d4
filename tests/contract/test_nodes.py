"""What every `NodeStore` guarantees."""

import asyncio

import pytest
from support.stores import Stores, make_node

from core.clock import new_id
from core.errors import NotFound


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
