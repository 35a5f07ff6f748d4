"""A server that goes away in the middle of a request, at every point: nothing is left half-written."""

import base64
from collections.abc import Awaitable, Callable

import pytest
from support.house import PASSWORD, House
from support.ports import Ports

from core.errors import Refusal, StorageUnavailable
from services.accounts import totp

ADA = "ada@example.com"
NEW = "a brand new pass sentence"

Step = Callable[[], Awaitable[object]]


async def cut_off_everywhere(
    make: Callable[[House], Awaitable[Step]], judge: Callable[[House], Awaitable[None]]
):
    """Run a step, its servers away after 0, 1, 2 … calls, until it succeeds; `judge` what is left."""
    for calls in range(40):
        house = House()
        try:
            step = await make(house)
            ports = Ports(house)
            ports.left = calls
            try:
                await step()
            except StorageUnavailable:
                ports.left = None
                await judge(house)
            else:
                ports.left = None
                await judge(house)
                assert calls > 1
                return
        finally:
            house.close()
    pytest.fail("it never succeeded")


async def can_sign_in(house: House, password: str) -> bool:
    try:
        await house.accounts.sign_ins.sign_in(ADA, password, address="198.51.100.1")
    except Refusal:
        return False
    return True


async def test_a_registration_has_its_mail_or_is_none() -> None:
    async def make(house: House) -> Step:
        return lambda: house.accounts.registrar.register(ADA, PASSWORD)

    async def judge(house: House) -> None:
        assert len(house.database.registrations) == len(house.database.mails) <= 1
        if house.database.registrations:
            await house.accounts.registrar.verify(await house.link(ADA))
            assert await can_sign_in(house, PASSWORD)

    await cut_off_everywhere(make, judge)


async def test_an_account_is_made_whole_or_its_link_still_serves() -> None:
    async def make(house: House) -> Step:
        await house.accounts.registrar.register(ADA, PASSWORD)
        token = await house.link(ADA)
        house.token = token
        return lambda: house.accounts.registrar.verify(token)

    async def judge(house: House) -> None:
        if house.database.registrations:
            assert house.database.users == {}
            await house.accounts.registrar.verify(house.token)
        assert await can_sign_in(house, PASSWORD)

    await cut_off_everywhere(make, judge)


async def test_a_password_is_reset_whole_or_not_at_all() -> None:
    async def make(house: House) -> Step:
        await house.person(ADA)
        assert await can_sign_in(house, PASSWORD)
        await house.accounts.recovery.forgot(ADA)
        house.token = await house.link(ADA)
        return lambda: house.accounts.recovery.reset(house.token, NEW)

    async def judge(house: House) -> None:
        done = bool(house.database.resets) is False
        # With the new password come the end of the sessions, their revocation and the notice.
        assert (house.database.sessions == {}) is done
        assert bool(house.ended) is done
        assert ("Your password was changed" in [m["Subject"] for m in await house.mails()]) is done
        assert await can_sign_in(house, NEW) is done

    await cut_off_everywhere(make, judge)


async def test_a_password_is_changed_whole_or_not_at_all() -> None:
    async def make(house: House) -> Step:
        user = await house.person(ADA)
        assert await can_sign_in(house, PASSWORD)
        return lambda: house.accounts.profiles.change_password(user.user_id, None, PASSWORD, NEW)

    async def judge(house: House) -> None:
        done = house.database.sessions == {}
        assert bool(house.ended) is done
        assert ("Your password was changed" in [m["Subject"] for m in await house.mails()]) is done
        assert await can_sign_in(house, NEW) is done

    await cut_off_everywhere(make, judge)


async def test_a_second_factor_never_counts_before_its_codes_are_there() -> None:
    async def make(house: House) -> Step:
        user = await house.person(ADA)
        offer = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
        code = totp.code_at(base64.b32decode(offer.secret), house.now_ms // 30_000)
        return lambda: house.accounts.second_factors.confirm(user.user_id, code)

    async def judge(house: House) -> None:
        (factor,) = house.database.factors.values()
        assert (factor.confirmed_at is not None) is (len(factor.recovery) == 10)

    await cut_off_everywhere(make, judge)


async def test_an_address_is_whole_after_every_cut() -> None:
    async def make(house: House) -> Step:
        user = await house.person(ADA)
        await house.accounts.emails.ask(user.user_id, "lovelace@example.com", PASSWORD)
        await house.accounts.emails.confirm(await house.link(ADA))
        token = await house.link("lovelace@example.com")
        return lambda: house.accounts.emails.confirm(token)

    async def judge(house: House) -> None:
        (user,) = house.database.users.values()
        assert list(house.database.emails) == [user.email]
        assert bool(house.database.email_changes) is (user.email == ADA)

    await cut_off_everywhere(make, judge)


async def test_a_sign_in_opens_a_session_or_none() -> None:
    async def make(house: House) -> Step:
        await house.person(ADA)
        return lambda: house.accounts.sign_ins.sign_in(ADA, PASSWORD)

    async def judge(house: House) -> None:
        assert len(house.database.sessions) <= 1
        assert await can_sign_in(house, PASSWORD)

    await cut_off_everywhere(make, judge)


async def test_an_account_is_erased_whole_or_not_at_all() -> None:
    async def make(house: House) -> Step:
        user = await house.person(ADA)
        assert await can_sign_in(house, PASSWORD)
        return lambda: house.accounts.profiles.delete(user.user_id, PASSWORD, None)

    async def judge(house: House) -> None:
        gone = house.database.users == {}
        assert (house.database.emails == {}) is gone
        assert (house.database.sessions == {}) is gone
        assert bool(house.ended) is gone

    await cut_off_everywhere(make, judge)
