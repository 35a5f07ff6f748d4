"""What every `UserStore` guarantees."""

import asyncio

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_user

from core.clock import new_id
from core.errors import InvalidInput, NotFound


async def test_an_added_user_is_found_by_address_and_by_id(stores: Stores) -> None:
    user = make_user(role="operator", display_name="Ada Łovelace 🛰", locale="pl", time_zone="Europe/Warsaw")
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


async def test_a_hash_is_renewed_only_if_it_is_the_one_that_was_checked(stores: Stores) -> None:
    user = make_user(password_hash="first")
    await stores.users.add(user)
    await stores.users.set_password_hash(user.user_id, "renewed", was="other")
    assert await stores.users.by_id(user.user_id) == user
    await stores.users.set_password_hash(user.user_id, "renewed", was="first")
    assert await stores.users.by_id(user.user_id) == replace(user, password_hash="renewed")


async def test_what_a_person_says_of_themselves_can_be_replaced(stores: Stores) -> None:
    ada, bob = make_user(), make_user()
    await stores.users.add(ada)
    await stores.users.add(bob)
    await stores.users.set_profile(ada.user_id, "Countess", "en-GB", "Europe/London")
    expected = replace(ada, display_name="Countess", locale="en-GB", time_zone="Europe/London")
    assert await stores.users.by_id(ada.user_id) == expected
    assert await stores.users.by_id(bob.user_id) == bob


async def test_a_role_can_be_replaced(stores: Stores) -> None:
    user = make_user()
    await stores.users.add(user)
    assert await stores.users.set_role(user.user_id, "support")
    assert await stores.users.by_id(user.user_id) == replace(user, role="support")
    assert not await stores.users.set_role(new_id(), "support")


async def test_users_are_found_page_by_page_in_order_of_their_ids(stores: Stores) -> None:
    expected = sorted([await stores.add_user() for _ in range(5)])
    pages, after = [], None
    while page := await stores.users.find("", after, 2):
        pages.append([user.user_id for user in page])
        after = page[-1].user_id
    assert pages == [expected[:2], expected[2:4], expected[4:]]


async def test_users_are_found_by_the_beginning_of_the_address_or_by_id(stores: Stores) -> None:
    addresses = [
        "ada@example.org",
        "ada.l@example.org",
        "a%a@example.org",
        "bada@example.org",
        "ä@example.org",
    ]
    users = [make_user(email=email) for email in addresses]
    for user in users:
        await stores.users.add(user)

    async def found(words: str) -> list[str]:
        return [user.email for user in await stores.users.find(words, None, 10)]

    assert await found("ada") == addresses[:2]
    assert await found("ada@") == addresses[:1]
    assert await found("a%") == addresses[2:3]
    assert await found("ä") == addresses[4:]
    assert await found("a_a") == []
    assert await found("example.org") == []
    assert await found(str(users[3].user_id)) == [addresses[3]]
    assert await found(str(users[3].user_id).upper()) == [addresses[3]]
    assert await stores.users.find("ada", users[0].user_id, 10) == [users[1]]
    assert await stores.users.find("ada", None, 1) == [users[0]]


async def test_a_wallet_is_linked_replaced_and_taken_off(stores: Stores) -> None:
    user = make_user()
    await stores.users.add(user)
    for wallet in ("0xA", "0xA", "0xB", None, None, "0xA"):
        assert await stores.users.set_wallet(user.user_id, wallet)
        assert await stores.users.by_id(user.user_id) == replace(user, wallet=wallet)


async def test_the_wallet_of_another_user_is_refused_and_changes_nothing(stores: Stores) -> None:
    ada, bob = await stores.add_user(), await stores.add_user()
    await stores.users.set_wallet(ada, "0xA")
    await stores.users.set_wallet(bob, "0xB")
    assert not await stores.users.set_wallet(bob, "0xA")
    found = await stores.users.by_id(bob)
    assert found
    assert found.wallet == "0xB"
    await stores.users.set_wallet(ada, "0xC")
    assert await stores.users.set_wallet(bob, "0xA"), "it is free again"


async def test_of_fifty_users_who_want_one_wallet_exactly_one_gets_it(stores: Stores) -> None:
    users = [await stores.add_user() for _ in range(50)]
    results = await asyncio.gather(*(stores.users.set_wallet(user_id, "0xA") for user_id in users))
    assert results.count(True) == 1
    holders = [user.user_id for user in await stores.users.find("", None, 100) if user.wallet]
    assert holders == [users[results.index(True)]]


async def test_a_user_who_asks_for_many_wallets_at_once_has_one(stores: Stores) -> None:
    ada, bob = await stores.add_user(), await stores.add_user()
    wallets = [f"0x{number}" for number in range(20)]
    assert all(await asyncio.gather(*(stores.users.set_wallet(ada, wallet) for wallet in wallets)))
    found = await stores.users.by_id(ada)
    assert found
    free = [wallet for wallet in wallets if await stores.users.set_wallet(bob, wallet)]
    assert sorted([*free, found.wallet]) == sorted(wallets)


async def test_a_wallet_of_an_unknown_user_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.users.set_wallet(new_id(), "0xA")


async def test_a_text_that_cannot_be_stored_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.users.add(make_user(display_name="A\0da"))
    ada = await stores.add_user()
    for refused in (
        stores.users.by_email("\0"),
        stores.users.find("\0", None, 1),
        stores.users.set_password_hash(ada, "\0"),
        stores.users.set_profile(ada, "\0", "en", "UTC"),
        stores.users.set_wallet(ada, "\0"),
    ):
        with pytest.raises(InvalidInput, match="text_invalid"):
            await refused
