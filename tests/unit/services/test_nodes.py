from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.callers import make_callers
from support.house import House, public_bytes, token_signature

from core.clock import new_id
from core.errors import InvalidInput, NotFound, Unauthenticated
from services.nodes import KnownNode
from services.revocations import Revoked
from storage.base import Node, Status

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


async def test_nodes_come_page_by_page_with_their_state(house: House) -> None:
    owner, stranger = await house.person(), await house.person("bob@example.com")
    await house.node(stranger, OTHER)
    nodes = [await house.node(owner, Ed25519PrivateKey.generate(), f"n{i}") for i in range(5)]
    seen: list[KnownNode] = []
    while page := await house.nodes.listed(owner.user_id, seen[-1].node.node_id if seen else None, 2):
        seen += page
    assert [each.node for each in seen] == sorted(nodes, key=lambda node: node.node_id)
    assert {each.live.status for each in seen} == {"offline"}


async def test_a_node_that_is_erased_while_they_are_listed_is_left_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await house.person()
    node, other = await house.node(owner, KEY), await house.node(owner, OTHER)
    of_user = house.stores.nodes.of_user

    async def retired_right_after(*asked: object) -> list[Node]:
        found: list[Node] = await of_user(*asked)
        await house.stores.nodes.retire(owner.user_id, node.node_id, house.clock.now())
        return found

    monkeypatch.setattr(house.stores.nodes, "of_user", retired_right_after)
    assert [each.node for each in await house.nodes.listed(owner.user_id, None, 9)] == [other]


async def test_somebody_elses_node_does_not_exist(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    for user_id, node_id in ((new_id(), node.node_id), (node.user_id, new_id())):
        for attempt in (house.nodes.get, house.nodes.retire):
            with pytest.raises(NotFound) as refused:
                await attempt(user_id, node_id)
            assert refused.value.code == "node_not_found"
    assert (await house.nodes.get(node.user_id, node.node_id)).node == node


async def test_the_staff_finds_any_node_and_it_is_written_down_who_looked(house: House) -> None:
    callers = await make_callers(house)
    actor = house.tokens.verify(callers.token("support") or "")
    assert (await house.nodes.view(actor, callers.node.node_id)).node == callers.node
    (event, *_) = await house.stores.audit.read(user_id=None, kind=None, before=None, limit=1)
    assert (event.kind, event.user_id, event.actor_id, event.facts) == (
        "admin.node_viewed",
        callers.node.user_id,
        actor.user_id,
        {"node": str(callers.node.node_id)},
    )
    with pytest.raises(NotFound):
        await house.nodes.view(actor, new_id())


async def test_a_name_is_cleaned_and_a_bad_one_refused(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    assert (await house.nodes.rename(node, "  cellar ")).name == "cellar"
    with pytest.raises(InvalidInput):
        await house.nodes.rename(node, "a\0b")
    assert (await house.nodes.get(node.user_id, node.node_id)).node.name == "cellar"


async def test_a_node_that_was_retired_meanwhile_is_not_renamed(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    await house.nodes.retire(node.user_id, node.node_id)
    with pytest.raises(NotFound):
        await house.nodes.rename(node, "cellar")


async def test_a_retired_node_gets_no_token_and_the_ones_it_has_are_void(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    now = house.now_ms
    token, _ = await house.networks.node_token(node.node_id, now, token_signature(KEY, node, now))
    await house.nodes.retire(node.user_id, node.node_id)
    assert house.ended == [Revoked(user_id=node.user_id, at_ms=now, node_ids=(node.node_id,))]
    with pytest.raises(Unauthenticated, match="token_revoked"):
        house.revocations.check(house.tokens.verify(token))
    house.clock.advance(timedelta(seconds=1))
    now = house.now_ms
    with pytest.raises(Unauthenticated, match="node_rejected"):
        await house.networks.node_token(node.node_id, now, token_signature(KEY, node, now))


async def test_who_enrols_the_key_again_gets_tokens_that_count(house: House) -> None:
    owner = await house.person()
    former = await house.node(owner, KEY)
    await house.nodes.retire(owner.user_id, former.node_id)
    node = await house.node(owner, KEY)
    assert (node.node_id != former.node_id, node.public_key) == (True, public_bytes(KEY))
    now = house.now_ms
    token, _ = await house.networks.node_token(node.node_id, now, token_signature(KEY, node, now))
    house.revocations.check(house.tokens.verify(token))


@pytest.mark.parametrize("status", ["online", "degraded", "suspended"])
async def test_no_node_is_listed_in_a_state_that_it_is_not_in(house: House, status: Status) -> None:
    owner = await house.person()
    await house.node(owner, KEY)
    assert await house.nodes.listed(owner.user_id, None, 9, status) == []
