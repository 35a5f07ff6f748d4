"""What can be claimed is claimed once."""

import asyncio
from uuid import UUID

import pytest
from support.earned import Farm
from support.house import House

from core.clock import new_id
from core.errors import Conflict
from services.rewards import Claims
from storage.base import Entry, User

WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def _earner(house: House, hours: int = 4, *, wallet: bool = True) -> tuple[Farm, User]:
    """Somebody whose rewards of the first hours are claimable, and whose last ones are pending."""
    farm, owner = await Farm.begin(house), await house.person()
    if wallet:
        assert await house.user_store.set_wallet(owner.user_id, WALLET)
    node = await farm.node(owner)
    for _ in range(hours):
        await farm.work({node: 600}, minutes=20, moved=500)
        await farm.close()
    return farm, owner


async def test_what_is_claimable_is_claimed_for_the_wallet(house: House) -> None:
    farm, owner = await _earner(house)
    before = await house.claims.rewards(owner.user_id)
    assert (before.wallet, before.minimum_payout, before.claimed) == (WALLET, "1000000", "0")
    assert int(before.claimable) > 0
    claim = await house.claims.claim(owner.user_id)
    assert (claim.amount, claim.wallet, claim.claimed_at) == (before.claimable, WALLET, house.clock.now())
    assert {each.category for each in claim.categories} == {"availability", "usage"}
    assert sum(int(each.amount) for each in claim.categories) == int(claim.amount)
    after = await house.claims.rewards(owner.user_id)
    assert (after.claimable, after.claimed, after.balance) == ("0", before.claimable, before.balance)
    (booked,) = await house.earnings.history(owner.user_id, None, 1)
    assert (booked.key, booked.kind, booked.amount) == (f"claim:{claim.claim_id}", "claim", "0")
    assert await house.stores.ledger.check() == []
    assert int(after.balance) == 4 * (farm.pool + farm.usage_pool)


async def test_of_many_claims_at_once_one_gets_it_all(house: House) -> None:
    _, owner = await _earner(house)
    claimable = (await house.claims.rewards(owner.user_id)).claimable
    answers = await asyncio.gather(
        *(house.claims.claim(owner.user_id) for _ in range(20)), return_exceptions=True
    )
    assert [each.amount for each in answers if not isinstance(each, BaseException)] == [claimable]
    refused = [each for each in answers if isinstance(each, Conflict)]
    assert [each.code for each in refused] == ["nothing_to_claim"] * 19
    assert (await house.claims.rewards(owner.user_id)).claimed == claimable


async def test_whoever_was_overtaken_looks_again(house: House) -> None:
    _, owner = await _earner(house)
    ledger = house.stores.ledger

    class Raced:
        """A ledger that shows what was claimable before somebody else claimed it."""

        async def amounts(self, user_id: UUID, account: str) -> dict[str, int]:
            found = await ledger.amounts(user_id, account)
            if found:
                await house.claims.claim(owner.user_id)
            return found

        async def book(self, entries: list[Entry]) -> int:
            return await ledger.book(entries)

    raced = Claims(ledger=Raced(), epochs=house.stores.epochs, users=house.user_store, clock=house.clock)
    with pytest.raises(Conflict, match="nothing_to_claim"):
        await raced.claim(owner.user_id)


async def test_without_a_wallet_nothing_can_be_claimed(house: House) -> None:
    _, owner = await _earner(house, wallet=False)
    for user_id in (owner.user_id, new_id()):
        with pytest.raises(Conflict, match="wallet_missing"):
            await house.claims.claim(user_id)
    assert (await house.claims.rewards(owner.user_id)).wallet is None


async def test_what_is_not_final_cannot_be_claimed(house: House) -> None:
    farm, owner = await _earner(house, hours=1)
    rewards = await house.claims.rewards(owner.user_id)
    assert (rewards.claimable, rewards.balance) == ("0", str(farm.pool + farm.usage_pool))
    with pytest.raises(Conflict, match="nothing_to_claim"):
        await house.claims.claim(owner.user_id)


async def test_before_the_first_epoch_there_is_nothing(house: House) -> None:
    owner = await house.person()
    await house.user_store.set_wallet(owner.user_id, WALLET)
    rewards = await house.claims.rewards(owner.user_id)
    assert (rewards.balance, rewards.minimum_payout) == ("0", "0")
    with pytest.raises(Conflict, match="nothing_to_claim"):
        await house.claims.claim(owner.user_id)
