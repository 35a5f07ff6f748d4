import asyncio
import base64
from datetime import timedelta

import pytest
from support.house import PASSWORD, House

from core.errors import Conflict, Refusal, Unauthenticated
from services.accounts import totp
from services.accounts.limits import TO_ACCOUNT
from services.sealing import Sealer
from storage.base import User

ADA = "ada@example.com"


async def sign_in(house: House, code: str | None = None, password: str = PASSWORD):
    return await house.accounts.sign_ins.sign_in(ADA, password, code, address="192.0.2.1")


def code_of(house: House, secret: str, steps: int = 0) -> str:
    return totp.code_at(base64.b32decode(secret), house.now_ms // 30_000 + steps)


async def turned_on(house: House) -> tuple[User, str, list[str]]:
    """A person with a second factor: who, its secret, the recovery codes."""
    user = await house.person(ADA)
    offer = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    codes = await house.accounts.second_factors.confirm(user.user_id, code_of(house, offer.secret))
    house.clock.advance(timedelta(seconds=30))
    return user, offer.secret, codes


async def refused(work, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        await work
    assert refusal.value.code == code


async def test_with_a_second_factor_the_password_is_not_enough(house: House) -> None:
    user, secret, _ = await turned_on(house)
    await refused(sign_in(house), "second_factor_required")
    await refused(sign_in(house, "000000"), "second_factor_invalid")
    assert house.database.sessions == {}
    session = await sign_in(house, code_of(house, secret))
    assert session.user.user_id == user.user_id
    assert session.user.second_factor


async def test_a_wrong_password_tells_nothing_of_a_second_factor(house: House) -> None:
    _, secret, _ = await turned_on(house)
    for code in (None, "000000", code_of(house, secret)):
        await refused(sign_in(house, code, "a wrong password"), "invalid_credentials")


async def test_a_code_serves_once_also_at_the_same_time(house: House) -> None:
    _, secret, _ = await turned_on(house)
    code = code_of(house, secret)
    outcomes = await asyncio.gather(*(sign_in(house, code) for _ in range(4)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["SignIn", *["Unauthenticated"] * 3]
    await refused(sign_in(house, code_of(house, secret, -1)), "second_factor_invalid")
    await sign_in(house, code_of(house, secret, 1))


async def test_the_code_that_turned_it_on_serves_no_more(house: House) -> None:
    user = await house.person(ADA)
    offer = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    code = code_of(house, offer.secret)
    await house.accounts.second_factors.confirm(user.user_id, code)
    await refused(sign_in(house, code), "second_factor_invalid")


async def test_codes_cannot_be_guessed_without_end(house: House) -> None:
    _, secret, _ = await turned_on(house)
    for _ in range(TO_ACCOUNT.burst):
        await refused(sign_in(house, "000000"), "second_factor_invalid")
    await refused(sign_in(house, code_of(house, secret)), "too_many_attempts")
    assert (await house.kinds_noted()).count("login.failed") == TO_ACCOUNT.burst


async def test_a_recovery_code_serves_once_and_is_told_of(house: House) -> None:
    _, _, codes = await turned_on(house)
    assert len(set(codes)) == 10
    await sign_in(house, codes[0].upper().replace("-", " "))
    await refused(sign_in(house, codes[0]), "second_factor_invalid")
    await sign_in(house, codes[1])
    texts = [mail.get_body(("plain",)).get_content() for mail in await house.mails(ADA)]
    assert any("9 are left" in text for text in texts)
    assert any("8 are left" in text for text in texts)


async def test_secret_and_recovery_codes_lie_in_no_store(house: House) -> None:
    _, secret, codes = await turned_on(house)
    kept = repr(house.database.factors) + repr(house.database.mails) + repr(house.database.events)
    for text in (secret, repr(base64.b32decode(secret))[2:-1], *codes):
        assert text not in kept


async def test_an_offer_does_not_count_until_it_is_confirmed(house: House) -> None:
    user = await house.person(ADA)
    first = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    await sign_in(house)
    second = await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    confirm = house.accounts.second_factors.confirm
    await refused(confirm(user.user_id, code_of(house, first.secret)), "second_factor_invalid")
    assert len(await confirm(user.user_id, code_of(house, second.secret))) == 10


async def test_turning_it_on_takes_the_password(house: House) -> None:
    user = await house.person(ADA)
    await refused(house.accounts.second_factors.offer(user.user_id, "a wrong one"), "invalid_credentials")
    await refused(house.accounts.second_factors.confirm(user.user_id, "000000"), "second_factor_off")


async def test_one_that_counts_cannot_be_replaced_unseen(house: House) -> None:
    user, _, _ = await turned_on(house)
    with pytest.raises(Conflict, match="second_factor_on"):
        await house.accounts.second_factors.offer(user.user_id, PASSWORD)
    with pytest.raises(Conflict, match="second_factor_on"):
        await house.accounts.second_factors.confirm(user.user_id, "000000")


async def test_turning_it_off_takes_password_and_code(house: House) -> None:
    user, secret, _ = await turned_on(house)
    remove = house.accounts.second_factors.remove
    await refused(remove(user.user_id, "a wrong one", code_of(house, secret)), "invalid_credentials")
    await refused(remove(user.user_id, PASSWORD, None), "second_factor_required")
    await refused(remove(user.user_id, PASSWORD, "000000"), "second_factor_invalid")
    await remove(user.user_id, PASSWORD, code_of(house, secret))
    await sign_in(house)
    await refused(remove(user.user_id, PASSWORD, None), "second_factor_off")
    subjects = [mail["Subject"] for mail in await house.mails(ADA)]
    assert subjects == ["Your second factor is on", "Your second factor is off"]


async def test_new_recovery_codes_replace_the_old(house: House) -> None:
    user, secret, old = await turned_on(house)
    new = await house.accounts.second_factors.renew_recovery(user.user_id, PASSWORD, code_of(house, secret))
    await refused(sign_in(house, old[0]), "second_factor_invalid")
    await sign_in(house, new[0])


async def test_after_a_reset_the_second_factor_stays_needed(house: House) -> None:
    _, secret, _ = await turned_on(house)
    await house.accounts.recovery.forgot(ADA)
    await house.accounts.recovery.reset(await house.link(ADA), "a brand new pass sentence")
    await refused(sign_in(house, None, "a brand new pass sentence"), "second_factor_required")
    await sign_in(house, code_of(house, secret), "a brand new pass sentence")


async def test_a_secret_that_a_former_key_sealed_still_serves(house: House) -> None:
    _, secret, codes = await turned_on(house)
    rotated = Sealer(
        "another secret of thirty-two characters", ["a secret of at least thirty-two characters"]
    )
    judge = house.accounts.sign_ins._codes
    judge._sealer = rotated
    await sign_in(house, code_of(house, secret))
    judge._sealer = Sealer("a key that never sealed anything here")
    await refused(sign_in(house, code_of(house, secret, 1)), "second_factor_invalid")
    # Whoever has lost the key as well as the device still has the paper.
    await sign_in(house, codes[0])


async def test_proofs_by_somebody_signed_in_are_throttled(house: House) -> None:
    user, secret, _ = await turned_on(house)
    remove = house.accounts.second_factors.remove
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await remove(user.user_id, PASSWORD, "000000")
    await refused(remove(user.user_id, PASSWORD, code_of(house, secret)), "too_many_attempts")
