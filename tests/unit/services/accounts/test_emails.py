from datetime import timedelta

import pytest
from support.house import LINK_TTL, PASSWORD, House

from core.errors import InvalidInput, TooManyRequests, Unauthenticated
from storage.base import User

OLD, NEW = "ada@example.com", "lovelace@example.com"


async def ask(house: House, user: User, email: str = NEW, password: str = PASSWORD) -> None:
    await house.accounts.emails.ask(user.user_id, email, password)


async def email_of(house: House, user: User) -> str:
    found = await house.user_store.by_id(user.user_id)
    assert found is not None
    return found.email


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)])
async def test_an_address_changes_when_both_have_confirmed(house: House, order: tuple[str, str]) -> None:
    user = await house.person(OLD)
    await ask(house, user)
    tokens = {address: await house.link(address) for address in (OLD, NEW)}
    first = await house.accounts.emails.confirm(tokens[order[0]])
    assert first.outcome == "half"
    assert await email_of(house, user) == OLD
    second = await house.accounts.emails.confirm(tokens[order[1]])
    assert second.outcome == "changed"
    assert await email_of(house, user) == NEW
    await house.accounts.sign_ins.sign_in(NEW, PASSWORD)
    with pytest.raises(Unauthenticated):
        await house.accounts.sign_ins.sign_in(OLD, PASSWORD)
    for address in (OLD, NEW):
        assert [mail["Subject"] for mail in await house.mails(address)][-1] == "Your address was changed"
    kinds = await house.kinds_noted()
    assert [kind for kind in kinds if kind.startswith("email.")] == [
        "email.asked",
        "email.confirmed",
        "email.changed",
    ]


async def test_each_link_serves_once(house: House) -> None:
    user = await house.person(OLD)
    await ask(house, user)
    token = await house.link(NEW)
    await house.accounts.emails.confirm(token)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.emails.confirm(token)
    assert await email_of(house, user) == OLD


async def test_links_expire(house: House) -> None:
    user = await house.person(OLD)
    await ask(house, user)
    tokens = [await house.link(OLD), await house.link(NEW)]
    house.clock.advance(timedelta(seconds=LINK_TTL))
    for token in tokens:
        with pytest.raises(InvalidInput, match="link_invalid"):
            await house.accounts.emails.confirm(token)


async def test_the_taken_address_of_somebody_else_shows_in_the_old_mailbox_only(house: House) -> None:
    user = await house.person(OLD)
    await house.person(NEW)
    await ask(house, user)
    assert [mail["Subject"] for mail in await house.mails(OLD)] == ["Your address was not changed"]
    assert await house.mails(NEW) == []


async def test_an_address_that_is_taken_meanwhile_stays_whose_it_is(house: House) -> None:
    user = await house.person(OLD)
    await ask(house, user)
    tokens = [await house.link(OLD), await house.link(NEW)]
    other = await house.person(NEW)
    await house.accounts.emails.confirm(tokens[0])
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.emails.confirm(tokens[1])
    assert await email_of(house, user) == OLD
    assert await email_of(house, other) == NEW
    assert [mail["Subject"] for mail in await house.mails(OLD)][-1] == "Your address was not changed"


async def test_it_takes_the_password(house: House) -> None:
    user = await house.person(OLD)
    with pytest.raises(Unauthenticated, match="invalid_credentials"):
        await ask(house, user, password="a wrong password")
    assert await house.mails() == []


@pytest.mark.parametrize(
    "email", ["no address", "ad\u0430@example.com", OLD, "ADA@EXAMPLE.com", "a\r\nb@example.com"]
)
async def test_an_address_that_cannot_be_is_refused(house: House, email: str) -> None:
    user = await house.person(OLD)
    with pytest.raises(InvalidInput) as refused:
        await ask(house, user, email)
    assert refused.value.extra["field"] == "email"


async def test_nobody_is_flooded_with_mails(house: House) -> None:
    user = await house.person(OLD)
    for _ in range(6):
        await ask(house, user)
    assert len(await house.mails(NEW)) == 3


async def test_the_password_cannot_be_guessed_that_way(house: House) -> None:
    user = await house.person(OLD)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await ask(house, user, password="a wrong password")
    with pytest.raises(TooManyRequests, match="too_many_attempts"):
        await ask(house, user)
