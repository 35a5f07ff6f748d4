import asyncio
import hashlib
from datetime import timedelta

import pytest
from support.house import PASSWORD, REFRESH_TTL, House

from core.errors import Conflict, InvalidInput, Unauthenticated
from services.passwords import Passwords
from services.users import PASSWORD_MAX, PASSWORD_MIN, REFRESH_GRACE_MS, SignIn, normal_email

GRACE = timedelta(milliseconds=REFRESH_GRACE_MS)


async def sign_in(house: House, password: str = PASSWORD, email: str = "ada@example.com") -> SignIn:
    return await house.users.login(email, password, "a browser", "127.0.0.1")


async def code_of(coroutine, kind: type[Exception]) -> str:
    with pytest.raises(kind) as refused:
        await coroutine
    return refused.value.code


async def test_signing_up_then_in(house: House) -> None:
    user = await house.users.register("ada@example.com", PASSWORD, "Ada")
    session = await sign_in(house)
    assert session.user == user
    principal = house.tokens.verify(session.access_token, "user")
    assert principal.user_id == user.user_id
    assert await house.users.profile(principal) == user
    stored = house.database.sessions[principal.session_id]
    assert (stored.device, stored.address) == ("a browser", "127.0.0.1")


async def test_the_refresh_token_is_stored_as_a_hash_only(house: House) -> None:
    await house.person()
    session = await sign_in(house)
    assert len(session.refresh_token) == 43
    assert hashlib.sha256(session.refresh_token.encode()).digest() in house.database.tokens


async def test_a_name_is_taken_from_the_address_unless_given(house: House) -> None:
    assert (await house.person("grace.hopper@example.com")).display_name == "grace.hopper"


@pytest.mark.parametrize("spelling", ["ADA@example.com", "ada@EXAMPLE.com"])
async def test_an_address_has_one_account_however_it_is_spelled(house: House, spelling: str) -> None:
    await house.person("ada@example.com")
    assert await code_of(house.users.register(spelling, PASSWORD), Conflict) == "email_taken"
    assert (await sign_in(house, email=spelling)).user.email == "ada@example.com"


async def test_of_two_who_register_an_address_at_once_one_gets_it(house: House) -> None:
    outcomes = await asyncio.gather(house.person(), house.person(), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "User"]


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a b@example.com",
        "ada@[127.0.0.1]",
        "a\0@example.com",
        "a\ud800@example.com",
        f"{'a' * 300}@example.com",
    ],
)
async def test_what_is_no_address_is_refused(house: House, email: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await house.users.register(email, PASSWORD)
    assert refused.value.extra["field"] == "email"
    assert await code_of(sign_in(house, email=email), Unauthenticated) == "invalid_credentials"


def test_an_international_address_has_one_form() -> None:
    assert normal_email("A\u0308da@b\u00fccher.example.com") == "\u00e4da@b\u00fccher.example.com"
    assert normal_email("ada@XN--BCHER-KVA.example.com") == "ada@b\u00fccher.example.com"


@pytest.mark.parametrize("password", ["x" * (PASSWORD_MIN - 1), "x" * (PASSWORD_MAX + 1)])
async def test_a_password_has_its_length(house: House, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await house.users.register("ada@example.com", password)
    assert refused.value.extra["field"] == "password"


async def test_a_password_is_the_same_however_the_keyboard_composed_it(house: House) -> None:
    await house.users.register("ada@example.com", "a\u0308" * PASSWORD_MAX)
    await sign_in(house, "\u00e4" * PASSWORD_MAX)


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.person()
    hashes: list[str | None] = []
    verify = house.passwords.verify

    async def spy(password_hash: str | None, password: str) -> bool:
        hashes.append(password_hash)
        return await verify(password_hash, password)

    monkeypatch.setattr(house.passwords, "verify", spy)
    answers = []
    for email in ("ada@example.com", "bob@example.com", "no address"):
        with pytest.raises(Unauthenticated) as refused:
            await sign_in(house, "wrong password", email)
        answers.append((refused.value.code, refused.value.detail, refused.value.extra))
    assert answers == [answers[0]] * 3
    # A hash was verified every time: the answers take equally long.
    assert hashes[0] is not None
    assert hashes[1:] == [None, None]


async def test_a_hash_of_a_former_cost_is_renewed_at_sign_in(house: House) -> None:
    user = await house.person()
    house.users._passwords = Passwords(memory_kib=16, passes=1, threads=1)
    await sign_in(house)
    renewed = await house.user_store.by_id(user.user_id)
    assert renewed.password_hash != user.password_hash
    assert not house.users._passwords.outdated(renewed.password_hash)
    await sign_in(house)
    house.users._passwords.close()


async def test_a_refresh_token_is_replaced_and_prolongs_the_session(house: House) -> None:
    await house.person()
    first = await sign_in(house)
    house.clock.advance(timedelta(seconds=REFRESH_TTL - 1))
    second = await house.users.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.refresh_expires_at == house.clock.now() + timedelta(seconds=REFRESH_TTL)
    sessions = {house.tokens._read(each.access_token).sid for each in (first, second)}
    assert len(sessions) == 1
    house.clock.advance(timedelta(seconds=REFRESH_TTL - 1))
    await house.users.refresh(second.refresh_token)


async def test_an_unused_session_ends(house: House) -> None:
    await house.person()
    session = await sign_in(house)
    house.clock.advance(timedelta(seconds=REFRESH_TTL))
    assert await code_of(house.users.refresh(session.refresh_token), Unauthenticated) == "refresh_invalid"


async def test_a_token_that_comes_back_later_ends_the_session(house: House) -> None:
    await house.person()
    first = await sign_in(house)
    second = await house.users.refresh(first.refresh_token)
    house.clock.advance(GRACE)
    assert await code_of(house.users.refresh(first.refresh_token), Unauthenticated) == "refresh_reused"
    assert await code_of(house.users.refresh(second.refresh_token), Unauthenticated) == "refresh_invalid"


async def test_two_tabs_that_refresh_at_once_both_stay_signed_in(house: House) -> None:
    await house.person()
    first = await sign_in(house)
    second = await house.users.refresh(first.refresh_token)
    house.clock.advance(GRACE - timedelta(milliseconds=1))
    assert await code_of(house.users.refresh(first.refresh_token), Conflict) == "refresh_raced"
    await house.users.refresh(second.refresh_token)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 10_000])
async def test_what_is_no_refresh_token_is_refused(house: House, token: str) -> None:
    assert await code_of(house.users.refresh(token), Unauthenticated) == "refresh_invalid"


async def test_signing_out_ends_this_session_only(house: House) -> None:
    await house.person()
    here, there = await sign_in(house), await sign_in(house)
    principal = house.tokens.verify(here.access_token)
    await house.users.logout(principal)
    await house.users.logout(principal)
    assert await code_of(house.users.refresh(here.refresh_token), Unauthenticated) == "refresh_invalid"
    await house.users.refresh(there.refresh_token)


async def test_a_session_can_be_ended_by_its_refresh_token(house: House) -> None:
    await house.person()
    session = await sign_in(house)
    await house.users.forget("unknown")
    await house.users.forget(session.refresh_token)
    assert house.database.sessions == {}


async def test_a_refresh_token_that_was_just_replaced_can_still_end_its_session(house: House) -> None:
    await house.person()
    session = await sign_in(house)
    await house.users.refresh(session.refresh_token)
    await house.users.forget(session.refresh_token)
    assert house.database.sessions == {}


async def test_nobody_is_behind_the_token_of_an_account_that_is_gone(house: House) -> None:
    await house.person()
    session = await sign_in(house)
    principal = house.tokens.verify(session.access_token)
    house.database.users.clear()
    assert await code_of(house.users.profile(principal), Unauthenticated) == "token_invalid"
    assert await code_of(house.users.refresh(session.refresh_token), Unauthenticated) == "refresh_invalid"
