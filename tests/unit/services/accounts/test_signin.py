from datetime import timedelta

import pytest
from support.house import PASSWORD, House

from core.errors import TooManyRequests, Unauthenticated
from services.accounts import limits
from services.accounts.limits import FROM_ADDRESS, TO_ACCOUNT
from services.passwords import Passwords

ADA = "ada@example.com"
HOME, CAFE = "192.0.2.1", "198.51.100.9"


async def sign_in(house: House, password: str = PASSWORD, email: str = ADA, address: str = HOME):
    return await house.accounts.sign_ins.sign_in(email, password, device="a browser", address=address)


async def fail(house: House, email: str = ADA, address: str = HOME) -> str:
    with pytest.raises((Unauthenticated, TooManyRequests)) as refused:
        await sign_in(house, "a wrong password", email, address)
    return refused.value.code


async def test_signing_in_opens_a_session(house: House) -> None:
    user = await house.person(ADA)
    session = await sign_in(house)
    assert session.user == user
    principal = house.tokens.verify(session.access_token, "user")
    stored = house.database.sessions[principal.session_id]
    assert (stored.device, stored.address) == ("a browser", HOME)


@pytest.mark.parametrize(
    "email", ["bob@example.com", "no address", "", "a\ud800@example.com", "a\0@example.com"]
)
async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(house: House, email: str) -> None:
    await house.person(ADA)
    answers = []
    for each in (ADA, email):
        with pytest.raises(Unauthenticated) as refused:
            await sign_in(house, "a wrong password", each)
        answers.append((refused.value.code, refused.value.detail, refused.value.extra))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("spelling", ["ADA@example.com", "ada@EXAMPLE.com"])
async def test_an_address_has_one_account_however_it_is_spelled(house: House, spelling: str) -> None:
    await house.person(ADA)
    assert (await sign_in(house, email=spelling)).user.email == ADA


async def test_a_hash_of_a_former_cost_is_renewed_at_sign_in(house: House) -> None:
    user = await house.person(ADA)
    dearer = Passwords(memory_kib=16, passes=1, threads=1)
    house.accounts.sign_ins._passwords = dearer
    try:
        await sign_in(house)
        renewed = await house.user_store.by_id(user.user_id)
        assert renewed is not None
        assert renewed.password_hash != user.password_hash
        assert not dearer.outdated(renewed.password_hash)
        await sign_in(house)
    finally:
        dearer.close()


async def test_guessing_stops_and_goes_on_slowly(house: House) -> None:
    await house.person(ADA)
    codes = [await fail(house) for _ in range(TO_ACCOUNT.burst + 3)]
    assert codes == ["invalid_credentials"] * TO_ACCOUNT.burst + ["too_many_attempts"] * 3
    with pytest.raises(TooManyRequests) as refused:
        await sign_in(house)
    wait = refused.value.extra["retry_after"]
    assert 0 < wait <= 60
    house.clock.advance(timedelta(seconds=wait))
    await sign_in(house)


async def test_guessing_from_many_addresses_does_not_help(house: House) -> None:
    await house.person(ADA)
    codes = [await fail(house, address=f"203.0.113.{number}") for number in range(TO_ACCOUNT.burst + 1)]
    assert codes[-1] == "too_many_attempts"


async def test_one_address_cannot_guess_at_many_accounts(house: House) -> None:
    codes = [await fail(house, f"somebody{number}@example.com") for number in range(FROM_ADDRESS.burst + 1)]
    assert codes[-1] == "too_many_attempts"
    assert codes[:-1] == ["invalid_credentials"] * FROM_ADDRESS.burst


async def test_an_unknown_address_is_throttled_like_a_known_one(house: House) -> None:
    await house.person(ADA)
    known = [await fail(house, ADA) for _ in range(15)]
    unknown = [await fail(house, "bob@example.com", CAFE) for _ in range(15)]
    assert known == unknown


async def test_strangers_cannot_keep_the_owner_out_at_a_known_address(house: House) -> None:
    await house.person(ADA)
    await sign_in(house, address=HOME)
    for number in range(100):
        await fail(house, address=f"203.0.113.{number}")
    await sign_in(house, address=HOME)
    assert await fail(house, address=CAFE) == "too_many_attempts"


async def test_an_owner_on_the_way_gets_in_by_mail(house: House) -> None:
    await house.person(ADA)
    for number in range(100):
        await fail(house, address=f"203.0.113.{number}")
    with pytest.raises(TooManyRequests):
        await sign_in(house, address=CAFE)
    await house.accounts.recovery.forgot(ADA, CAFE)
    await house.accounts.recovery.reset(await house.link(ADA), "a brand new pass sentence", CAFE)
    await sign_in(house, "a brand new pass sentence", address=CAFE)


async def test_an_address_is_remembered_for_thirty_days(house: House) -> None:
    await house.person(ADA)
    await sign_in(house, address=HOME)
    for days, expected in ((29, "invalid_credentials"), (2, "too_many_attempts")):
        house.clock.advance(timedelta(days=days))
        for number in range(TO_ACCOUNT.burst + 1):
            await fail(house, address=f"203.0.113.{number}")
        assert await fail(house, address=HOME) == expected


async def test_a_success_forgives(house: House) -> None:
    await house.person(ADA)
    for _ in range(3):
        codes = [await fail(house) for _ in range(TO_ACCOUNT.burst - 1)]
        assert set(codes) == {"invalid_credentials"}
        await sign_in(house)


async def test_ones_own_success_does_not_forgive_guesses_at_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FROM_ADDRESS", limits.Limit(6, 60_000))
    await house.person("eve@example.com")
    codes = []
    for number in range(4):
        codes.append(await fail(house, f"somebody{number}@example.com"))
        if codes[-1] == "invalid_credentials":
            try:
                await sign_in(house, email="eve@example.com")
            except TooManyRequests:
                break
    assert "too_many_attempts" in codes


async def test_what_is_throttled_is_noted_but_does_not_fill_the_log(house: House) -> None:
    await house.person(ADA)
    for _ in range(50):
        await fail(house)
    kinds = await house.kinds_noted()
    assert kinds.count("login.failed") == TO_ACCOUNT.burst
    assert kinds.count("login.throttled") == 1


async def test_the_log_knows_who_but_no_secret(house: House) -> None:
    user = await house.person(ADA)
    await fail(house)
    await fail(house, "bob@example.com")
    await sign_in(house)
    events = await house.stores.audit.read(user_id=None, kind="login.", before=None, limit=10)
    assert [(event.kind, event.user_id) for event in events] == [
        ("login.ok", user.user_id),
        ("login.failed", None),
        ("login.failed", user.user_id),
    ]
    assert "a wrong password" not in repr(events)
    assert "bob" not in repr(events)


async def test_nothing_in_the_cache_names_an_address_of_a_person(house: House) -> None:
    await house.person(ADA)
    await sign_in(house)
    await fail(house)
    await house.accounts.recovery.forgot(ADA)
    assert "ada" not in repr(house.throttle._full)
