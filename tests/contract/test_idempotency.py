"""What every `IdempotencyStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.stores import Stores

from core.clock import new_id
from core.errors import InvalidInput, NotFound
from storage.base import KeptAnswer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STALE = timedelta(minutes=1)
PRINT, OTHER = b"\1" * 32, b"\2" * 32


async def begin(
    stores: Stores, user_id: UUID, key: str = "key", fingerprint: bytes = PRINT, now: datetime = NOW
) -> KeptAnswer | None:
    return await stores.idempotency.begin(user_id, key, fingerprint, now, now - STALE)


def answer(status: int = 0, body: bytes = b"", fingerprint: bytes = PRINT) -> KeptAnswer:
    return KeptAnswer(fingerprint=fingerprint, status=status, body=body, created_at=NOW)


async def test_the_first_claims_and_the_next_sees_that_it_is_being_worked_on(stores: Stores) -> None:
    user_id = await stores.add_user()
    assert await begin(stores, user_id) is None
    assert await begin(stores, user_id) == answer()
    assert await begin(stores, user_id, fingerprint=OTHER) == answer()


async def test_the_answer_is_kept_for_whoever_asks_again(stores: Stores) -> None:
    user_id = await stores.add_user()
    await begin(stores, user_id)
    await stores.idempotency.finish(user_id, "key", 201, b'{"\0": 1}')
    assert await begin(stores, user_id) == answer(201, b'{"\0": 1}')
    assert await begin(stores, user_id, fingerprint=OTHER) == answer(201, b'{"\0": 1}')


async def test_a_kept_answer_stays_however_old_it_is_and_whatever_comes_after(stores: Stores) -> None:
    user_id = await stores.add_user()
    await begin(stores, user_id)
    await stores.idempotency.finish(user_id, "key", 200, b"first")
    await stores.idempotency.finish(user_id, "key", 500, b"second")
    await stores.idempotency.abandon(user_id, "key")
    assert await begin(stores, user_id, now=NOW + timedelta(days=1)) == answer(200, b"first")


async def test_of_fifty_claims_of_one_key_exactly_one_succeeds(stores: Stores) -> None:
    user_id = await stores.add_user()
    results = await asyncio.gather(*(begin(stores, user_id) for _ in range(50)))
    assert results.count(None) == 1
    assert results.count(answer()) == 49


async def test_a_claim_that_was_given_up_is_free_again(stores: Stores) -> None:
    user_id = await stores.add_user()
    await begin(stores, user_id)
    await stores.idempotency.abandon(user_id, "key")
    assert await begin(stores, user_id, fingerprint=OTHER) is None
    assert await begin(stores, user_id) == answer(fingerprint=OTHER)


async def test_claims_and_their_giving_up_at_the_same_time_leave_at_most_one_claim(stores: Stores) -> None:
    user_id = await stores.add_user()

    async def claim_and_give_up() -> bool:
        if await begin(stores, user_id) is not None:
            return False
        await stores.idempotency.abandon(user_id, "key")
        return True

    assert any(await asyncio.gather(*(claim_and_give_up() for _ in range(30))))
    assert await begin(stores, user_id) is None


async def test_of_fifty_who_take_over_an_abandoned_claim_exactly_one_succeeds(stores: Stores) -> None:
    user_id = await stores.add_user()
    await begin(stores, user_id)
    at_the_edge = NOW + STALE
    assert await begin(stores, user_id, now=at_the_edge) == answer()
    later = at_the_edge + timedelta(seconds=1)
    results = await asyncio.gather(*(begin(stores, user_id, fingerprint=OTHER, now=later) for _ in range(50)))
    assert results.count(None) == 1
    assert {kept.created_at for kept in results if kept} == {later}


async def test_keys_belong_to_their_user(stores: Stores) -> None:
    ada, bob = await stores.add_user(), await stores.add_user()
    assert await begin(stores, ada) is None
    assert await begin(stores, bob) is None
    assert await begin(stores, ada, "other") is None
    await stores.idempotency.finish(ada, "key", 200, b"ada")
    await stores.idempotency.abandon(bob, "key")
    assert await begin(stores, ada) == answer(200, b"ada")
    assert await begin(stores, bob) is None


async def test_old_answers_are_pruned(stores: Stores) -> None:
    user_id = await stores.add_user()
    await begin(stores, user_id, "old")
    await stores.idempotency.finish(user_id, "old", 200, b"")
    await begin(stores, user_id, "abandoned")
    later = NOW + timedelta(hours=1)
    await begin(stores, user_id, "new", now=later)
    assert await stores.idempotency.prune(later) == 2
    assert await stores.idempotency.prune(later) == 0
    assert await begin(stores, user_id, "old") is None
    assert await begin(stores, user_id, "new", now=later) is not None


async def test_a_claim_of_an_unknown_user_and_a_key_that_cannot_be_stored_are_refused(stores: Stores) -> None:
    with pytest.raises(NotFound, match="user_unknown"):
        await begin(stores, new_id())
    with pytest.raises(InvalidInput, match="text_invalid"):
        await begin(stores, await stores.add_user(), "a\0b")
