import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import PASSWORD, House

from core.clock import new_id
from core.errors import Unauthenticated
from services.audit import Kind


async def export(house: House, user_id) -> tuple[dict, str]:
    pieces = [piece async for piece in await house.accounts.exports.of(user_id)]
    text = b"".join(pieces).decode()
    return json.loads(text), text


async def test_a_copy_has_everything_and_no_secret(house: House) -> None:
    user = await house.person()
    sign_in = await house.accounts.sign_ins.sign_in(
        user.email, PASSWORD, device="a browser", address="192.0.2.1"
    )
    offer = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    node = await house.node(user, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    await house.person("somebody.else@example.com")
    copy, text = await export(house, user.user_id)
    assert copy["account"]["email"] == user.email
    assert copy["sessions"][0]["device"] == "a browser"
    assert [each["node_id"] for each in copy["nodes"]] == [str(node.node_id)]
    assert copy["nodes"][0]["hours"] == []
    assert copy["second_factor"]["confirmed_at"] is None
    kinds = [event["kind"] for event in copy["security_events"]]
    assert kinds == ["export", "second_factor.offered", "login.ok", "verified"]
    for secret in ("argon2", sign_in.refresh_token, sign_in.access_token, offer.secret, "somebody.else"):
        assert secret not in text


async def test_of_a_newcomer_there_is_little(house: House) -> None:
    user = await house.person()
    copy, _ = await export(house, user.user_id)
    assert (copy["second_factor"], copy["sessions"], copy["nodes"]) == (None, [], [])


async def test_more_than_a_page_of_events_and_nodes_are_all_there(house: House) -> None:
    user = await house.person()
    for number in range(450):
        await house.audit.note(Kind.PROFILE_CHANGED, user_id=user.user_id, number=number)
    for number in range(250):
        await house.stores.add_node(user.user_id, f"node {number}")
    copy, _ = await export(house, user.user_id)
    assert len(copy["security_events"]) == 452
    assert len({node["node_id"] for node in copy["nodes"]}) == 250


async def test_where_the_staff_sit_is_not_in_it(house: House) -> None:
    user = await house.person()
    staff = new_id()
    await house.audit.note(Kind.ADMIN_VIEWED, user_id=user.user_id, actor_id=staff)
    copy, text = await export(house, user.user_id)
    viewed = next(event for event in copy["security_events"] if event["kind"] == "admin.viewed")
    assert "address" not in viewed
    assert str(staff) not in text


async def test_nobody_gets_a_copy_of_an_account_that_is_gone(house: House) -> None:
    with pytest.raises(Unauthenticated):
        await export(house, new_id())
