import pytest
from support.house import PASSWORD, House

from core.errors import InvalidInput, Refusal, Unauthenticated
from storage.base import User

ADA = "ada@example.com"
NEW = "a brand new pass sentence"


async def session_of(house: House, password: str = PASSWORD):
    sign_in = await house.accounts.sign_ins.sign_in(ADA, password)
    return house.tokens.verify(sign_in.access_token)


async def change(house: House, user: User, **changes: str) -> User:
    return await house.accounts.profiles.change(user, **changes)


async def test_a_profile_is_changed_in_part(house: House) -> None:
    user = await house.person(ADA)
    changed = await change(house, user, time_zone="Europe/Vienna")
    assert (changed.display_name, changed.locale, changed.time_zone) == ("Ada", "en", "Europe/Vienna")
    changed = await change(house, changed, display_name="  Countess ", locale="ZH-hant-tw")
    assert (changed.display_name, changed.locale) == ("Countess", "zh-Hant-TW")
    assert changed.time_zone == "Europe/Vienna"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", ""),
        ("display_name", "A\nBcc: eve@example.com"),
        ("locale", "e"),
        ("locale", "en_US"),
        ("locale", "en-"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "localtime"),
        ("time_zone", ""),
        ("time_zone", "Europe/Vienna\0"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_name(house: House, field: str, value: str) -> None:
    user = await house.person(ADA)
    with pytest.raises(InvalidInput) as refused:
        await change(house, user, **{field: value})
    assert refused.value.extra["field"] == field
    assert await house.accounts.profiles.get(user.user_id) == user


async def test_a_new_password_ends_all_other_sessions(house: House) -> None:
    user = await house.person(ADA)
    here, there = await session_of(house), await session_of(house)
    await house.accounts.profiles.change_password(user.user_id, here.session_id, PASSWORD, NEW)
    assert list(house.database.sessions) == [here.session_id]
    house.revocations.check(here)
    with pytest.raises(Unauthenticated, match="token_revoked"):
        house.revocations.check(there)
    await session_of(house, NEW)
    with pytest.raises(Unauthenticated):
        await session_of(house)
    assert [mail["Subject"] for mail in await house.mails(ADA)] == ["Your password was changed"]


@pytest.mark.parametrize(
    ("current", "new", "code"),
    [
        ("a wrong password", NEW, "invalid_credentials"),
        (PASSWORD, "short", "invalid_input"),
        (PASSWORD, "passwordpassword", "password_common"),
        (PASSWORD, "pulseboard 2026", "password_common"),
    ],
)
async def test_a_refused_change_changes_nothing(house: House, current: str, new: str, code: str) -> None:
    user = await house.person(ADA)
    here = await session_of(house)
    with pytest.raises(Refusal) as refused:
        await house.accounts.profiles.change_password(user.user_id, None, current, new)
    assert refused.value.code == code
    assert list(house.database.sessions) == [here.session_id]
    assert await house.accounts.profiles.get(user.user_id) == user


async def test_of_two_changes_from_one_password_only_one_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await house.person(ADA)
    hashing = house.passwords.hash

    async def overtaken(secret: str) -> str:
        await house.user_store.set_password_hash(user.user_id, await hashing("set by somebody else"))
        return await hashing(secret)

    monkeypatch.setattr(house.passwords, "hash", overtaken)
    with pytest.raises(Unauthenticated, match="invalid_credentials"):
        await house.accounts.profiles.change_password(user.user_id, None, PASSWORD, NEW)
    await session_of(house, "set by somebody else")


async def test_a_link_to_reset_is_off_once_the_password_was_changed(house: House) -> None:
    user = await house.person(ADA)
    await house.accounts.recovery.forgot(ADA)
    token = await house.link(ADA)
    await house.accounts.profiles.change_password(user.user_id, None, PASSWORD, NEW)
    with pytest.raises(InvalidInput, match="link_invalid"):
        await house.accounts.recovery.reset(token, "yet another pass sentence")


async def test_a_deleted_account_is_gone_with_all_it_had(house: House) -> None:
    user = await house.person(ADA)
    here = await session_of(house)
    await house.accounts.profiles.delete(user.user_id, PASSWORD, None)
    for check in (
        house.accounts.profiles.get(user.user_id),
        session_of(house),
        house.accounts.profiles.delete(user.user_id, PASSWORD, None),
    ):
        with pytest.raises(Unauthenticated):
            await check
    with pytest.raises(Unauthenticated, match="token_revoked"):
        house.revocations.check(here)
    assert [mail["Subject"] for mail in await house.mails(ADA)] == ["Your account was deleted"]
    assert "account.deleted" in await house.kinds_noted()
    # The address is free again.
    assert (await house.person(ADA)).user_id != user.user_id


async def test_deleting_takes_the_password(house: House) -> None:
    user = await house.person(ADA)
    with pytest.raises(Unauthenticated, match="invalid_credentials"):
        await house.accounts.profiles.delete(user.user_id, "a wrong password", None)
    assert await house.accounts.profiles.get(user.user_id) == user
