"""What every `UserStore` guarantees."""

import asyncio

import pytest
from support.stores import Stores, make_user

from core.clock import new_id
from core.errors import InvalidInput


async def test_an_added_user_is_found_by_address_and_by_id(stores: Stores) -> None:
    user = make_user(role="operator", display_name="Ada Łovelace 🛰")
    assert await stores.users.add(user)
    assert await stores.users.by_email(user.email) == user
    assert await stores.users.by_id(user.user_id) == user


async def test_nobody_is_found_who_was_not_added(stores: Stores) -> None:
    assert await stores.users.by_email("nobody@example.org") is None
    assert await stores.users.by_id(new_id()) is None


async def test_a_taken_address_is_refused_and_changes_nothing(stores: Stores) -> None:
    first, second = make_user(email="ada@example.org"), make_user(email="ada@example.org")
    assert await stores.users.add(first)
    assert not await stores.users.add(second)
    assert await stores.users.by_email("ada@example.org") == first
    assert await stores.users.by_id(second.user_id) is None


async def test_of_fifty_users_who_want_one_address_exactly_one_gets_it(stores: Stores) -> None:
    users = [make_user(email="ada@example.org") for _ in range(50)]
    results = await asyncio.gather(*map(stores.users.add, users))
    assert results.count(True) == 1
    assert await stores.users.by_email("ada@example.org") == users[results.index(True)]


async def test_a_new_password_hash_replaces_the_old_one_of_this_user_only(stores: Stores) -> None:
    ada, bob = make_user(), make_user()
    await stores.users.add(ada)
    await stores.users.add(bob)
    await stores.users.set_password_hash(ada.user_id, "newer")
    found = await stores.users.by_id(ada.user_id)
    assert found
    assert found.password_hash == "newer"
    assert await stores.users.by_id(bob.user_id) == bob


async def test_a_text_that_cannot_be_stored_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.users.add(make_user(display_name="A\0da"))
