"""What every `ConfirmationStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_mail, make_session, make_user

from core.clock import new_id
from core.errors import InvalidInput, NotFound
from storage.base import EmailChange, EmailChanged, Mail, Registration, Reset, User

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + timedelta(days=1)


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


def make_registration(token: str, **changes: object) -> Registration:
    facts = {
        "token_hash": hashed(token),
        "email": "ada@example.org",
        "display_name": "Ada",
        "password_hash": "hash",
        "locale": "de-AT",
        "referral_code": "FRIEND",
        "created_at": NOW,
        "expires_at": END,
    }
    return Registration(**{**facts, **changes})


def make_reset(user_id: UUID, token: str) -> Reset:
    return Reset(token_hash=hashed(token), user_id=user_id, created_at=NOW, expires_at=END)


def make_change(user_id: UUID, new_email: str, old: str = "old", new: str = "new") -> EmailChange:
    return EmailChange(
        user_id=user_id,
        new_email=new_email,
        old_hash=hashed(old),
        new_hash=hashed(new),
        created_at=NOW,
        expires_at=END,
    )


async def waiting(stores: Stores) -> list[Mail]:
    return await stores.outbox.take(NOW, NOW, 100)


async def add_user(stores: Stores, **changes: object) -> User:
    user = make_user(**changes)
    assert await stores.users.add(user)
    return user


async def test_a_confirmed_registration_becomes_an_account(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    assert await stores.users.by_email("ada@example.org") is None
    user_id, now = new_id(), NOW + timedelta(hours=1)
    user = User(
        user_id=user_id,
        email="ada@example.org",
        display_name="Ada",
        password_hash="hash",
        locale="de-AT",
        created_at=now,
    )
    assert await stores.confirmations.register(hashed("one"), user_id, now) == (user, "FRIEND")
    assert await stores.users.by_id(user_id) == user
    assert await stores.users.by_email("ada@example.org") == user


async def test_a_registration_without_a_referral_code_has_none(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one", referral_code=None), [])
    registered = await stores.confirmations.register(hashed("one"), new_id(), NOW)
    assert registered
    assert registered[1] is None


async def test_a_registration_serves_once(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    assert await stores.confirmations.register(hashed("one"), new_id(), NOW)
    assert await stores.confirmations.register(hashed("one"), new_id(), NOW) is None


async def test_of_fifty_uses_of_one_registration_exactly_one_makes_an_account(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    results = await asyncio.gather(
        *(stores.confirmations.register(hashed("one"), new_id(), NOW) for _ in range(50))
    )
    made = [result for result in results if result]
    assert len(made) == 1
    assert await stores.users.find("", None, 10) == [made[0][0]]


async def test_a_newer_registration_of_an_address_replaces_the_older(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    newer = make_registration("two", display_name="Lovelace", locale="fr", referral_code=None)
    await stores.confirmations.put_registration(newer, [])
    assert await stores.confirmations.register(hashed("one"), new_id(), NOW) is None
    registered = await stores.confirmations.register(hashed("two"), new_id(), NOW)
    assert registered
    assert (registered[0].display_name, registered[0].locale, registered[1]) == ("Lovelace", "fr", None)


async def test_of_fifty_registrations_of_one_address_exactly_one_counts(stores: Stores) -> None:
    tokens = [f"{number}" for number in range(50)]
    await asyncio.gather(
        *(stores.confirmations.put_registration(make_registration(token), []) for token in tokens)
    )
    results = [await stores.confirmations.register(hashed(token), new_id(), NOW) for token in tokens]
    assert len([result for result in results if result]) == 1


async def test_a_registration_that_expired_is_unknown(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    assert await stores.confirmations.register(hashed("one"), new_id(), END) is None
    assert await stores.users.by_email("ada@example.org") is None


async def test_a_registration_of_an_address_taken_since_makes_nothing(stores: Stores) -> None:
    await stores.confirmations.put_registration(make_registration("one"), [])
    first = await add_user(stores, email="ada@example.org")
    user_id = new_id()
    assert await stores.confirmations.register(hashed("one"), user_id, NOW) is None
    assert await stores.users.by_id(user_id) is None
    assert await stores.users.by_email("ada@example.org") == first


async def test_the_mails_are_queued_with_what_they_are_about(stores: Stores) -> None:
    user = await add_user(stores)
    mails = [make_mail(NOW + timedelta(seconds=number - 10)) for number in range(4)]
    await stores.confirmations.put_registration(make_registration("one"), mails[:1])
    await stores.confirmations.put_reset(make_reset(user.user_id, "two"), mails[1:2])
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), mails[2:])
    assert [mail.mail_id for mail in await waiting(stores)] == [mail.mail_id for mail in mails]


async def test_nothing_is_remembered_when_its_mail_cannot_be_queued(stores: Stores) -> None:
    user = await add_user(stores)
    mails = [make_mail(NOW), make_mail(NOW, recipient="a\0da@example.org")]
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.confirmations.put_registration(make_registration("one"), mails)
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.confirmations.put_reset(make_reset(user.user_id, "two"), mails)
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), mails)
    assert await stores.confirmations.register(hashed("one"), new_id(), NOW) is None
    assert await stores.confirmations.reset_owner(hashed("two"), NOW) is None
    assert await stores.confirmations.confirm_email(hashed("old"), NOW) == EmailChanged("unknown")
    assert await stores.outbox.waiting() == 0


async def test_a_reset_replaces_the_password_and_ends_all_sessions(stores: Stores) -> None:
    user = await add_user(stores)
    sessions = [make_session(user.user_id, token, NOW) for token in ("a", "b")]
    other = make_session(await stores.add_user(), "c", NOW)
    for session in [*sessions, other]:
        await stores.sessions.add(session)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    ended = await stores.confirmations.reset(hashed("one"), "newer", NOW)
    assert ended is not None
    assert sorted(ended) == sorted(session.session_id for session in sessions)
    assert await stores.users.by_id(user.user_id) == replace(user, password_hash="newer")
    assert await stores.sessions.of_user(user.user_id, NOW) == []
    assert await stores.sessions.of_user(other.user_id, NOW) == [other]


async def test_the_owner_of_a_reset_can_be_asked_for_without_using_it_up(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    assert await stores.confirmations.reset_owner(hashed("one"), NOW) == user
    assert await stores.confirmations.reset_owner(hashed("one"), NOW) == user
    assert await stores.confirmations.reset_owner(hashed("one"), END) is None
    assert await stores.confirmations.reset_owner(hashed("two"), NOW) is None


async def test_a_reset_without_sessions_is_not_mistaken_for_none(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    assert await stores.confirmations.reset(hashed("one"), "newer", NOW) == []


async def test_a_reset_that_expired_or_never_was_changes_nothing(stores: Stores) -> None:
    user = await add_user(stores)
    session = make_session(user.user_id, "a", NOW)
    await stores.sessions.add(session)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    assert await stores.confirmations.reset(hashed("one"), "newer", END) is None
    assert await stores.confirmations.reset(hashed("two"), "newer", NOW) is None
    assert await stores.users.by_id(user.user_id) == user
    assert await stores.sessions.of_user(user.user_id, NOW) == [session]


async def test_of_fifty_uses_of_one_reset_exactly_one_counts(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    results = await asyncio.gather(
        *(stores.confirmations.reset(hashed("one"), f"newer-{number}", NOW) for number in range(50))
    )
    assert results.count(None) == 49
    winner = next(number for number, result in enumerate(results) if result is not None)
    assert await stores.users.by_id(user.user_id) == replace(user, password_hash=f"newer-{winner}")


async def test_a_newer_reset_of_a_user_replaces_the_older(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    await stores.confirmations.put_reset(make_reset(user.user_id, "two"), [])
    assert await stores.confirmations.reset(hashed("one"), "newer", NOW) is None
    assert await stores.confirmations.reset(hashed("two"), "newer", NOW) == []


async def test_a_reset_calls_a_change_of_address_off(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    await stores.confirmations.reset(hashed("one"), "newer", NOW)
    assert await stores.confirmations.confirm_email(hashed("new"), NOW) == EmailChanged("unknown")


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
async def test_an_address_changes_once_both_have_confirmed(stores: Stores, order: tuple[str, str]) -> None:
    user = await add_user(stores, email="a@example.org")
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    facts = user.user_id, "a@example.org", "b@example.org"
    first, second = map(hashed, order)
    assert await stores.confirmations.confirm_email(first, NOW) == EmailChanged("half", *facts)
    assert await stores.users.by_email("a@example.org") == user
    assert await stores.confirmations.confirm_email(first, NOW) == EmailChanged("unknown"), "it serves once"
    assert await stores.confirmations.confirm_email(second, NOW) == EmailChanged("changed", *facts)
    assert await stores.confirmations.confirm_email(second, NOW) == EmailChanged("unknown")
    changed = replace(user, email="b@example.org")
    assert await stores.users.by_email("b@example.org") == changed
    assert await stores.users.by_id(user.user_id) == changed
    assert await stores.users.by_email("a@example.org") is None
    assert await stores.users.add(make_user(email="a@example.org")), "the old address is free again"


async def test_of_fifty_confirmations_of_each_address_one_is_half_and_one_the_change(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    results = await asyncio.gather(
        *(stores.confirmations.confirm_email(hashed(token), NOW) for token in ("old", "new") * 25)
    )
    assert sorted(result.outcome for result in results) == ["changed", "half", *["unknown"] * 48]


async def test_a_change_that_expired_is_unknown(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    assert (await stores.confirmations.confirm_email(hashed("old"), NOW)).outcome == "half"
    assert await stores.confirmations.confirm_email(hashed("new"), END) == EmailChanged("unknown")
    assert await stores.users.by_id(user.user_id) == user


async def test_a_change_to_an_address_taken_since_is_off(stores: Stores) -> None:
    user = await add_user(stores, email="a@example.org")
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    other = await add_user(stores, email="b@example.org")
    facts = user.user_id, "a@example.org", "b@example.org"
    assert (await stores.confirmations.confirm_email(hashed("old"), NOW)).outcome == "half"
    assert await stores.confirmations.confirm_email(hashed("new"), NOW) == EmailChanged("taken", *facts)
    assert await stores.confirmations.confirm_email(hashed("new"), NOW) == EmailChanged("unknown")
    assert await stores.users.by_email("a@example.org") == user
    assert await stores.users.by_email("b@example.org") == other


async def test_of_ten_users_who_change_to_one_address_exactly_one_gets_it(stores: Stores) -> None:
    for number in range(10):
        change = make_change(await stores.add_user(), "b@example.org", f"old{number}", f"new{number}")
        await stores.confirmations.put_email_change(change, [])
        await stores.confirmations.confirm_email(hashed(f"old{number}"), NOW)
    results = await asyncio.gather(
        *(stores.confirmations.confirm_email(hashed(f"new{number}"), NOW) for number in range(10))
    )
    assert sorted(result.outcome for result in results) == ["changed", *["taken"] * 9]
    found = await stores.users.by_email("b@example.org")
    assert found
    assert found.user_id == next(result.user_id for result in results if result.outcome == "changed")


async def test_two_users_cannot_swap_their_addresses_behind_each_others_back(stores: Stores) -> None:
    ada, bob = await add_user(stores, email="a@example.org"), await add_user(stores, email="b@example.org")
    await stores.confirmations.put_email_change(make_change(ada.user_id, "b@example.org", "1", "2"), [])
    await stores.confirmations.put_email_change(make_change(bob.user_id, "a@example.org", "3", "4"), [])
    for token in ("1", "3"):
        await stores.confirmations.confirm_email(hashed(token), NOW)
    results = await asyncio.gather(
        *(stores.confirmations.confirm_email(hashed(token), NOW) for token in ("2", "4"))
    )
    assert [result.outcome for result in results] == ["taken", "taken"]


async def test_a_newer_change_replaces_the_older_and_what_it_confirmed(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org", "1", "2"), [])
    assert (await stores.confirmations.confirm_email(hashed("1"), NOW)).outcome == "half"
    await stores.confirmations.put_email_change(make_change(user.user_id, "c@example.org", "3", "4"), [])
    assert (await stores.confirmations.confirm_email(hashed("2"), NOW)).outcome == "unknown"
    assert (await stores.confirmations.confirm_email(hashed("4"), NOW)).outcome == "half"
    assert (await stores.confirmations.confirm_email(hashed("3"), NOW)).outcome == "changed"
    assert await stores.users.by_email("c@example.org") == replace(user, email="c@example.org")


async def test_a_changed_address_calls_a_reset_off(stores: Stores) -> None:
    user = await add_user(stores)
    await stores.confirmations.put_reset(make_reset(user.user_id, "one"), [])
    await stores.confirmations.put_email_change(make_change(user.user_id, "b@example.org"), [])
    await stores.confirmations.confirm_email(hashed("old"), NOW)
    assert await stores.confirmations.reset_owner(hashed("one"), NOW)
    await stores.confirmations.confirm_email(hashed("new"), NOW)
    assert await stores.confirmations.reset_owner(hashed("one"), NOW) is None


async def test_confirmations_of_an_unknown_user_are_refused(stores: Stores) -> None:
    mail = make_mail(NOW)
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.confirmations.put_reset(make_reset(new_id(), "one"), [mail])
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.confirmations.put_email_change(make_change(new_id(), "b@example.org"), [mail])
    assert await stores.outbox.waiting() == 0


async def test_only_what_has_expired_is_pruned(stores: Stores) -> None:
    ada, bob = await add_user(stores), await add_user(stores)
    later = END + timedelta(hours=1)
    put = stores.confirmations
    await put.put_registration(make_registration("r1"), [])
    await put.put_registration(make_registration("r2", email="b@example.org", expires_at=later), [])
    await put.put_reset(make_reset(ada.user_id, "p1"), [])
    await put.put_reset(replace(make_reset(bob.user_id, "p2"), expires_at=later), [])
    await put.put_email_change(make_change(ada.user_id, "c@example.org", "o1", "n1"), [])
    kept = replace(make_change(bob.user_id, "d@example.org", "o2", "n2"), expires_at=later)
    await put.put_email_change(kept, [])
    assert await put.prune(END - timedelta(milliseconds=1)) == 0
    assert await put.prune(END) == 3
    assert await put.prune(END) == 0
    assert await put.register(hashed("r1"), new_id(), NOW) is None
    assert await put.reset_owner(hashed("p1"), NOW) is None
    assert (await put.confirm_email(hashed("o1"), NOW)).outcome == "unknown"
    assert await put.register(hashed("r2"), new_id(), NOW)
    assert await put.reset_owner(hashed("p2"), NOW) == bob
    assert (await put.confirm_email(hashed("o2"), NOW)).outcome == "half"
