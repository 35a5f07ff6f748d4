"""What every `SecondFactorStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores

from core.clock import new_id
from core.errors import NotFound
from storage.base import SecondFactor

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CODES = tuple(bytes([number]) * 32 for number in range(10))


def make_factor(user_id: UUID, secret: bytes = b"\0sealed") -> SecondFactor:
    return SecondFactor(user_id=user_id, secret=secret, created_at=NOW)


async def add_confirmed(stores: Stores) -> UUID:
    user_id = await stores.add_user()
    await stores.second_factors.offer(make_factor(user_id))
    assert await stores.second_factors.confirm(user_id, 100, CODES, NOW)
    return user_id


async def counts(stores: Stores, user_id: UUID) -> bool:
    user = await stores.users.by_id(user_id)
    assert user
    by_email = await stores.users.by_email(user.email)
    assert by_email == user
    return user.second_factor


async def test_a_factor_on_offer_is_kept_and_does_not_count(stores: Stores) -> None:
    factor = make_factor(await stores.add_user())
    assert await stores.second_factors.offer(factor)
    assert await stores.second_factors.get(factor.user_id) == factor
    assert not await counts(stores, factor.user_id)


async def test_nobody_has_a_factor_at_first(stores: Stores) -> None:
    assert await stores.second_factors.get(await stores.add_user()) is None
    assert await stores.second_factors.get(new_id()) is None


async def test_a_newer_offer_replaces_the_older(stores: Stores) -> None:
    user_id = await stores.add_user()
    await stores.second_factors.offer(make_factor(user_id))
    newer = replace(make_factor(user_id, b"newer"), created_at=NOW + timedelta(minutes=1))
    assert await stores.second_factors.offer(newer)
    assert await stores.second_factors.get(user_id) == newer


async def test_a_confirmed_factor_counts_and_is_not_replaced_by_an_offer(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    expected = replace(make_factor(user_id), confirmed_at=NOW, last_step=100, recovery=CODES)
    assert await stores.second_factors.get(user_id) == expected
    assert await counts(stores, user_id)
    assert not await stores.second_factors.offer(make_factor(user_id, b"newer"))
    assert await stores.second_factors.get(user_id) == expected


async def test_only_what_is_on_offer_can_be_confirmed(stores: Stores) -> None:
    user_id = await stores.add_user()
    assert not await stores.second_factors.confirm(user_id, 1, CODES, NOW)
    await stores.second_factors.offer(make_factor(user_id))
    results = await asyncio.gather(
        *(stores.second_factors.confirm(user_id, step, CODES, NOW) for step in range(1, 51))
    )
    assert results.count(True) == 1
    factor = await stores.second_factors.get(user_id)
    assert factor
    assert factor.last_step == results.index(True) + 1


async def test_a_step_serves_once_and_only_forwards(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    assert not await stores.second_factors.use_step(user_id, 100)
    assert await stores.second_factors.use_step(user_id, 101)
    assert not await stores.second_factors.use_step(user_id, 101)
    assert not await stores.second_factors.use_step(user_id, 99)
    assert await stores.second_factors.use_step(user_id, 102)


async def test_of_fifty_uses_of_one_step_exactly_one_counts(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    results = await asyncio.gather(*(stores.second_factors.use_step(user_id, 101) for _ in range(50)))
    assert results.count(True) == 1


async def test_a_recovery_code_serves_once(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    results = await asyncio.gather(
        *(stores.second_factors.use_recovery(user_id, CODES[3]) for _ in range(50))
    )
    assert results.count(True) == 1
    factor = await stores.second_factors.get(user_id)
    assert factor
    assert factor.recovery == CODES[:3] + CODES[4:]
    assert not await stores.second_factors.use_recovery(user_id, b"\xff" * 32)


async def test_all_recovery_codes_can_be_used_at_the_same_time(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    assert all(await asyncio.gather(*(stores.second_factors.use_recovery(user_id, code) for code in CODES)))
    factor = await stores.second_factors.get(user_id)
    assert factor
    assert factor.recovery == ()


async def test_new_recovery_codes_replace_all_old_ones(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    newer = (b"\xaa" * 32, b"\xbb" * 32)
    assert await stores.second_factors.set_recovery(user_id, newer)
    assert not await stores.second_factors.use_recovery(user_id, CODES[0])
    assert await stores.second_factors.use_recovery(user_id, newer[1])


async def test_a_factor_on_offer_has_neither_steps_nor_codes_to_spend(stores: Stores) -> None:
    user_id = await stores.add_user()
    await stores.second_factors.offer(replace(make_factor(user_id), recovery=CODES))
    assert not await stores.second_factors.use_step(user_id, 101)
    assert not await stores.second_factors.use_recovery(user_id, CODES[0])
    assert not await stores.second_factors.set_recovery(user_id, CODES)


async def test_a_removed_factor_is_gone(stores: Stores) -> None:
    user_id = await add_confirmed(stores)
    assert await stores.second_factors.remove(user_id)
    assert not await stores.second_factors.remove(user_id)
    assert await stores.second_factors.get(user_id) is None
    assert not await counts(stores, user_id)
    assert not await stores.second_factors.use_recovery(user_id, CODES[0])


async def test_users_have_factors_of_their_own(stores: Stores) -> None:
    ada, bob = await add_confirmed(stores), await add_confirmed(stores)
    await stores.second_factors.use_step(ada, 101)
    await stores.second_factors.remove(ada)
    factor = await stores.second_factors.get(bob)
    assert factor
    assert factor.last_step == 100
    assert [user.second_factor for user in await stores.users.find("", None, 10)] == [False, True]


async def test_a_factor_of_an_unknown_user_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.second_factors.offer(make_factor(new_id()))
