from datetime import timedelta

import pytest
from support.house import PASSWORD, RESET_TTL, House

from core.errors import InvalidInput, TooManyRequests, Unauthenticated
from services.accounts.limits import ASKING, LINKS

ADA = "ada@example.com"
NEW = "a brand new pass sentence"


async def forgot(house: House, email: str = ADA, address: str = "192.0.2.1") -> None:
    await house.accounts.recovery.forgot(email, address)


async def sign_in(house: House, password: str):
    return await house.accounts.sign_ins.sign_in(ADA, password, address="192.0.2.1")


async def test_a_forgotten_password_is_replaced_and_all_sessions_end(house: House) -> None:
    user = await house.person(ADA)
    session = await sign_in(house, PASSWORD)
    await forgot(house)
    await house.accounts.recovery.reset(await house.link(ADA), NEW)
    assert house.database.sessions == {}
    with pytest.raises(Unauthenticated, match="token_revoked"):
        house.revocations.check(house.tokens.verify(session.access_token))
    with pytest.raises(Unauthenticated):
        await sign_in(house, PASSWORD)
    assert (await sign_in(house, NEW)).user.user_id == user.user_id
    assert [mail["Subject"] for mail in await house.mails(ADA)][-1] == "Your password was changed"
    assert "password.reset" in await house.kinds_noted()


async def test_a_link_serves_once(house: House) -> None:
    await house.person(ADA)
    await forgot(house)
    token = await house.link(ADA)
    await house.accounts.recovery.reset(token, NEW)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.recovery.reset(token, "yet another pass sentence")
    await sign_in(house, NEW)


async def test_a_link_expires(house: House) -> None:
    await house.person(ADA)
    await forgot(house)
    token = await house.link(ADA)
    house.clock.advance(timedelta(seconds=RESET_TTL))
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.recovery.reset(token, NEW)


async def test_a_newer_link_replaces_the_older(house: House) -> None:
    await house.person(ADA)
    await forgot(house)
    first = await house.link(ADA)
    house.clock.advance(timedelta(seconds=1))
    await forgot(house)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.recovery.reset(first, NEW)
    await house.accounts.recovery.reset(await house.link(ADA), NEW)


async def test_a_refused_password_does_not_use_the_link_up(house: House) -> None:
    await house.person(ADA)
    await forgot(house)
    token = await house.link(ADA)
    for password, code in (("short", "invalid_input"), ("passwordpassword", "password_common")):
        with pytest.raises(InvalidInput) as refused:
            await house.accounts.recovery.reset(token, password)
        assert refused.value.code == code
    await house.accounts.recovery.reset(token, NEW)


async def test_whoever_has_no_account_gets_no_mail(house: House) -> None:
    await house.person(ADA)
    await forgot(house, "nobody@example.com")
    assert await house.mails() == []
    assert await house.kinds_noted() == ["verified", "password.forgotten"]


async def test_whoever_has_not_confirmed_yet_gets_no_link_to_reset(house: House) -> None:
    await house.accounts.registrar.register(ADA, PASSWORD)
    await forgot(house)
    assert [mail["Subject"] for mail in await house.mails()] == ["Confirm your address"]
    # The registration that waits is not touched by it.
    await house.accounts.registrar.verify(await house.link(ADA))


async def test_nobody_is_flooded_with_mails(house: House) -> None:
    await house.person(ADA)
    for number in range(9):
        await forgot(house, address=f"192.0.2.{number}")
    assert len(await house.mails(ADA)) == 3
    await house.accounts.recovery.reset(await house.link(ADA), NEW)


async def test_one_address_cannot_ask_without_end(house: House) -> None:
    for number in range(ASKING.burst):
        await forgot(house, f"somebody{number}@example.com")
    with pytest.raises(TooManyRequests, match="too_many_attempts"):
        await forgot(house, "one.more@example.com")


async def test_links_cannot_be_tried_without_end(house: House) -> None:
    for number in range(LINKS.burst):
        with pytest.raises(InvalidInput):
            await house.accounts.recovery.reset(f"guess {number}", NEW, "192.0.2.1")
    with pytest.raises(TooManyRequests, match="too_many_attempts"):
        await house.accounts.recovery.reset("one more", NEW, "192.0.2.1")


async def test_a_pending_change_of_address_is_off_after_a_reset(house: House) -> None:
    user = await house.person(ADA)
    await house.accounts.emails.ask(user.user_id, "eve@example.com", PASSWORD)
    old, new = await house.link(ADA), await house.link("eve@example.com")
    house.clock.advance(timedelta(seconds=1))
    await forgot(house)
    await house.accounts.recovery.reset(await house.link(ADA), NEW)
    for token in (old, new):
        with pytest.raises(InvalidInput, match="link_invalid"):
            await house.accounts.emails.confirm(token)
