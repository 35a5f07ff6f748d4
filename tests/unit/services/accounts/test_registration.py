import asyncio
from datetime import timedelta

import pytest
from support.house import LINK_TTL, PASSWORD, House

from core.errors import InvalidInput, TooManyRequests, Unauthenticated
from services.accounts.limits import ASKING

ADA = "ada@example.com"
HOME = "192.0.2.1"


async def register(house: House, email: str = ADA, password: str = PASSWORD, **more: str) -> None:
    await house.accounts.registrar.register(email, password, **({"address": HOME} | more))


async def sign_in(house: House, email: str = ADA, password: str = PASSWORD):
    return await house.accounts.sign_ins.sign_in(email, password, address=HOME)


async def test_from_a_form_to_an_account(house: House) -> None:
    friend = await house.person("friend@example.com")
    await house.referrals.make_code(friend.user_id, "friend-1")
    await register(house, display_name="Ada", locale="de-at", referral_code="FRIEND1")
    assert house.database.users == {friend.user_id: friend}
    with pytest.raises(Unauthenticated):
        await sign_in(house)
    user = await house.accounts.registrar.verify(await house.link(ADA), HOME)
    assert (user.email, user.display_name, user.locale, user.role) == (ADA, "Ada", "de-AT", "user")
    (verified,) = await house.audit.read(user_id=user.user_id, kind="verified", before=None, limit=5)
    assert verified.facts["referral_code"] == "FR1END1"
    assert (await sign_in(house)).user == user
    noted = (await house.kinds_noted())[2:]
    assert noted == ["registered", "login.failed", "verified", "login.ok"]


async def test_a_name_is_taken_from_the_address_unless_given(house: House) -> None:
    await register(house, "grace.hopper@example.com")
    user = await house.accounts.registrar.verify(await house.link("grace.hopper@example.com"))
    assert user.display_name == "grace.hopper"


async def test_the_password_and_the_token_are_kept_as_hashes_only(house: House) -> None:
    await register(house)
    token = await house.link(ADA)
    (registration,) = house.database.registrations.values()
    assert registration.password_hash.startswith("$argon2id$")
    kept = repr(house.database.registrations) + repr(house.database.mails)
    assert token not in kept
    assert PASSWORD not in kept


async def test_a_link_serves_once(house: House) -> None:
    await register(house)
    token = await house.link(ADA)
    await house.accounts.registrar.verify(token)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.registrar.verify(token)


async def test_a_link_expires(house: House) -> None:
    await register(house)
    token = await house.link(ADA)
    house.clock.advance(timedelta(seconds=LINK_TTL))
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.registrar.verify(token)


async def test_a_newer_link_replaces_the_older(house: House) -> None:
    await register(house, password="the first of two passwords")
    first = await house.link(ADA)
    house.clock.advance(timedelta(seconds=1))
    await register(house, password="the second of two passwords")
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.registrar.verify(first)
    await house.accounts.registrar.verify(await house.link(ADA))
    await sign_in(house, password="the second of two passwords")


@pytest.mark.parametrize("token", ["", "x", "\ud800", "é", "x" * 1000])
async def test_what_is_no_token_is_refused(house: House, token: str) -> None:
    await register(house)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.registrar.verify(token)


async def test_who_has_an_account_is_told_by_mail_and_keeps_it(house: House) -> None:
    user = await house.person(ADA)
    await register(house, "ADA@EXAMPLE.com", "another password altogether", display_name="Eve")
    (mail,) = await house.mails()
    assert mail["Subject"] == "You have an account already"
    assert "Eve" not in mail.as_string()
    assert "token=" not in mail.as_string()
    assert await house.user_store.by_email(ADA) == user
    await sign_in(house)


async def test_of_many_who_register_an_address_at_once_one_gets_the_account(house: House) -> None:
    await asyncio.gather(*(register(house) for _ in range(3)))
    texts = [mail.get_body(("plain",)).get_content() for mail in await house.mails(ADA)]
    tokens = [word.partition("token=")[2] for text in texts for word in text.split() if "token=" in word]
    assert len(tokens) == 3
    outcomes = await asyncio.gather(
        *(house.accounts.registrar.verify(token) for token in tokens), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvalidInput", "InvalidInput", "User"]
    assert len(house.database.users) == 1


async def test_an_address_that_was_taken_meanwhile_is_not_made_twice(house: House) -> None:
    await register(house)
    token = await house.link(ADA)
    user = await house.person(ADA)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.registrar.verify(token)
    assert list(house.database.users) == [user.user_id]


async def test_nobody_is_flooded_with_mails(house: House) -> None:
    for _ in range(6):
        await register(house, address="192.0.2.7")
    assert len(await house.mails(ADA)) == 3
    # The last link that left still serves.
    await house.accounts.registrar.verify(await house.link(ADA))
    house.clock.advance(timedelta(hours=4))
    await register(house)
    assert len(await house.mails(ADA)) == 4


async def test_one_address_cannot_register_without_end(house: House) -> None:
    for number in range(ASKING.burst):
        await register(house, f"somebody{number}@example.com")
    with pytest.raises(TooManyRequests) as refused:
        await register(house)
    assert refused.value.code == "too_many_attempts"
    assert refused.value.extra["retry_after"] > 0
    await register(house, address="192.0.2.2")


async def test_an_ipv6_subscriber_is_counted_as_one(house: House) -> None:
    for number in range(ASKING.burst):
        await register(house, f"somebody{number}@example.com", address=f"2001:db8::{number:x}")
    with pytest.raises(TooManyRequests):
        await register(house, address="2001:db8::ffff:ffff")
    await register(house, address="2001:db8:0:1::1")


@pytest.mark.parametrize("password", ["x" * 11, "x" * 129, "short", "", "x" * 5 + "\ud800" * 10])
async def test_a_password_has_its_length(house: House, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await register(house, password=password)
    assert (refused.value.code, refused.value.extra["field"]) == ("invalid_input", "password")


@pytest.mark.parametrize(
    "password", ["passwordpassword", "ada@example.com", "PulseBoard2026!", "ada lovelace 1815"]
)
async def test_a_common_password_is_refused(house: House, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await register(house, password=password, display_name="Ada Lovelace")
    assert (refused.value.code, refused.value.extra["field"]) == ("password_common", "password")
    assert house.database.mails == {}


async def test_a_password_is_the_same_however_the_keyboard_composed_it(house: House) -> None:
    await register(house, password="a\u0308 longer sentence")
    await house.accounts.registrar.verify(await house.link(ADA))
    await sign_in(house, password="\u00e4 longer sentence")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", "Ada\r\nBcc: eve@example.com"),
        ("display_name", "\u202eadA"),
        ("display_name", "x" * 65),
        ("display_name", "A\0"),
        ("referral_code", "'; DROP TABLE account; --"),
        ("referral_code", "x" * 65),
        ("locale", "english"),
        ("locale", "../../etc"),
        ("locale", "de\u200b"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_name(house: House, field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await register(house, **{field: value})
    assert (refused.value.code, refused.value.extra["field"]) == ("invalid_input", field)
    assert house.database.registrations == {}


async def test_an_operator_makes_accounts_at_once(house: House) -> None:
    admit = house.accounts.admission.admit
    user = await admit(ADA, PASSWORD, "Ada", "operator")
    assert user is not None
    assert (await sign_in(house)).user.role == "operator"
    assert await admit("ADA@example.com", PASSWORD, "Ada") is None
